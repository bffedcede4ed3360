"""Keep several workers at the same port: start them, replace those that die, exchange all of them on SIGHUP.

The parent runs no code of the author. It holds the listening sockets for as long as it lives, so a
connection that waits to be accepted is never lost, whichever worker ends, dies or is exchanged. It starts a
worker by running the file at its own path again (not by forking itself), so SIGHUP brings the code that
lies there now; if that does not start, the old workers stay.

A worker that dies is replaced at once if it had lived for a while, else after a pause that doubles (to half
a minute): a crash in a loop must not burn the machine. If no worker ever gets ready, the parent gives up:
the first start is a test.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time

from .. import secrets
from ..flags import NEVER
from ..signals import HEARD, Signals
from . import protocol, sd_notify
from . import sockets as listeners
from .lifecycle import Idle, age, announce, failed
from .worker_handle import Worker, command, spawn
from .worker_stats import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..flags import Settings
    from ..info import Info
    from ..telemetry.log import Log
    from .admin import Admin

# A worker that lived this long had a life: its death is an accident, not a loop.
_LIFE = 10.0
_PAUSE, _LONGEST = 0.1, 30.0
# What a worker gets beyond -grace before SIGKILL: stop() of its contexts.
_BEYOND = 5.0


class Workers:
    """The parent. All of it runs in its main thread; the admin listener's threads ask its tally."""

    def __init__(self, settings: Settings, known: Info, log: Log, sockets: list[list[socket.socket]]) -> None:
        self.settings, self.known, self.log, self.sockets = settings, known, log, sockets
        self.command = command()
        self.environ = dict(os.environ)
        self.notify = {"NOTIFY_SOCKET": self.environ.pop("NOTIFY_SOCKET", "")}
        self.tally = Tally(lambda: self.stopping)
        self.alive = self.tally.alive
        self.due: dict[int, float] = {}  # number -> when its replacement starts
        self.pauses = [0.0] * len(sockets)
        self.roll: list[int] = []  # the numbers a reload has still to exchange
        self.announced = self.stopping = self.reloading = self.hungup = False
        self.deadline = 0.0
        self.code = 0
        self.idle = Idle(settings.idle_exit)
        self.selector = selectors.DefaultSelector()
        self.admin: Admin | None = None

    def run(self) -> int:
        """Keep the workers until a signal ends all; return the exit code."""
        signals = Signals(*HEARD, signal.SIGCHLD)
        self.selector.register(signals.reader, selectors.EVENT_READ)
        for listeners_ in self.sockets:
            listeners.listen(listeners_)
        if self.settings.admin:
            from .admin import Admin

            self.admin = Admin(self.settings, self.tally.dead, self.tally.wrong, self.tally.metrics, self.known.text)
        for number in range(len(self.sockets)):
            self.start(number)
        while self.alive or self.due:
            for key, _ in self.selector.select(self.timeout()):
                if key.data is None:
                    for number in signals.read():
                        self.signalled(number)
                else:
                    self.hear(key.data)
            self.clock()
        if self.admin:
            self.admin.close()
        self.log.info("stopped")
        return self.code

    def signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self.reap()
        elif number == signal.SIGHUP and not self.announced:
            self.hungup = True  # one worker answers already, and others are still to come: reload when all are there
        elif number == signal.SIGHUP and not self.stopping:
            self.log.info("reloading", file=self.command[0])
            sd_notify.notify(self.notify, "RELOADING=1")
            self.roll = list(range(len(self.sockets)))
            if not any(worker.old for worker in self.alive.values()):
                self.exchange()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self.stop(signal.Signals(number).name)

    def timeout(self) -> float | None:
        """Return how long there is nothing to do by the clock."""
        moments = [*self.due.values()]
        if self.stopping:
            moments.append(self.deadline)
        elif self.announced and self.idle.limit < NEVER:
            moments.append(self.idle.next)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def clock(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for number in [number for number, moment in self.due.items() if moment <= now]:
            del self.due[number]
            self.start(number)
        if self.stopping and now >= self.deadline:
            self.deadline = now + _BEYOND
            for worker in self.alive.values():
                worker.send(signal.SIGKILL)
        elif not self.stopping and self.announced and now >= self.idle.next:
            if self.idle.over(self.tally.total()):
                self.stop("idle")
            for worker in self.alive.values():
                worker.tell(protocol.STATUS)  # for the next time

    def stop(self, reason: str) -> None:
        """Let every worker drain; called again, it means now."""
        first = not self.stopping
        if first:
            self.log.info("stopping", reason=reason)
            sd_notify.notify(self.notify, "STOPPING=1")
            self.stopping = True
            self.deadline = time.monotonic() + self.settings.grace + _BEYOND
            self.due.clear()
            self.roll.clear()
        for worker in self.alive.values():
            # One that a reload has dismissed drains already: a second signal would mean "now" to it.
            if not first or worker.state != "leaving":
                worker.send(signal.SIGTERM)

    # ---- processes

    def start(self, number: int, old: Worker | None = None) -> None:
        """Start a worker with the sockets of this number."""
        try:
            worker = spawn(self.command, self.environ, number, self.sockets, old)
        except OSError as error:  # no memory, or the file is just being replaced
            self.log.error("a worker cannot be started", error, worker=number)
            self.failed(number, old)
            return
        self.tally.add(worker)
        self.selector.register(worker.control, selectors.EVENT_READ, worker)

    def reap(self) -> None:
        """Take leave of the children that ended; as PID 1, of orphans too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.alive:
                self.ended(self.alive[pid], status)

    def ended(self, worker: Worker, status: int) -> None:
        """Count a worker that is no more, and replace it if it should still be."""
        self.hear(worker)  # its last words
        self.close(worker)
        self.tally.remove(worker)
        if self.stopping or worker.state == "leaving":
            self.reloaded()
            return
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        self.log.critical("a worker died", worker=worker.number, pid=worker.pid, exit_code=code)
        self.tally.restarts += 1
        if time.monotonic() - worker.begun > _LIFE:
            self.pauses[worker.number] = 0.0
        self.failed(worker.number, worker.old, began=worker.state != "starting")

    def failed(self, number: int, old: Worker | None, began: bool = False) -> None:
        """Go on after a worker that did not start, or died."""
        if not self.announced and not began:  # one that began to answer did start, though others have still to
            self.code = 1
            self.stop("a worker does not start")
            return
        if old is not None:
            self.roll.clear()
            self.log.error("not reloaded: the new file does not start; the old workers go on", file=self.command[0])
            sd_notify.notify(self.notify, "READY=1")
        if not any(worker.number == number and worker.state != "leaving" for worker in self.alive.values()):
            pause = self.pauses[number]
            self.pauses[number] = min(_LONGEST, 2 * pause or _PAUSE)
            self.due[number] = time.monotonic() + pause
            if self.sockets[number] is not self.sockets[number - 1]:
                self.tell(protocol.HELP, number)  # who waits at its socket, and who comes

    def tell(self, word: bytes, about: int) -> None:
        """Send every worker that is ready a word of the protocol, about the worker of that number."""
        for worker in self.alive.values():
            if worker.state == "ready":
                worker.tell(word, about)

    def exchange(self) -> None:
        """Start the successor of the next worker of a reload."""
        number = self.roll.pop(0)
        self.due.pop(number, None)
        current = [worker for worker in self.alive.values() if worker.number == number and worker.state != "leaving"]
        self.start(number, current[0] if current else None)

    def reloaded(self) -> None:
        """Say that a reload is done: when the last of the old workers has ended, for until then it may still answer."""
        if self.reloading and not any(worker.state == "leaving" for worker in self.alive.values()):
            self.reloading = False
            self.log.info("reloaded")
            sd_notify.notify(self.notify, "READY=1")

    # ---- what workers say

    def hear(self, worker: Worker) -> None:
        """Read what a worker has said."""
        for line in worker.lines():
            if line == protocol.READY:
                self.ready(worker)
            elif line == protocol.SERVING:
                worker.state = "serving" if worker.state == "starting" else worker.state
            else:
                self.tally.said(worker, line)
        if worker.silent:  # it is ending; its process is reaped by SIGCHLD
            self.close(worker)

    def close(self, worker: Worker) -> None:
        """Listen to it no more."""
        if worker.control.fileno() >= 0:
            self.selector.unregister(worker.control)
            worker.control.close()

    def ready(self, worker: Worker) -> None:
        """Let a worker that answers take its place."""
        if worker.state == "leaving":  # its successor was sooner
            return
        old, worker.old = worker.old, None
        worker.state, worker.wrong = "ready", None
        if self.stopping:
            return
        if old is not None and old.pid in self.alive:
            old.state = "leaving"
            old.send(signal.SIGTERM)
        self.tell(protocol.LEAVE, worker.number)
        if self.roll:
            if not any(each.old for each in self.alive.values()):
                self.exchange()
        elif old is not None:
            self.reloading = True
            self.reloaded()
        elif not self.announced and all(each.state == "ready" for each in self.alive.values()):
            self.announced = True
            self.idle.next = time.monotonic() + self.idle.limit / 4
            if self.admin:
                self.admin.start()
            where = self.admin.address if self.admin else None
            announce(self.log, self.known, self.sockets[0], self.settings, age(), where)
            sd_notify.notify(self.notify, "READY=1")
            if self.hungup:
                self.signalled(signal.SIGHUP)


def supervise(settings: Settings, known: Info, log: Log) -> int:
    """Serve in `-workers` processes until a signal ends them; return the exit code."""
    if known.needs:
        try:
            secrets.supply(*secrets.declared(known.needs), os.environ, keep=False)
        except secrets.NeedError as error:
            return failed(log, str(error))
    count = settings.workers or cpus()
    sockets: list[list[socket.socket]] = []
    try:
        sockets = _sockets(settings, count)
        return Workers(settings, known, log, sockets).run()
    except listeners.ListenError as error:
        return failed(log, str(error))
    finally:
        for each in sockets:
            listeners.close(each)


def _sockets(settings: Settings, count: int) -> list[list[socket.socket]]:
    """Bind the port once for each worker (SO_REUSEPORT), so that the kernel spreads connections over them.

    With one socket for all, the worker that wakes first takes every connection of a burst, and keeps it (measured: 99 %
    of the requests of 64 connections). A Unix socket and an inherited one are shared all the same: there is only one.
    """
    first = listeners.bind(settings, os.environ)
    if settings.unix is not None or listeners.listening(first[0]) or not hasattr(socket, "SO_REUSEPORT"):
        return [first] * count
    # Bound once without the option: else a second effe on the same port would join in, instead of being told.
    port = first[0].getsockname()[1]
    listeners.close(first)
    return [listeners.tcp(settings.host, port, reuse_port=True) for _ in range(count)]


def cpus() -> int:
    """Return how many CPUs this process may use: the affinity mask, and a container's quota rounded up."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    try:
        # cgroup v2; "max 100000" is no quota.
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        count = min(count, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, count)
