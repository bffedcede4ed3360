"""What a server holds for all its clients, and who goes when that is too much: connections, octets, contexts.

Connections, listeners and threads know the server as a `Core`; it knows them as a Source, a Lifecycle and a Leader.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from socketserver import BaseServer
from time import monotonic

from ..errors import HTTPError
from ..http.head import Clock
from ..http.parser import Limits
from ..telemetry.counters import Stats
from ..telemetry.refusals import CROWDED, UNREAD, WAITING, Refusals
from .context_pool import Pool
from .states import ASKING, BODY, FLUSH, IDLE, QUEUED, Lifecycle, rank
from .stdlib_http import HTTPServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..contract.logic import Effe
    from ..flags import Settings
    from ..telemetry.log import Log
    from .cpu_priority import Effort
    from .observer import Observer
    from .poller import Epoll, Selector
    from .source import Source

    class Leader(Protocol):
        """A thread that leads, or may (leader.Runner)."""

        leading: bool
        mark: float  # monotonic seconds
        slot: list[Any]
        wake: threading.Lock
        effort: Effort
        thread: threading.Thread | None

        def start(self) -> None: ...
        def lives(self) -> bool: ...
        def promote(self) -> None: ...
        def demote(self, connection: Any, request: Any, /) -> None: ...
        def recover(self, error: BaseException, source: Any, /) -> None: ...

    class Watcher(Protocol):
        """The thread that looks whether the leader is stuck (leader.Monitor)."""

        parked: bool
        polls: int
        busy: bool

        def start(self) -> None: ...
        def lives(self) -> bool: ...
        def unpark(self) -> None: ...

    class Keeper(Protocol):
        """Keeps threads alive (watchdog.Watchdog)."""

        def persist(self, name: str, work: Callable[[], None], /) -> None: ...


# Of the descriptors that are left when the server begins, those that no connection takes: the author's files, databases
# and programs. A quarter, and as many as that at most.
SPARED = 1024
# A reader that has just begun is given so long (seconds) before it is cut off, where too much waits for all of them.
BEGINNING = 0.1
# A run that has waited for its client so long (seconds) gives its context to a request that waits for one.
STUCK = 3.0


class Core(HTTPServer):
    """The shared part of a server: its state, and what connections, listeners and threads change of it."""

    # Written by the leader or under the lock; read by all. A plain attribute each: they are read for each request.
    RunnerClass: type[Any]  # makes a thread that can lead, of a Core
    leader: Leader
    monitor: Watcher
    watchdog: Keeper
    poller: Epoll | Selector
    explicit: bool  # a closed descriptor does not leave the poll by itself
    wake: Callable[[], None]  # interrupts the poll
    pending = 0  # octets of answers that wait for their readers
    unfinished = 0  # octets of requests that are not complete, or have not begun to run
    crowded = False  # a listener waits for the end of a connection

    def __init__(
        self,
        address: Any,
        handler: Any,
        settings: Settings,
        logic: Effe,
        log: Log,
        tls: Callable[[Any], Any] | None,
        observer: Observer | None,
    ) -> None:
        # TCPServer's constructor would open a socket of its own.
        BaseServer.__init__(self, address, handler)
        self.settings = settings
        self.log = log
        self.tls = tls
        self.observer = observer
        self.stats = Stats()
        self.refusals = Refusals(log if settings.access_log and observer is None else None)
        self.clock = Clock()
        self.pool = Pool(logic, settings.concurrency, log)
        self.idle = self.pool.idle
        self.run = logic.run
        self.access = settings.access_log or observer is not None
        self.limits = Limits(settings.max_header, settings.max_target, settings.max_headers)
        self.max_body = settings.max_body
        self.most_sources = 1  # the waker; each listener adds itself
        self.max_unread = settings.max_unread
        self.max_unfinished = settings.max_unfinished
        self.queue = settings.queue
        self.run_timeout = settings.timeout
        self.header_timeout = settings.header_timeout
        self.body_timeout = settings.body_timeout
        self.write_timeout = settings.write_timeout
        self.idle_timeout = settings.idle_timeout
        self.now = monotonic()
        self.next_tick = 0.0
        self.patience = 1.0
        self.lock = threading.Lock()
        self.sources: dict[int, Source] = {}
        self.waiting: deque[Lifecycle] = deque()  # each with its `current` request
        self.slow: dict[str, int] = {}
        self.computing: set[str] = set()  # of the slow ones, those that run at a lower priority
        self.draining = False
        self.ended = False
        self.forked = False
        self.followers: list[Leader] = []
        self.away: set[Leader] = set()  # threads in a run that has lost the lead; under the lock

    def tick(self, now: float, runner: Any) -> None:
        """Do what the passing of time asks for. The leader's; `now` is monotonic seconds."""
        raise NotImplementedError

    def tell(self) -> None:
        """Wake the thread in `serve`: there is news for it. From any thread."""
        raise NotImplementedError

    def reserve(self) -> Leader | None:
        """Take a follower, or start one; None where there are no more threads. Under the lock."""
        if self.followers:
            return self.followers.pop()
        try:
            runner: Leader = self.RunnerClass(self)
            runner.start()
        except (RuntimeError, MemoryError, OSError):
            return None
        return runner

    def enqueue(self, connection: Lifecycle) -> None:
        """Let the connection's request wait for a context."""
        connection.deadline = monotonic() + self.run_timeout
        with self.lock:
            connection.weigh(BODY)
            self.waiting.append(connection)

    def give_up(self, connection: Lifecycle, runner: Leader) -> None:
        """Refuse a request that has waited too long for a context."""
        with self.lock:
            if connection.state != QUEUED or connection not in self.waiting:
                return
            self.waiting.remove(connection)
            connection.to_idle()
        connection.refuse(overloaded(), runner)

    def pump(self, runner: Leader) -> None:
        """Serve requests that wait, as long as there are contexts."""
        while self.waiting:
            with self.lock:
                if not self.waiting or not (self.idle or self.pool.live < self.pool.limit):
                    return
                connection = self.waiting.popleft()
                request = connection.current
                assert request is not None
                if runner.leading:
                    connection.to_idle()
                    connection.current = None
                else:
                    connection.to_run(request)
            try:
                connection.go_on(request, runner)
            except BaseException as error:
                runner.recover(error, connection)

    def connected(self) -> list[Lifecycle]:
        """Return the connections there are now."""
        everything: list[Any] = list(self.sources.values())
        return [source for source in everything if source.is_client]

    def shed(self) -> bool:
        """Close the connections with the least progress, one in eight of them. False: none could be closed at once.

        One whose run waits for its client is cut off: its run ends with a ConnectionError, and then it is closed. Not
        those whose run does something, nor those that wait for a context: that is the effe's own work. As long as there
        are such, those that ask again and again are spared.
        """
        now = monotonic()
        everyone = self.connected()
        able = [c for c in everyone if c.state in (IDLE, BODY) or c.state >= FLUSH or c.waits]
        ranked = sorted((*rank(c, now), number) for number, c in enumerate(able))
        asking = sum(row[0] == ASKING for row in ranked)
        if asking < len(ranked):
            del ranked[len(ranked) - asking :]
        elif len(able) < len(everyone):
            return False
        closed = False
        for _, _, number in ranked[: len(able) // 8 + 1]:
            connection = able[number]
            if connection.waits:
                self.cut(connection)
            else:
                self.refusals.note(CROWDED, connection.peer()[0])
                # A reset where an answer is not complete: the client must not take it for one.
                connection.abort() if connection.state == FLUSH else connection.close()
                closed = True
        return closed

    def cut(self, connection: Lifecycle) -> None:
        """End the connection of a run that waits for its client."""
        with self.lock:  # under it the run begins and ends to wait, so the descriptor is this connection's still
            if not connection.waits:
                return
            connection.cut()
        self.refusals.note(WAITING, connection.peer()[0])

    def free(self, now: float) -> None:
        """Cut off runs that wait for a client without progress, while requests wait for their contexts."""
        stuck = [c for c in self.connected() if c.waits and now - c.moved >= STUCK]
        stuck.sort(key=lambda connection: connection.moved)
        for connection in stuck[: len(self.waiting)]:
            self.cut(connection)

    def unburden(self, runner: Leader) -> None:
        """Refuse the unfinished requests with the least progress, until what all of them hold is within its limit."""
        now = monotonic()
        able = [c for c in self.connected() if c.held and c.state in (IDLE, BODY)]
        able.sort(key=lambda connection: rank(connection, now))
        count = 0
        for connection in able:
            if self.unfinished <= self.max_unfinished * 7 // 8:
                break
            connection.refuse(overloaded(), runner)
            count += 1
        if count:
            self.log.warning("too many unfinished requests: the slowest are refused", connections=count)

    def hold(self, size: int) -> None:
        """Count what waits for slow readers. At three times the limit this cannot wait for the next tick."""
        with self.lock:
            self.pending += size
        if size > 0 and self.pending > 2 * self.max_unread:
            now = monotonic()
            if self.pending > 3 * self.max_unread and self.leader.thread is threading.current_thread():
                self.relieve(now)
            else:
                self.next_tick = min(self.next_tick, now + BEGINNING)
                self.wake()

    def relieve(self, now: float) -> None:
        """Cut off the readers that have stood still for longest, until what waits for all of them is within its limit.

        Spared is who has taken something in the last second; at twice the limit, in the last 0.1 s; at three times,
        only who has taken some of this answer in that time, and the newest. The leader's.
        """
        slow = [connection for connection in self.connected() if connection.state == FLUSH]
        slow.sort(key=lambda connection: connection.deadline)
        much, too_much = self.pending > 2 * self.max_unread, self.pending > 3 * self.max_unread
        since = now - (BEGINNING if much else 1.0)
        count = 0
        for connection in slow:
            if self.pending <= self.max_unread:
                break
            recent = connection.deadline - self.write_timeout > since
            if recent and (not too_much or connection.flows or connection is slow[-1]):
                continue
            self.refusals.note(UNREAD, connection.peer()[0])
            connection.abort()
            count += 1
        if count:
            self.log.warning("too much waits for slow readers: the slowest are cut off", connections=count)


def overloaded() -> HTTPError:
    """Make the answer of a server that has too much to do."""
    return HTTPError(503, "too busy: try again", {"Retry-After": "1"})


def room(most: int) -> int:
    """Return how many connections there may be: `most`, or what the limit of open files leaves beside the author's."""
    try:
        limit, taken = os.sysconf("SC_OPEN_MAX"), len(os.listdir("/dev/fd"))
    except (OSError, ValueError):
        return most
    left = max(1, limit - taken)
    return most if limit < 0 else min(most, max(1, left - min(left // 4, SPARED)))
