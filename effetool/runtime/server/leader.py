"""Leader and followers: one thread polls and runs the author's code; a monitor replaces it when that takes long.

The fast case costs one thread's work: no queue, no hand-over. The leader puts a token (the request) into a slot that
belongs to its leadership before the author's code and pops it after. The monitor wakes every few ms; when it sees the
same token twice, it pops it, marks the connection as running and lets a follower lead. The old leader finds its slot
empty, answers its request, and becomes a follower.

Safe without the GIL: a slot is a list with at most one item, whose append and pop are atomic, so one of the two gets
the token; pop + mark (monitor) and the end of RUN (old leader) are under the server's lock; a slot is used for one
leadership only, so a late pop never meets the token of another. The monitor takes a token only when a follower is
certain.
"""

from __future__ import annotations

import os
import threading
from time import monotonic

from .cpu_priority import Effort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..contract.request import Request
    from .context_pool import Lease
    from .core import Core, Leader

# How long a run may keep the leader before another thread takes over, at least; twice that at most.
TICK = 0.005
# A follower that nobody needed for so long ends; one is always kept.
FOLLOWER_IDLE = 30.0
# How often a slow target must be fast again until it runs in the leader again, and how many targets are remembered.
SLOW = 8
# So many polls in a tick say that others ask for the CPU that a long run takes.
BUSY = 3
REMEMBERED = 256


class Runner:
    """A thread that leads, or runs a request that has lost its leadership, or waits as a follower."""

    def __init__(self, server: Core) -> None:
        self.server = server
        self.slot: list[Any] = []
        self.leading = False
        self.mark = 0.0  # monotonic seconds: when the poll returned, or its run began
        self.counts = server.stats.counts()
        self.wake = threading.Lock()
        self.wake.acquire()
        self.key: str | None = None
        self.effort = Effort()
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. Raises RuntimeError where the system has none left."""
        thread = threading.Thread(target=self._live, name="effe", daemon=True)
        try:
            thread.start()
        except BaseException:
            self.server.stats.end(self.counts)
            raise
        self.thread = thread

    def lives(self) -> bool:
        """Whether the thread is there; while it is being started, too."""
        return self.thread is None or self.thread.is_alive()

    def _live(self) -> None:
        server = self.server
        try:
            self.effort.begin()
            while self._wait():
                server.watchdog.persist("the leading thread", self._lead)
                # Not the leader any more: what waits for a context is this thread's next work, and then to follow.
                server.pump(self)
                with server.lock:
                    server.away.discard(self)
                    if self.effort.aside or server.ended:
                        return
                    server.followers.append(self)
        except BaseException as error:
            server.log.critical("a thread of the server's has failed", exc=error)
        finally:
            with server.lock:
                server.away.discard(self)
                if self in server.followers:
                    server.followers.remove(self)
            server.stats.end(self.counts)
            if self.leading and not server.ended:
                server.tell()  # the watchdog replaces it

    def _wait(self) -> bool:
        server = self.server
        while not self.wake.acquire(timeout=FOLLOWER_IDLE):
            with server.lock:
                if self in server.followers and len(server.followers) > 1:
                    server.followers.remove(self)
                    return False
        return not server.ended

    def _lead(self) -> None:
        server = self.server
        poll = server.poller.poll
        sources = server.sources
        waiting = server.waiting
        while self.leading and not server.ended:
            events = poll(server.patience, 256)
            self.mark = now = monotonic()
            if now >= server.next_tick:
                server.tick(now, self)
            if server.monitor.parked and events:
                server.monitor.unpark()
            server.monitor.polls += 1
            for fd, _ in events:
                source = sources.get(fd)
                if source is None:
                    continue
                try:
                    source.handle(self)
                except BaseException as error:
                    self.recover(error, source)
                if waiting and self.leading:
                    server.pump(self)
                if not self.leading:
                    break  # type: ignore[unreachable]  # not for mypy: it does not see who else changes it

    def recover(self, error: BaseException, source: Any) -> None:
        """Go on after an error of the server's own: it ends the connection (or whatever it was) that it came from."""
        server = self.server
        server.log.critical("internal error", exc=error)
        with server.lock:  # a token left behind would cost an idle leader its lead
            if self.leading:
                self.slot.clear()
        source.fail(self)

    def enter(self, connection: Any, request: Request) -> None:
        """Begin a run where something is slow lately, or in a thread that does not lead."""
        if self.leading:
            self.expect_slow(connection, request)
        if self.leading:
            self.slot.append(request)
        else:
            self.outside(connection, request)

    def outside(self, connection: Any, request: Request) -> None:
        """Begin a run in a thread that does not lead: only the clock can end it."""
        self.mark = now = monotonic()
        with self.server.lock:
            self.server.away.add(self)
            connection.to_run(request)
            connection.deadline = now + self.server.run_timeout

    def demoted(self, request: Request) -> bool:
        """Learn, after a run, what happened in this thread's absence from the lead.

        True: the answer is ours to send, from now on. False: the request was answered 504 from outside. In a fork of
        the process the parent sends it, and this is the end.
        """
        server = self.server
        if server.forked:
            os._exit(0)
        with server.lock:  # so that the monitor has finished its part of it
            self.slot = []
            server.away.discard(self)
            self.effort.end()
            took = monotonic() - self.mark
            if self.effort.aside and took > TICK and len(server.computing) < REMEMBERED:
                server.computing.add(target_key(request))
            if self.key is not None:
                if took > TICK:
                    server.slow[self.key] = SLOW
                elif server.slow.get(self.key, 0) > 1:
                    server.slow[self.key] -= 1
                else:
                    server.slow.pop(self.key, None)
                    server.computing.discard(self.key)
                self.key = None
            if request.abandoned:
                return False
            request.begun = True
            return True

    def hand_over(self, connection: Any, request: Request) -> bool:
        """Let a follower lead before this thread does what will take long."""
        server = self.server
        with server.lock:
            if not self.leading:
                connection.to_run(request)
                return True
            follower = server.reserve()
            if follower is None:
                return False
            self.demote(connection, request)
            follower.promote()
        return True

    def demote(self, connection: Any, request: Request) -> None:
        """End this thread's lead in favour of its run. Under the server's lock."""
        self.leading = False
        self.server.away.add(self)
        connection.to_run(request)
        connection.deadline = monotonic() + self.server.run_timeout

    def promote(self) -> None:
        """Make this follower the leader. Under the server's lock."""
        self.slot = []
        self.mark = monotonic()
        self.leading = True
        self.server.leader = self
        self.wake.release()

    def expect_slow(self, connection: Any, request: Request) -> None:
        """Hand over at once for a target that was slow lately: cheaper for everybody than to be caught."""
        slow = self.server.slow
        key = target_key(request)
        if key in slow and self.hand_over(connection, request):
            self.key = key
            if key in self.server.computing and self.server.monitor.busy:
                self.effort.step_aside()

    def retire(self, lease: Lease, request: Request) -> None:
        """Stop a context, watched by the monitor like any of the author's code."""
        request.begun = True
        if not self.leading:
            self.server.pool.retire(lease)
            return
        self.slot.append(request)
        self.server.pool.retire(lease)
        try:
            self.slot.pop()
        except IndexError:
            self.demoted(request)


class Monitor:
    """The thread that looks whether the leader is stuck in the author's code."""

    def __init__(self, server: Core) -> None:
        self._server = server
        self._wake = threading.Lock()
        self._wake.acquire()
        self.parked = False
        self.polls = 0
        self.busy = False  # others were served in the last tick
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Start watching. Raises RuntimeError where the system has no thread left."""
        thread = threading.Thread(target=self._live, name="effe-monitor", daemon=True)
        thread.start()
        self.thread = thread

    def lives(self) -> bool:
        """Whether the thread is there."""
        return self.thread is not None and self.thread.is_alive()

    def _live(self) -> None:
        try:
            self._server.watchdog.persist("the monitor", self._watch)
        except BaseException as error:
            self._server.log.critical("the monitor has failed", exc=error)
        finally:
            self._server.tell()  # the watchdog replaces it

    def unpark(self) -> None:
        """Wake the monitor: there is something to watch."""
        self.parked = False
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it is awake

    def _watch(self) -> None:
        server = self._server
        seen: Any = None
        polls = -1
        quiet = 0
        looked = 0
        while not server.ended:
            self._wake.acquire(timeout=1.0 if self.parked else TICK)
            self.busy = self.polls - looked >= BUSY
            if self.busy and server.away:
                with server.lock:
                    for runner in server.away:
                        runner.effort.look()
            looked = self.polls
            leader = server.leader
            slot = leader.slot
            try:
                token = slot[-1]
            except IndexError:  # (to look first whether there is one would race with the leader's pop)
                token = None
            if token is None:
                seen = None
                quiet = quiet + 1 if polls == self.polls else 0
                polls = self.polls
                # Parks when idle. A leader that misses this is seen a second later: the wait above has an end.
                self.parked = quiet > 20
                continue
            self.parked = False
            quiet = 0
            if token is seen and leader.leading:
                self._replace(leader, slot)
                seen = None
            else:
                seen = token

    def _replace(self, leader: Leader, slot: list[Any]) -> None:
        server = self._server
        with server.lock:
            follower = server.reserve()
            if follower is None:
                return
            try:
                request = slot.pop()
            except BaseException as error:
                server.followers.append(follower)
                if isinstance(error, IndexError):
                    return
                raise
            leader.demote(request.connection, request)
            follower.promote()
            slow = server.slow
            key = target_key(request)
            if len(slow) < REMEMBERED or key in slow:
                slow[key] = SLOW


def target_key(request: Request) -> str:
    """Name what is expected to take the same time: the method and the first segment of the path."""
    target = request.target
    end = target.find("/", 1)
    query = target.find("?")
    if query >= 0 and (end < 0 or query < end):
        end = query
    return request.method + (target if end < 0 else target[:end])
