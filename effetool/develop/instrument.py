"""The author's functions with a developer looking on: numbers for contexts, a line for each request, faults told."""

from __future__ import annotations

import io
import itertools
import linecache
import os
import threading
from time import monotonic, sleep

from ..runtime.errors import Disconnected
from ..runtime.secrets import scrub
from ..runtime.telemetry.log import Log, escape
from .fault import Fault, fault_of
from .page import EVENTS, SAVE, write_fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..runtime.contract.logic import Effe
    from ..runtime.contract.request import Request
    from ..runtime.contract.response import Response
    from ..runtime.server.server import Server
    from .record import Recorder

__all__ = ["Observed", "Records", "fault_run"]

# Seconds until a draining child has closed its idle connections, at the latest.
LAST_CALL = 2.0
_COLOURS = {2: "32", 3: "36", 4: "33", 5: "31"}


class Observed:
    """Wrap an effe's functions, and observe its server (`Server(…, observer=…)`).

    `tell` sends an event to the parent; `stopping` is set when the effe is to end.
    """

    def __init__(
        self,
        tell: Callable[..., None],
        stopping: threading.Event,
        *,
        lines: bool = True,
        colour: bool = False,
        recorder: Recorder | None = None,
        ran: Callable[[], None] = lambda: None,
    ) -> None:
        self._tell = tell
        self._stopping = stopping
        self._lines = lines
        self._colour = colour
        self._recorder = recorder
        self._ran = ran
        self._count = itertools.count(1)
        self._numbers: dict[int, tuple[int, Any]] = {}  # by identity; the context is kept, so that it stays unique
        self._of_request: dict[int, str] = {}
        self._results: dict[int, Any] = {}  # what a run returned and should not have, until its failure is told
        self._running: dict[int, Request] = {}  # by thread
        self._held: set[int] = set()
        self._pages: set[int] = set()
        self.server: Server | None = None
        self.busy = False  # a phase before the first request is in a debugger

    def wrap(self, effe: Effe) -> Effe:
        """Put ourselves in front of start, run and stop."""
        self._start, self._run, self._stop = effe.start, effe.run, effe.stop
        self._numbered = getattr(effe.module, "start", None) is not None
        self._author = getattr(effe.module, "run", None)
        effe.start, effe.run, effe.stop = self.start, self.run, self.stop
        return effe

    def start(self) -> Any:
        try:
            context = self._start()
        except BaseException as error:
            context = getattr(error, "context", None)
            self._tell("fault", fault=fault_of(error, "E307").as_dict())
            if context is not None:
                self._numbers[id(context)] = (next(self._count), context)
            raise
        self._numbers[id(context)] = (next(self._count), context)
        return context

    def stop(self, context: Any) -> None:
        try:
            self._stop(context)
        except BaseException as error:
            self._tell("fault", fault=fault_of(error, "E308", "stop: ").as_dict())
        self._numbers.pop(id(context), None)

    def run(self, context: Any, error: Any, response: Any, request: Any) -> Any:
        if request.target == SAVE:
            return self.wait_for_save(response)
        number, _ = self._numbers.get(id(context), (0, None))
        self._of_request[id(request)] = str(number) if number and self._numbered else "-"
        if self._recorder is not None:
            data = request.body.read()
            request._body = io.BytesIO(data)
            try:
                self._recorder.record(request, data)
            except OSError as wrong:  # no reason to answer otherwise
                self._tell("note", text=f"not recorded: {wrong}")
        thread = threading.get_ident()
        self._running[thread] = request
        try:
            result = self._run(context, error, response, request)
            if result is not None:
                self._results[id(request)] = result
            return result
        finally:
            self._running.pop(thread, None)
            if self._held:
                self._release(request)
            self._ran()

    def wait_for_save(self, response: Any) -> None:
        """Hold a page's stream open until this child ends: then the next save is served."""
        response.headers["Content-Type"] = EVENTS
        response.headers["Cache-Control"] = "no-store"
        response.headers["Connection"] = "close"  # the page is to load again from the next child
        response.write(": waiting for a save\n\n")
        response.flush()
        while not self._stopping.wait(15):
            response.write(": still\n\n")  # raises where the page was closed
            response.flush()
        # The page loads again when this ends. It must not reach us by a connection that we have not closed yet.
        self._pages.add(threading.get_ident())
        until = monotonic() + LAST_CALL
        while self.server is not None and self.server.connections > len(self._pages) and monotonic() < until:
            sleep(0.01)

    def hold(self) -> None:
        """A debugger opens: no reload, and no deadline, until the runs it may stop have ended."""
        request = self._running.get(threading.get_ident())
        requests = [request] if request is not None else list(self._running.values())
        if not requests:
            self.busy = True
        for held in requests:
            self._held.add(id(held))
            held.connection.deadline = float("inf")
        self._tell("held")

    def _release(self, request: Request) -> None:
        self._held.discard(id(request))
        if not self._held:
            self._tell("released")

    def failed(self, error: BaseException, request: Request, answer: Response | None) -> None:
        """Tell of a failed run; where nothing of its response is sent yet, the fault is the answer."""
        result = self._results.pop(id(request), None)
        if isinstance(error, Disconnected):
            return
        if result is error:
            fault = fault_of(error, "E308", "run returned ")
        elif result is not None and answer is not None:
            fault = self._returned(result)
        else:
            fault = fault_of(error, "E308")
        self._tell("fault", fault=fault.as_dict())
        if answer is not None:
            write_fault(fault, answer, request)

    def answered(self, request: Request, response: Response, seconds: float, result: Any) -> None:
        """Write the request's line."""
        context = self._of_request.pop(id(request), "-")
        if response.error:
            self._tell("note", text=response.error)
        if self._lines and request.target != SAVE:
            self._write(request, response, seconds, context)

    def _returned(self, result: Any) -> Fault:
        """Make a fault of what `run` returned and should have written; nobody knows which `return` it was."""
        kind = type(result).__name__
        code = getattr(self._author, "__code__", None)
        file, line = (code.co_filename, code.co_firstlineno) if code is not None else (None, None)
        text = linecache.getline(file, line).rstrip("\n") if file and line else ""
        write = "response.write(…)" if isinstance(result, (str, bytes)) else "response.json(…)"
        return Fault(
            "E308", f"TypeError: run() returned {kind}; write the body to `response` instead",
            file, line, 1 if text else None, text or None, f"{write} instead of return …",
        )  # fmt: skip

    def _write(self, request: Any, response: Any, seconds: float, context: str) -> None:
        status = str(response._status)
        if self._colour:
            status = f"\x1b[{_COLOURS.get(response._status // 100, '0')}m{status}\x1b[0m"
        asked = escape(f"{request.method} {request.target}")
        size = 0 if response._bodyless() else response._size
        line = f"{status} {asked:<36} {seconds * 1000:8.1f} ms  context {context:<3} {size} B\n"
        try:
            os.write(2, scrub(line).encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # the reader has gone


class Records(Log):
    """The runtime's log, told to the developer: what the server itself has to say."""

    def __init__(self, tell: Callable[..., None]) -> None:
        super().__init__("text", access_log=True)
        self._tell = tell

    def error(
        self, message: str, exc: BaseException | None = None, request_id: str | None = None, **fields: Any
    ) -> None:
        self._said(message, exc)

    critical = error

    def _said(self, message: str, exc: BaseException | None) -> None:
        if exc is None:
            self._tell("note", text=message)
        else:
            self._tell("fault", fault=fault_of(exc, "E308").as_dict())

    def _record(self, level: str, message: str, fields: dict[str, Any]) -> None:
        if level != "info":
            self._tell("note", text=message)


def fault_run(fault: Fault, observed: Observed) -> Any:
    """Make a run that answers every request with the fault."""

    def run(context: Any, error: Any, response: Any, request: Any) -> None:
        if request.target == SAVE:
            observed.wait_for_save(response)
        else:
            write_fault(fault, response, request)

    return run
