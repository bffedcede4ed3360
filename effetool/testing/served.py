"""The production server in this process: a thread, and a socketpair for each connection."""

from __future__ import annotations

import json
import os
import socket
import threading

from ..runtime import secrets
from ..runtime.contract.logic import fill_in
from ..runtime.errors import HTTPError, StartError
from ..runtime.flags import parse
from ..runtime.server.server import Server
from ..runtime.telemetry.log import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

    from ..runtime.contract.request import Request
    from ..runtime.contract.response import Response

__all__ = ["Served"]

# Seconds a test waits for its contexts to be stopped: only a run or a stop that does not end takes so long.
PATIENCE = 10.0


class Quiet(Log):
    """A log that nobody reads: what run returned or raised is in `Client.errors`."""

    def __init__(self) -> None:
        super().__init__("text")

    def _record(self, level: str, message: str, fields: dict[str, Any]) -> None:
        """Write nothing."""


class Served:
    """Serve a module's functions in a thread of this process."""

    def __init__(self, module: ModuleType, flags: Sequence[str]) -> None:
        self._module = module
        self._settings = parse(list(flags), {})
        self._errors: list[BaseException] = []
        self._contexts: list[Any] = []
        self._spoiled: list[Any] = []  # contexts that are stopped after their answer
        self._changed = threading.Condition()
        self._given: list[str] = []

    def enter(self) -> None:
        info = getattr(self._module, "INFO", None) or {}
        declared = secrets.declared(json.loads(info) if isinstance(info, str) else info)
        self._given = secrets.supply(*declared, os.environ)
        effe = fill_in(self._module)
        self._start, self._run, self._stop = effe.start, effe.run, effe.stop
        effe.start, effe.run, effe.stop = self.start, self.run, self.stop
        self._server = Server(self._settings, effe, Quiet(), [], observer=self)
        effe.init()
        self._thread = threading.Thread(target=self._server.serve, name="effe", daemon=True)
        self._thread.start()

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._server.adopt(theirs, "")
        return ours

    def leave(self) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self._server.shutdown()  # a run that does not end: do not wait for it
            self._thread.join(PATIENCE)
        for name in self._given:
            os.environ.pop(name, None)

    @property
    def errors(self) -> list[BaseException]:
        return self._errors

    @property
    def contexts(self) -> list[Any]:
        with self._changed:
            self._changed.wait_for(lambda: not self._spoiled, PATIENCE)
            return list(self._contexts)

    def start(self) -> Any:
        try:
            context = self._start()
        except StartError as error:
            self._contexts.append(error.context)
            raise
        self._contexts.append(context)
        return context

    def run(self, context: Any, error: BaseException | None, response: Any, request: Any) -> Any:
        """Run, and remember whether the context is stopped after the answer."""
        spoiled = isinstance(error, StartError)
        try:
            return self._run(context, error, response, request)
        except HTTPError:
            raise
        except BaseException:
            spoiled = spoiled or error is None
            raise
        finally:
            if spoiled:
                with self._changed:
                    self._spoiled.append(context)

    def failed(self, error: BaseException, request: Request, answer: Response | None) -> None:
        """Remember the error, before its answer is on its way."""
        self._errors.append(error)

    def answered(self, request: Request, response: Response, seconds: float, result: Any) -> None:
        """Ignore it: the client has the answer."""

    def stop(self, context: Any) -> None:
        try:
            self._stop(context)
        finally:
            with self._changed:
                _remove(self._contexts, context)
                _remove(self._spoiled, context)
                self._changed.notify_all()


def _remove(contexts: list[Any], context: Any) -> None:
    """Remove one by identity: contexts may compare as they like, and None is one too."""
    for place, known in enumerate(contexts):
        if known is context:
            del contexts[place]
            return
