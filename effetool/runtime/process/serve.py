"""Run one process that serves: load the author's module, open the port, answer, drain, stop.

After init a thread waits for signals (signals.py) while the server's threads serve; the main thread runs nothing but
the author's signal handlers. So SIGTERM is heard whatever a run or a handler is doing, also as PID 1, where the kernel
drops a signal nobody handles.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time

from .. import secrets
from ..contract import logic
from ..errors import LogicError
from ..flags import NEVER
from ..signals import HEARD, Ended, Signals
from ..telemetry import metrics
from ..telemetry.log import describe, prepare
from . import sd_notify
from . import sockets as listeners
from .lifecycle import Idle, age, announce, attend, failed, leave

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from ..contract.logic import Effe
    from ..flags import Settings
    from ..info import Info
    from ..server.server import Server
    from ..server.tls import Wrapper
    from ..telemetry.log import Log

# After so long, seconds, a thread that computes yields to those that wait for the interpreter (Python's own: 0.005).
# Beside two runs that compute, the leader serves twice as much, at half the p99; where nobody waits, it costs nothing.
SWITCH = 0.0005
# Of the collector, while the author's module is imported (Python's own: 700): nothing it makes then is garbage yet.
IMPORTED = 100_000


def serve(settings: Settings, known: Info, log: Log) -> int:
    """Serve in this process until a signal ends it; return the exit code."""
    try:
        sockets = listeners.bind(settings, os.environ)
    except listeners.ListenError as error:
        return failed(log, str(error))
    notify = os.environ.pop("NOTIFY_SOCKET", "")
    process = Process(settings, known, log, sockets)
    try:
        return process.run({"NOTIFY_SOCKET": notify})
    finally:
        listeners.close(sockets)


class Process:
    """One serving process: its effe, its server, its signals."""

    def __init__(self, settings: Settings, known: Info, log: Log, sockets: list[socket.socket]) -> None:
        self.settings, self.known, self.log, self.sockets = settings, known, log, sockets
        self.startup = 0.0
        self.tls: Wrapper | None = None
        self.server: Server
        self.effe: Effe

    def prepare(self) -> int:
        """Load the author's module, run its init, make the server; return 0, or 1 after saying what failed."""
        if self.settings.cert:
            from ..server.tls import CertificateError, Wrapper

            try:
                self.tls = Wrapper(self.settings)
            except CertificateError as error:
                return failed(self.log, str(error))
        if self.known.needs:
            try:
                secrets.supply(*secrets.declared(self.known.needs), os.environ)
            except secrets.NeedError as error:
                return failed(self.log, str(error))
        # An author who knows better sets his own of both, at import or in init.
        sys.setswitchinterval(SWITCH)
        threading.excepthook = self._thread_failed
        try:
            self.effe = self._load()
        except LogicError as error:
            return failed(self.log, str(error))
        except Ended:
            raise
        except BaseException as error:  # SystemExit too: sys.exit() at import is no way to serve
            return failed(self.log, f"{self.known.source or self.known.module} cannot be imported", error)
        try:
            self.effe.init()
        except Ended:
            raise
        except BaseException as error:
            return failed(self.log, "init() failed", error)
        from ..server.server import Server

        self.server = Server(self.settings, self.effe, self.log, self.sockets, self.tls)
        return 0

    def _load(self) -> Effe:
        """Import the author's module. The collector looks through what it makes neither now nor later."""
        usual = gc.get_threshold()
        gc.set_threshold(IMPORTED, *usual[1:])
        effe = logic.load(self.known.module, self.known.source)
        if gc.get_threshold()[0] == IMPORTED:  # else the author has set his own
            gc.set_threshold(*usual)
        gc.freeze()
        return effe

    def run(self, environ: dict[str, str]) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code."""
        signals = Signals(*HEARD)
        try:
            code = signals.during(self.prepare, signal.SIGTERM, signal.SIGINT)
        except Ended as ended:
            self.log.info("stopped before it was ready", reason=signal.Signals(ended.args[0]).name)
            return leave(0)
        if code:
            return code
        try:
            return leave(signals.apart(lambda: self._serve(signals, environ)))
        except (RuntimeError, MemoryError) as error:
            return leave(failed(self.log, "cannot serve", error))

    def _serve(self, signals: Signals, environ: dict[str, str]) -> int:
        """Open the ports, answer, drain; return the exit code. Raises RuntimeError: there is no thread left."""
        admin = None
        try:
            listeners.listen(self.sockets)
            if self.settings.admin:
                from .admin import Admin

                admin = Admin(
                    self.settings, self.live, self.readiness(),
                    lambda: metrics.exposition(self.snapshot()), self.known.text,
                )  # fmt: skip
        except listeners.ListenError as error:
            return failed(self.log, str(error))
        thread = self.begin(signals)
        if admin:
            admin.start()
        if self.server.watchdog.failure:
            return self.ended()
        announce(self.log, self.known, self.sockets, self.settings, self.startup, admin.address if admin else None)
        sd_notify.notify(environ, "READY=1")
        prepare()

        def stopping(name: str) -> None:
            self.log.info("stopping", reason=name)
            sd_notify.notify(environ, "STOPPING=1")

        idle = Idle(self.settings.idle_exit)
        attend(
            signals,
            thread,
            self.server.shutdown,
            stopping=stopping,
            reload=self.reload,
            idle=lambda: idle.over(self.snapshot()),
            every=idle.limit / 4 if idle.limit < NEVER else None,
        )
        if admin:
            admin.close()
        return self.ended()

    def ended(self) -> int:
        """Say how the server ended; return the exit code: 1 where it could not go on."""
        failure = self.server.watchdog.failure
        if failure is None:
            self.log.info("stopped")
            return 0
        self.log.critical("stopped: the server could not go on", reason=failure)
        return 1

    def begin(self, signals: Signals) -> threading.Thread:
        """Start to answer, in a thread; it wakes `signals` at its end. Raises RuntimeError: there is no thread left."""

        def work() -> None:
            try:
                self.server.serve()
            except BaseException as error:
                self.log.critical("the server failed", error)
                self.server.watchdog.fail(describe(error))
            finally:
                signals.wake()

        thread = threading.Thread(target=work, name="effe-serve", daemon=True)
        thread.start()
        while not self.server.ready and thread.is_alive():
            time.sleep(0.001)  # the thread's first steps; what says "ready" must be true
        self.startup = age()
        return thread

    def reload(self) -> None:
        """Do what SIGHUP asks of a process without a parent: the certificate anew; new code needs a new process."""
        if self.tls is None:
            self.log.warning("SIGHUP: new code needs -workers")
            return
        from ..server.tls import CertificateError

        try:
            self.tls.reload()
            self.log.info("SIGHUP: the certificate is read again; new code needs -workers")
        except CertificateError as error:
            self.log.error(f"SIGHUP: the old certificate stays: {error}")

    def _thread_failed(self, told: threading.ExceptHookArgs) -> None:
        """Write the failure of an author's thread as one record; on stderr it would be lines in no form."""
        if told.exc_type is not SystemExit:
            self.log.critical("a thread failed", told.exc_value, thread=told.thread.name if told.thread else None)

    def live(self) -> str | None:
        """Return None while the leader polls, or what is wrong."""
        return None if self.server.watchdog.alive() else "no thread leads"

    def readiness(self) -> Readiness:
        """Make what /ready asks."""
        return Readiness(self.serving, self.effe.ready, self.log)

    def serving(self) -> bool:
        """Whether new requests are served."""
        return self.server.ready and self.server.watchdog.alive()

    def snapshot(self) -> metrics.Snapshot:
        """Return the counts and gauges of this process."""
        server, pool = self.server, self.server.pool
        counts, in_use = server.stats.snapshot(), pool.in_use
        return {
            "requests": counts.statuses[1:],
            "refused": [*server.refusals.counts],
            "request_duration_seconds": [counts.seconds, *counts.buckets],
            "requests_in_flight": in_use,
            "queue_length": len(server.waiting),
            "contexts_started": pool.started,
            "contexts_dropped": pool.dropped,
            "contexts_in_use": in_use,
            "contexts_idle": len(pool.idle),
            "connections_accepted": server.stats.connections,
            "connections": server.connections,
            "log_records_dropped": self.log.lost,
            "startup_seconds": self.startup,
        }


class Readiness:
    """Ask the author's `ready()`, one call at a time: one that hangs is an answer too, and costs one thread."""

    def __init__(self, serving: Callable[[], bool], function: Callable[[], Any] | None, log: Log) -> None:
        self._serving, self._function, self._log = serving, function, log
        self._asking = threading.Lock()
        self._raised: type[Exception] | None = None

    def __call__(self) -> str | None:
        """Return None, or why no request should be sent."""
        if not self._serving():
            return "not serving"
        if self._function is None:
            return None
        if not self._asking.acquire(timeout=1):
            return "ready() has not returned"
        try:
            answer = self._function()
            self._raised = None
        except Exception as error:
            if type(error) is not self._raised:  # once, not at each probe; a client is told no more than the type
                self._log.error("ready() raised", error)
            self._raised = type(error)
            return f"ready() raised {type(error).__name__}"
        finally:
            self._asking.release()
        # Returning nothing is as good as True: a function that only raises is natural here.
        return None if answer is None or answer else "ready() says no"
