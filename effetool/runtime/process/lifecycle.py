"""What every serving process does at the edges of its life: say where it answers, wait for its end, fail, end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from .. import secrets
from ..signals import WOKEN
from ..stderr import fail
from ..telemetry.log import describe
from . import sockets as listeners

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ..flags import Settings
    from ..info import Info
    from ..signals import Signals
    from ..telemetry.log import Log
    from ..telemetry.metrics import Snapshot


class Idle:
    """Whether nothing has happened for `limit` seconds, looked at four times in that time."""

    def __init__(self, limit: float) -> None:
        self.limit, self.next = limit, time.monotonic() + limit / 4
        self._since, self._seen = time.monotonic(), -1.0

    def over(self, counts: Snapshot) -> bool:
        """Look; True when no connection is open and none came for as long as the limit."""
        now = time.monotonic()
        self.next = now + self.limit / 4
        accepted = counts.get("connections_accepted", 0)
        if counts.get("connections", 0) or accepted != self._seen:
            self._since, self._seen = now, accepted
        return now - self._since >= self.limit


def attend(
    signals: Signals,
    thread: threading.Thread,
    shutdown: Callable[[], None],
    *,
    stops: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT),
    stopping: Callable[[str], None] | None = None,
    reload: Callable[[], None] | None = None,
    idle: Callable[[], bool] | None = None,
    every: float | None = None,
) -> None:
    """Wait until the serving thread has ended. The first of the `stops` drains, a second one means now.

    `idle` is asked `every` so many seconds; when it says yes, that drains too.
    """
    asked = False
    while thread.is_alive():
        heard = signals.wait(every)
        if not heard and idle and not asked and idle():
            asked = True
            if stopping:
                stopping("idle")
            shutdown()
        for number in heard:
            if number in stops:
                if not asked and stopping:
                    stopping(signal.Signals(number).name)
                asked = True
                shutdown()
            elif number == signal.SIGHUP and reload:
                reload()
            elif number == WOKEN:
                thread.join()


def announce(
    log: Log, known: Info, sockets: list[socket.socket], settings: Settings, startup: float, admin: str | None
) -> None:
    """Say that the effe answers, and where; on stderr too, when the log goes elsewhere."""
    scheme = "https" if settings.cert else "http"
    where = ", ".join(dict.fromkeys(listeners.address(listener, scheme) for listener in sockets))
    fields: dict[str, object] = {"address": where, "startup_ms": round(startup * 1000)}
    if admin:
        fields["admin"] = admin
    log.info(f"{known.title} is ready", **fields)
    if log.form == "syslog":
        print(f"{known.title} is ready at {where}", file=sys.stderr)


def failed(log: Log, message: str, error: BaseException | None = None) -> int:
    """Say why the effe cannot start: at the author's own line if there is one. Return the exit code 1."""
    if log.form != "text":
        log.critical(message, error)
    if log.form != "json":
        fail(secrets.scrub(f"{message}: {describe(error)}\n{_place(error)}" if error else message), 1)
    return 1


def leave(code: int) -> int:
    """End although a thread may be stuck in a run that does not return: return `code`, or do not return."""
    stuck = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if stuck:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def age() -> float:
    """Return the seconds since this process started (in steps of 10 ms), 0.0 where the system does not say."""
    try:
        with open("/proc/self/stat", "rb") as file:
            # proc_pid_stat(5): starttime is field 22, in clock ticks since boot; the name before it may
            # hold spaces.
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return 0.0


def _place(error: BaseException) -> str:
    """Show the line of the author that an exception comes from, as an editor can jump to it."""
    import linecache

    from ..telemetry.log import own_folder

    if isinstance(error, SyntaxError) and error.filename:
        return f"  {error.filename}:{error.lineno}\n    {(error.text or '').strip()}"
    own, stdlib = own_folder(), os.path.dirname(os.__file__)
    best = None
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.startswith((own, stdlib, "<frozen")):
            best = trace
        trace = trace.tb_next
    if best is None:
        return ""
    code = best.tb_frame.f_code
    line = linecache.getline(code.co_filename, best.tb_lineno, best.tb_frame.f_globals).strip()
    return f"  {code.co_filename}:{best.tb_lineno}, in {code.co_name}\n    {line}"
