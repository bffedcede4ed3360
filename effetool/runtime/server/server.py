"""The server: its sockets, its limits, its threads, and its end. See docs/explanation/server.md for the design."""

from __future__ import annotations

import threading
from collections import deque
from socketserver import BaseServer
from time import monotonic

from ..http.head import Clock
from ..http.parser import Limits
from ..telemetry.counters import Stats
from . import fork
from .connection import Connection
from .context_pool import Pool
from .core import Core, room
from .exchange import overloaded
from .leader import Monitor, Runner
from .listener import Listener, Waker
from .poller import READ, Selector, poller
from .states import BODY, DRAIN, IDLE, LINGER_SECONDS, QUEUED, RUN
from .watchdog import LOOK, Watchdog, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from ..contract.logic import Effe
    from ..flags import Settings
    from ..telemetry.log import Log
    from .observer import Observer

# How exact the time-outs are, and how often all connections are looked at (1 ms for 10,000 of them).
TICK = 0.25
# What the contexts have for their stop() beyond -grace, and once a second signal has said "now".
STOPPING, NOW = 3.0, 1.0
# While draining, an idle connection may still bring a request that was on its way; then it is closed.
LAST_CALL = 0.25


class Server(Core):
    """Serve an effe on sockets that are bound already.

    `serve` blocks until `shutdown` was called and everything is answered; `adopt` serves one connected socket. The
    author's `init` has run before; his contexts are stopped at the end of `serve`. `observer` hears of every run.
    """

    # Written by the leader or under the lock; read by all. A plain attribute each: they are read for each request.

    def __init__(
        self,
        settings: Settings,
        logic: Effe,
        log: Log,
        sockets: list[socket.socket],
        tls: Callable[[Any], Any] | None = None,
        observer: Observer | None = None,
    ) -> None:
        # TCPServer's constructor would open a socket of its own.
        BaseServer.__init__(self, sockets[0].getsockname() if sockets else ("", 0), Connection)
        self.settings = settings
        self.log = log
        self.tls = tls
        self.observer = observer
        self.stats = Stats()
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
        self.sources: dict[int, Any] = {}
        self.waiting: deque[Connection] = deque()  # each with its `current` request
        self.slow: dict[str, int] = {}
        self.computing: set[str] = set()  # of the slow ones, those that have stepped aside
        self.draining = False
        self.ended = False
        self.forked = False
        self._sweeping = threading.Lock()
        self._asked = 0
        self._ends_at = float("inf")
        self._serving = False
        self.watchdog = Watchdog(self)
        self._waker = Waker(self)
        self.wake = self._waker.wake
        self.poller = poller(self.wake)
        self.explicit = isinstance(self.poller, Selector)
        self.poller.register(self._waker.fd, READ)
        self.sources[self._waker.fd] = self._waker
        self._listeners = [Listener(sock, self) for sock in sockets]
        self.followers: list[Runner] = []
        self.away: set[Runner] = set()  # threads in a run that has lost the lead; under the lock
        self.monitor = Monitor(self)
        self.leader = Runner(self)
        self.most_sources += room(settings.max_connections)
        # Released when there is news for the thread in `serve`.
        self._news = threading.Lock()
        self._news.acquire()

    @property
    def ready(self) -> bool:
        """Whether new requests are served: true from `serve` until `shutdown`."""
        return self._serving and not self._asked

    @property
    def connections(self) -> int:
        """Open connections."""
        return sum(1 for source in list(self.sources.values()) if isinstance(source, Connection))

    def serve(self) -> None:
        """Serve until `shutdown`. The calling thread only waits, so that signals are handled at once."""
        fork.serving.append(self)
        try:
            self.leader.start()
            with self.lock:
                self.leader.promote()
            self.monitor.start()
            self._serving = True
            while not (self.ended or self.watchdog.failure):
                left = self._ends_at - monotonic()
                if self._asked > 1 or left <= 0:
                    break
                self._news.acquire(timeout=min(left, LOOK))
                self.watchdog.look()
        finally:
            self._end()

    def shutdown(self) -> None:
        """Stop gracefully: answer what is under way within the grace time. A second call: stop now.

        Returns at once; may be called from a signal handler and from any thread.
        """
        self._asked += 1
        self._ends_at = min(self._ends_at, monotonic() + self.settings.grace)
        self.wake()
        self.tell()

    def tell(self) -> None:
        """Wake the thread in `serve`: there is news for it. From any thread."""
        try:
            self._news.release()
        except RuntimeError:
            pass  # it knows

    def listen(self, sock: socket.socket) -> Listener:
        """Take the connections of one more listening socket, until the returned listener is closed. From any thread."""
        listener = Listener(sock, self)
        self._listeners.append(listener)
        self.wake()
        return listener

    def adopt(self, sock: Any, address: Any) -> None:
        """Serve a socket that is connected already; it is the server's from here on. From any thread."""
        Connection(sock, address, self).park(IDLE, READ)

    def _end(self) -> None:
        with self.lock:
            self.ended = True
            followers, self.followers = self.followers, []
        self.wake()
        for follower in followers:
            follower.wake.release()
        for source in list(self.sources.values()):
            if isinstance(source, Connection):
                with self.lock:
                    if source.current is not None:
                        source.current.abandoned = True
                source.abort()
        self._stop_contexts()
        self._serving = False
        fork.serving.remove(self)

    def _stop_contexts(self) -> None:
        """Have every context stopped, in a thread of its own: an author's stop() may not return."""
        stopped: list[bool] = []

        def work() -> None:
            self.pool.close()
            with self._sweeping:  # a sweep's last stop
                stopped.append(True)
            self.tell()

        ends = (monotonic() if self._ends_at == float("inf") else max(self._ends_at, monotonic())) + STOPPING
        started = False
        while not stopped:
            if self._asked > 1:
                ends = min(ends, monotonic() + NOW)
            left = ends - monotonic()
            if left <= 0:
                self.log.error("stop() has not returned: its context is left behind")
                return
            started = started or spawn(work, self.log)
            self._news.acquire(timeout=left if started else 0.1)

    # The leader's part.

    def tick(self, now: float, runner: Runner) -> None:
        """Do what the passing of time asks for."""
        self.now = now
        self.next_tick = now + TICK
        self.clock.tick()
        for source in list(self.sources.values()):
            if source.deadline <= now:
                try:
                    source.expire(runner)
                except BaseException as error:
                    runner.recover(error, source)
        self.patience = TICK if len(self.sources) > 1 + len(self._listeners) or self.draining else 1.0
        if self.pending > self.max_unread:
            self.relieve(now)
        if self.unfinished > self.max_unfinished:
            self.unburden(runner)
        if self.waiting:
            self.free(now)
        stale = self.idle and self.pool.stale(now - self.settings.context_idle)
        if stale and self._sweeping.acquire(False) and not spawn(self._sweep, self.log):
            self._sweeping.release()
        if self.draining:
            self._dismiss()
            self.notice(runner)

    def _sweep(self) -> None:
        """Retire the contexts that have been idle for too long: not in the leader, for stop() may take its time."""
        try:
            self.pool.sweep(monotonic() - self.settings.context_idle)
        finally:
            self._sweeping.release()

    def notice(self, runner: Runner) -> None:
        """Accept again where a connection has made room; begin to drain when asked to; end when all is answered."""
        if self.crowded:
            self.crowded = False
            for listener in self._listeners:
                listener.resume()
        if self._asked and not self.draining:
            for listener in self._listeners:
                listener.handle(runner)  # who is in the queue has been promised an answer
                if not runner.leading:
                    self.wake()
                    return
            self.draining = True
            for listener in self._listeners:
                listener.close()
                listener.sock.close()
            self.now = monotonic()
            self._dismiss()
        if self.draining and not self.ended and len(self.sources) <= 1:
            self.ended = True
            self.tell()

    def _dismiss(self) -> None:
        """Give a last call to whoever is idle. The others learn from the head of their answer, or are idle later on.

        Never here: an answer may just have gone out that says nothing of a close, and its client may ask again.
        """
        for source in list(self.sources.values()):
            if isinstance(source, Connection):
                if source.state == IDLE and not source.buffer:
                    source.deadline = min(source.deadline, self.now + LAST_CALL)
                elif source.state == DRAIN:  # answered; the rest is of no use to anybody
                    source.deadline = min(source.deadline, self.now + LINGER_SECONDS)

    def reserve(self) -> Runner | None:
        """Take a follower, or start one; None where there are no more threads. Under the lock."""
        if self.followers:
            return self.followers.pop()
        try:
            runner = Runner(self)
            runner.start()
        except (RuntimeError, MemoryError, OSError):
            return None
        return runner

    def enqueue(self, connection: Connection) -> None:
        """Let the connection's request wait for a context."""
        connection.deadline = monotonic() + self.run_timeout
        with self.lock:
            connection.weigh(BODY)
            self.waiting.append(connection)

    def give_up(self, connection: Connection, runner: Runner) -> None:
        """Refuse a request that has waited too long for a context."""
        with self.lock:
            if connection.state != QUEUED or connection not in self.waiting:
                return
            self.waiting.remove(connection)
            connection.state = IDLE
        connection.refuse(overloaded(), runner)

    def pump(self, runner: Runner) -> None:
        """Serve requests that wait, as long as there are contexts."""
        while self.waiting:
            with self.lock:
                if not self.waiting or not (self.idle or self.pool.live < self.pool.limit):
                    return
                connection = self.waiting.popleft()
                request = connection.current
                assert request is not None
                connection.state = IDLE if runner.leading else RUN
                connection.current = None if runner.leading else request
            try:
                connection.go_on(request, runner)
            except BaseException as error:
                runner.recover(error, connection)
