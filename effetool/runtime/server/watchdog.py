"""Keep the server's threads alive: each goes on after an error, is replaced when it ends, or ends the process.

A thread that ends unseen would leave every client waiting. So each of them runs in `persist`, which logs an error and
goes on. The thread in `Server.serve` looks once a second whether the leader's and the monitor's threads still live, for
an error may also come where nothing can catch it (a late asynchronous exception). What cannot go on, or cannot be
replaced because the system has no threads left, fails: the server ends, and the process with an exit code of 1, so that
a supervisor starts it again.
"""

from __future__ import annotations

import threading
from time import monotonic, sleep

from ..telemetry.log import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..telemetry.log import Log
    from .core import Core

# Seconds between two looks, and how many looks in vain end the server.
LOOK, LOOKS = 1.0, 5
# A leader that has not polled for so many seconds is stuck; how long `alive` waits for one that was just asleep.
STUCK, PATIENCE = 5.0, 1.0
# So many errors, each within so many seconds of the one before, are not an accident.
ERRORS, ACCIDENTS = 8, 10.0


class Watchdog:
    """Look after one server's threads. `failure` says why the server cannot go on, once that is so."""

    def __init__(self, server: Core) -> None:
        self.failure: str | None = None
        self._server = server
        self._lost = 0

    def look(self) -> None:
        """Replace a monitor or a leader whose thread has ended. For the thread in `serve` alone. Never raises."""
        server = self._server
        if server.ended or self.failure:
            return
        try:
            if not server.monitor.lives():
                server.monitor.start()
                server.log.error("the monitor had ended: it is replaced")
            with server.lock:  # a change of the leader is under it, so none is seen half done
                lost = not (server.leader.leading and server.leader.lives())
                if lost:
                    follower = server.reserve()
                    if follower is None:
                        raise RuntimeError("no thread can lead")
                    server.leader.leading = False
                    follower.promote()
            if lost:
                server.log.error("the leading thread had ended: it is replaced")
            self._lost = 0
        except Exception as error:
            self._lost += 1
            if self._lost >= LOOKS:
                self.fail(describe(error))

    def fail(self, why: str) -> None:
        """End the server at once, as failed. From any thread."""
        self.failure = self.failure or why
        self._server.tell()

    def alive(self) -> bool:
        """Whether the leader polls: what /live says. Waits a moment for one that was stopped with all the process."""
        until = monotonic() + PATIENCE
        while monotonic() - self._server.leader.mark > STUCK:
            if monotonic() > until:
                return False
            sleep(0.02)
        return self.failure is None

    def persist(self, name: str, work: Callable[[], None]) -> None:
        """Do `work` until it returns: after an error once more, a little later each time.

        Raises the error that is not an accident any more, after `fail`.
        """
        errors, last = 0, 0.0
        while True:
            try:
                work()
                return
            except BaseException as error:
                now = monotonic()
                errors = errors + 1 if now - last < ACCIDENTS else 1
                last = now
                if errors > ERRORS:
                    self.fail(f"{name} cannot go on")
                    raise
                self._server.log.critical(f"{name} failed and goes on", exc=error)
            sleep(0.005 * 2**errors)


def spawn(work: Callable[[], None], log: Log) -> bool:
    """Do `work`, which calls an author's stop(), in a thread of its own; False where the system has none left."""
    try:
        threading.Thread(target=work, name="effe-stop", daemon=True).start()
    except (RuntimeError, MemoryError, OSError) as error:
        log.error("stop() is called later: the system has no thread left", exc=error)
        return False
    return True
