"""What a server holds for all its clients, and who goes when that is too much: connections, octets, contexts."""

from __future__ import annotations

import os
import threading
from time import monotonic

from .connection import Connection
from .exchange import overloaded
from .states import ASKING, BODY, FLUSH, IDLE, rank
from .stdlib_http import HTTPServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..telemetry.log import Log
    from .leader import Runner

# Of the descriptors that are left when the server begins, those that no connection takes: the author's files, databases
# and programs. A quarter, and as many as that at most.
SPARED = 1024
# A reader that has just begun is given so long (seconds) before it is cut off, where too much waits for all of them.
BEGINNING = 0.1
# A run that has waited for its client so long (seconds) gives its context to a request that waits for one.
STUCK = 3.0


class Core(HTTPServer):
    """The shared part of a server that its connections change. `lock` is the lock of its counts."""

    lock: Any
    log: Log
    leader: Runner
    sources: dict[int, Any]
    waiting: Any
    next_tick: float
    write_timeout: float
    max_unread: int
    max_unfinished: int
    wake: Any
    pending = 0  # octets of answers that wait for their readers
    unfinished = 0  # octets of requests that are not complete, or have not begun to run
    crowded = False  # a listener waits for the end of a connection

    def connected(self) -> list[Connection]:
        """Return the connections there are now."""
        return [source for source in list(self.sources.values()) if isinstance(source, Connection)]

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
                # A reset where an answer is not complete: the client must not take it for one.
                connection.abort() if connection.state == FLUSH else connection.close()
                closed = True
        return closed

    def cut(self, connection: Connection) -> None:
        """End the connection of a run that waits for its client."""
        with self.lock:  # under it the run begins and ends to wait, so the descriptor is this connection's still
            if connection.waits:
                connection.cut()

    def free(self, now: float) -> None:
        """Cut off runs that wait for a client without progress, while requests wait for their contexts."""
        stuck = [c for c in self.connected() if c.waits and now - c.moved >= STUCK]
        stuck.sort(key=lambda connection: connection.moved)
        for connection in stuck[: len(self.waiting)]:
            self.cut(connection)

    def unburden(self, runner: Runner) -> None:
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
            connection.abort()
            count += 1
        if count:
            self.log.warning("too much waits for slow readers: the slowest are cut off", connections=count)


def room(most: int) -> int:
    """Return how many connections there may be: `most`, or what the limit of open files leaves beside the author's."""
    try:
        limit, taken = os.sysconf("SC_OPEN_MAX"), len(os.listdir("/dev/fd"))
    except (OSError, ValueError):
        return most
    left = max(1, limit - taken)
    return most if limit < 0 else min(most, max(1, left - min(left // 4, SPARED)))
