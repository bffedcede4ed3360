"""The states of a connection, every transition between them, who ends each when, and who goes first without room.

A connection is in one state and belongs to one thread at a time: the leader, except in RUN, when it belongs to the
thread that runs the author's code. RUN begins and ends under the server's lock; everything else is the owner's alone,
so nothing here leans on the GIL. Another thread reads `state` once and acts on what it has read.

Only this file assigns `state`, `closing` and `gone`: tests/runtime/server/test_states.py looks. None of it is on the
way of an ordinary request, which the leader answers in IDLE.
"""

from __future__ import annotations

from .source import Source

IDLE = 0  # waits for a head, or for the rest of one
BODY = 1  # collects a small body
RUN = 2  # the author's code runs, in a thread that does not lead
QUEUED = 3  # a request waits for a context
FLUSH = 4  # a response waits for its reader
DRAIN = 5  # reads the rest of a body that nobody wanted
LINGER = 6  # answered and half closed: lets the client read the answer before the end
CLOSED = 7

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..contract.request import Request

# A slow client makes progress when this much has moved within its time-out: a byte now and then does not count.
PROGRESS = 1024
# An unread body: up to here it is cheaper to read it than to open a new connection.
DRAINED = 256 * 1024
# For a request that is there when its connection's time is over: until the poll has reported it. Granted once.
IN_TIME = 1.0
# A client that still sends must be able to read why it was refused; a close at once would reset it (RFC 9112 9.6).
# So long for each piece, and so long (whole seconds) for all of them, as nginx' lingering_time.
LINGER_SECONDS = 2.0
LINGER_MOST = 30
# While draining, an idle connection may still bring a request that was on its way: so many seconds, then it is closed.
LAST_CALL = 0.25

# What is waited for; in which state; what ends it, counted from when; what counts as progress and starts that time
# anew; the most that it can take in all; what the client then gets. docs/reference.py writes the table of
# docs/explanation/server.md from this, and tests/runtime/server/test_states.py has a test for each row.
TIMES: tuple[tuple[str, str, str, str, str, str], ...] = (
    ("the first octet, or the TLS handshake", "IDLE", "`-header-timeout` from the accept", "nothing",
     "the same, and 1 s for a record of which a part is here", "a close"),
    ("the rest of a head", "IDLE", "`-header-timeout` from its first octet", "nothing", "the same", "408"),
    ("the next request", "IDLE", "`-idle-timeout` from the last answer", "nothing",
     "the same, and 1 s for a record of which a part is here", "a close"),
    ("a body, up to 64 KiB of it", "BODY", "`-body-timeout`", "1 KiB of the body",
     "64 × `-body-timeout`", "408"),
    ("a body that `run` reads", "RUN", "`-body-timeout`, while `run` waits for it", "1 KiB of the body",
     "`-body-timeout` for each KiB of `-max-body`", "HTTPError 408 in `run`"),
    ("the first octet of the answer", "RUN", "`-timeout` from the begin of `run`", "1 KiB of the body that `run` reads",
     "the reading of the body, and `-timeout`", "504"),
    ("a context", "QUEUED", "`-timeout` from the end of the request", "nothing", "the same", "503"),
    ("a reader of an answer", "FLUSH", "`-write-timeout`", "1 KiB taken",
     "`-write-timeout` for each KiB of the answer", "a reset"),
    ("a reader of a response that streams", "RUN", "`-write-timeout`, while `run` waits for it", "1 KiB taken",
     "`-write-timeout` for each KiB of the response", "a reset, ConnectionError in `run`"),
    ("the rest of a body that nobody reads", "DRAIN", "`-body-timeout`", "1 KiB of the body, 256 KiB in all",
     "256 × `-body-timeout`", "a close, after its answer"),
    ("a client that reads why it was refused", "LINGER", "2 s", "any octet", "30 s", "a close, after its answer"),
    ("a call of the `-admin` listener", "", "10 s from the accept", "nothing", "the same", "a close"),
)  # fmt: skip


class Lifecycle(Source):
    """A client's connection as the server sees it: its state, what it holds, and how it is ended."""

    state: int
    closing: bool  # it ends after the answer that is under way
    gone: bool  # the client is lost, or must be made to see that its answer is not complete
    current: Request | None  # the request in BODY, RUN, QUEUED; in DRAIN the answered one whose body is read
    buffer: bytes  # octets that came and are not part of a request yet
    born: float  # monotonic seconds: when it was accepted
    moved: float  # monotonic seconds: its last progress, an answer or 1 KiB
    held = 0  # octets that `weigh` has counted
    flows = False  # FLUSH: the reader has taken some of this answer
    waits = False  # its run waits for the client now; under the server's lock
    is_client = True

    # The transitions.

    def begin(self, closing: bool) -> None:
        """Start in IDLE: just accepted."""
        self.state = IDLE
        self.closing = closing
        self.gone = False
        self.current = None

    def to_idle(self) -> None:
        """From BODY (the body is complete), RUN (answered 504), QUEUED (its turn, or too late), FLUSH, DRAIN (done)."""
        self.state = IDLE

    def to_run(self, request: Request) -> None:
        """From IDLE, BODY or QUEUED: the thread that runs this request owns the connection. Under the lock."""
        self.state = RUN
        self.current = request

    def to_queue(self, request: Request) -> None:
        """From IDLE or RUN: no context is free."""
        self.state = QUEUED
        self.current = request

    def to_wait(self, state: int) -> None:
        """From any: the poll reports the client's next octets. IDLE, BODY, FLUSH, DRAIN or LINGER. Under the lock."""
        self.state = state

    def to_closed(self) -> None:
        """From any, and from here to none."""
        self.state = CLOSED

    def close_after(self) -> None:
        """End the connection after the answer that is under way."""
        self.closing = True

    def lose(self) -> None:
        """End the connection with a reset: the client has gone, or its answer cannot be completed."""
        self.gone = True
        self.closing = True

    # What the server does to it.

    def last_call(self, now: float) -> None:
        """Set a near deadline for who is idle, or answered already."""
        if self.state == IDLE and not self.buffer:
            self.deadline = min(self.deadline, now + LAST_CALL)
        elif self.state == DRAIN:  # answered; the rest is of no use to anybody
            self.deadline = min(self.deadline, now + LINGER_SECONDS)

    def abort(self) -> None:
        """End the connection with a reset: the client must not take what it has for a complete answer."""
        raise NotImplementedError

    def cut(self) -> None:
        """End both directions, so that a run that waits for the client learns of it. Under the lock, while `waits`."""
        raise NotImplementedError

    def peer(self) -> tuple[str, int]:
        """Return the client's address and port."""
        raise NotImplementedError

    def refuse(self, error: Any, runner: Any) -> None:
        """Answer the HTTPError, and close."""
        raise NotImplementedError

    def weigh(self, state: int) -> None:
        """Count what this connection holds of an unfinished request. Under the lock."""
        raise NotImplementedError

    def go_on(self, request: Request, runner: Any) -> None:
        """Run the request, and serve what follows it."""
        raise NotImplementedError


# The last rank of all.
ASKING = 3


def rank(connection: Lifecycle, now: float) -> tuple[int, float]:
    """Order connections by who goes first when there is no room: the least progress, in whatever state.

    Progress is an answer, or 1 KiB moved; a new connection has made it when it was accepted. First those without any
    for a second or more; then those that are answered and only end; then those that have not been answered yet or are
    in something; last those that ask again and again. Among equals, the longest without progress.
    """
    moved, state = connection.moved, connection.state
    if now - moved >= 1.0:
        return 0, moved
    if state in (DRAIN, LINGER):
        return 1, moved
    return (ASKING if state == IDLE and not connection.buffer and moved > connection.born else 2), moved
