"""The program in which the author's code runs: it loads, warms up, reports, and serves on the parent's socket.

It is started ahead of time and waits, with the server imported, for its task: a line of JSON on the channel it
inherits. From then on it writes one JSON line for each event: files, ready, broken, fault, note, held, released. An
effe that cannot be loaded is served too: by its error. SIGTERM drains it.

Runs in the effe's environment, so stdlib and effetool.runtime only, and Python 3.9.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import time

from ..runtime import secrets
from ..runtime.contract.logic import fill_in
from ..runtime.errors import LogicError
from ..runtime.flags import NEVER, FlagError, Settings, parse
from ..runtime.server.server import Server
from .fault import Fault, fault_of, faulty_file
from .file_tracker import Fresh, Seen
from .instrument import Observed, Records, fault_run
from .record import Recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..runtime.contract.logic import Effe

__all__ = ["main"]


class Child:
    """One life of the effe."""

    def __init__(self, channel: socket.socket, task: dict[str, Any]) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._task = task
        self._stopping = threading.Event()
        self._server: Server | None = None
        self._phases: dict[str, float] = {}
        recorder = Recorder(task["record"]) if task.get("record") else None
        self._observed = Observed(
            self.tell, self._stopping, lines=task["lines"], colour=task["colour"], recorder=recorder, ran=self._ran
        )
        self._seen = Seen(os.path.abspath(task["root"]), self._observed.hold)

    def tell(self, event: str, **fields: Any) -> None:
        """Send an event to the parent."""
        told = {key: secrets.scrub(value) if isinstance(value, str) else value for key, value in fields.items()}
        data = json.dumps({"event": event, **told}).encode() + b"\n"
        with self._lock:
            try:
                self._channel.sendall(data)
            except OSError:
                pass  # the parent has gone: SIGTERM follows

    def serve(self, listeners: list[socket.socket]) -> None:
        """Load, warm up, serve until SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it drains us
        environ = self._task["environ"]
        os.environ.clear()
        os.environ.update(environ)
        sys.argv = [self._task["logic"]]
        if self._task.get("debugpy"):
            _debugpy(self._task["debugpy"])
        began = time.perf_counter()
        effe, fault = self._load()
        settings = self._settings()
        if effe is None:
            assert fault is not None
            effe = fill_in(_Stand(fault_run(fault, self._observed)))
        else:
            self._observed.wrap(effe)
        self._server = server = Server(settings, effe, Records(self.tell), listeners, observer=self._observed)
        self._observed.server = server
        if fault is None:
            self._phase("start", self._warm)
        self.files()
        if fault is None:
            self.tell("ready", seconds=time.perf_counter() - began, phases=self._phases)
        else:
            self.tell("broken", seconds=time.perf_counter() - began, fault=fault.as_dict())
        if self._observed.busy:
            self._observed.busy = False
            self.tell("released")
        if self._stopping.is_set():
            server.shutdown()
        for fd in self._task.get("adopted", ()):
            server.adopt(socket.socket(fileno=fd), "")
        server.serve()

    def files(self) -> None:
        """Tell the parent of files that the effe has begun to use."""
        found = self._seen.news()
        if found:
            self.tell("files", files=found)

    def _ran(self) -> None:
        if self._seen.stale():
            self.files()

    def _load(self) -> tuple[Effe | None, Fault | None]:
        task = self._task
        if task.get("fault"):
            return None, Fault(**task["fault"])
        root = os.path.abspath(task["root"])
        if root not in sys.path:
            sys.path.insert(0, root)
        self._seen.install()
        code = "E305"
        error: BaseException
        try:
            secrets.supply(*secrets.declared(task["needs"]), os.environ)
        except secrets.NeedError as missing:
            return None, Fault("E311", missing.message, fix=f"--env-file FILE, or {missing.fix}")
        try:
            effe: Effe = self._phase("import", self._import)
            code = "E306"
            self._phase("init", effe.init)
            return effe, None
        except LogicError as wrong:
            error = wrong
            fault = Fault("E120", str(wrong))
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:  # SystemExit too: an import that exits must not end the loop
            error = wrong
            fault = fault_of(wrong, code, "init: " if code == "E306" else "")
        self.tell("files", files=[*faulty_file(error, root), os.path.abspath(task["logic"])])
        return None, fault

    def _import(self) -> Effe:
        name, path = self._task["module"], os.path.abspath(self._task["logic"])
        spec = importlib.util.spec_from_file_location(name, path, loader=Fresh(name, path))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return fill_in(module)

    def _phase(self, name: str, function: Any) -> Any:
        began = time.perf_counter()
        try:
            return function()
        finally:
            self._phases[name] = time.perf_counter() - began

    def _warm(self) -> None:
        """Start a context before the first request: the old child serves until then."""
        assert self._server is not None
        pool = self._server.pool
        lease = pool.start()
        if lease is not None:
            if lease.pooled:
                pool.give(lease)
            else:
                pool.retire(lease)

    def _settings(self) -> Settings:
        try:
            settings = parse([], {k: v for k, v in os.environ.items() if k.startswith("EFFE_")})
        except FlagError as wrong:
            self.tell("note", text=str(wrong))
            settings = parse([], {})
        if self._task.get("debugpy"):
            settings.timeout = settings.grace = NEVER  # a breakpoint set in an editor is nobody's slow run
        return settings

    def _stop(self, number: int, frame: Any) -> None:
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            threading.Thread(target=self._tell_drained, args=(self._server,), daemon=True).start()

    def _tell_drained(self, server: Server) -> None:
        """Say when no new connection comes here any more: only then is the other child alone."""
        while not server.draining:
            time.sleep(0.001)
        self.tell("draining")


class _Stand:
    """Stand for a module that could not be loaded."""

    def __init__(self, run: Any) -> None:
        self.run = run


def _debugpy(port: int) -> None:
    from importlib import import_module

    import_module("debugpy").listen(("127.0.0.1", port))  # of the effe's environment, not of the tool's


def main() -> None:
    """Wait for a task on the channel that is named by its descriptor, then serve: `child CHANNEL LISTENER…`."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    listeners = [socket.socket(fileno=int(fd)) for fd in sys.argv[2:]]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = bytearray()
    while not line.endswith(b"\n"):
        data = channel.recv(65536)
        if not data:
            return  # not needed any more
        line += data
    for sock in (channel, *listeners):
        sock.set_inheritable(False)
    Child(channel, json.loads(line)).serve(listeners)
