"""The server: its sockets, its limits, its threads, and its end. See docs/explanation/server.md for the design."""

from __future__ import annotations

import threading
from time import monotonic

from . import fork
from .connection import Connection
from .core import Core, room
from .leader import Monitor, Runner
from .listener import Listener, Waker
from .poller import READ, Selector, poller
from .states import IDLE
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


class Server(Core):
    """Serve an effe on sockets that are bound already.

    `serve` blocks until `shutdown` was called and everything is answered; `adopt` serves one connected socket. The
    author's `init` has run before; his contexts are stopped at the end of `serve`. `observer` hears of every run.
    """

    RunnerClass = Runner
    watchdog: Watchdog

    def __init__(
        self,
        settings: Settings,
        logic: Effe,
        log: Log,
        sockets: list[socket.socket],
        tls: Callable[[Any], Any] | None = None,
        observer: Observer | None = None,
    ) -> None:
        address = sockets[0].getsockname() if sockets else ("", 0)
        super().__init__(address, Connection, settings, logic, log, tls, observer)
        self._sweeping = threading.Lock()
        self._asked = 0
        self._ends_at = float("inf")
        self._serving = False
        self.watchdog = Watchdog(self)
        self._waker = Waker(self.notice)
        self.wake = self._waker.wake
        self.poller = poller(self.wake)
        self.explicit = isinstance(self.poller, Selector)
        self.poller.register(self._waker.fd, READ)
        self.sources[self._waker.fd] = self._waker
        self._listeners = [Listener(sock, self) for sock in sockets]
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
        return len(self.connected())

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
            source.abandon()
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
        self.refusals.tick(now)
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
            source.last_call(self.now)
