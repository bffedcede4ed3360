"""A connection's socket and its place in the poll: waiting, sending to the end, ending.

A connection is in one of the states below and belongs to one thread at a time: the leader, except in RUN, when it
belongs to the thread that runs the author's code. RUN begins and ends under the server's lock; everything else is the
owner's alone, so nothing here leans on the GIL.
"""

from __future__ import annotations

import socket
import struct
from time import monotonic

from .errors import Disconnected
from .poll import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .request import Request
    from .server import Server

IDLE = 0  # waits for a head, or for the rest of one
BODY = 1  # collects a small body
RUN = 2  # the author's code runs, in a thread that does not lead
QUEUED = 3  # a request waits for a context
FLUSH = 4  # a response waits for its reader
DRAIN = 5  # reads the rest of a body that nobody wanted
LINGER = 6  # answered and half closed: lets the client read the answer before the end
CLOSED = 7

DONTWAIT = socket.MSG_DONTWAIT
BLOCKED = (BlockingIOError, InterruptedError)
# A client that still sends must be able to read why it was refused; a close at once would reset it (RFC 9112 9.6).
# So long for each piece, and so long (whole seconds) for all of them, as nginx' lingering_time.
LINGER_SECONDS = 2.0
LINGER_MOST = 30
_RESET = struct.pack("ii", 1, 0)


class Transport:
    """One client's socket."""

    server: Server
    fd: int
    mark: int
    request: Any  # the socket: http.server's name for it
    client_address: Any
    state: int
    watched: int  # what the poll reports of it: READ, WRITE, or 0 while it is not there
    closing: bool
    gone: bool
    buffer: bytes
    out: memoryview | None
    current: Request | None
    deadline: float
    _recv: Any
    _send: Any
    _blocking = False
    owed: Callable[[int], None] | None = None  # logs the answer in `out`, told how many of its octets were not sent

    def park(self, state: int, mask: int) -> None:
        """Hand the connection to whoever leads, which may be another thread from this moment on."""
        server = self.server
        try:
            with server.lock:
                watched = self.watched
                self.watched = mask
                self.state = state
                if watched == 0:
                    server.poller.register(self.fd, mask)
                elif watched != mask:
                    server.poller.modify(self.fd, mask)
        except OSError:
            self.watched = 0
            self.close()

    def unwatch(self) -> None:
        """Take the connection out of the poll."""
        if self.watched:
            self.watched = 0
            try:
                self.server.poller.unregister(self.fd)
            except OSError:
                pass

    def close(self) -> None:
        """End the connection. A closed descriptor leaves an epoll by itself."""
        if self.state == CLOSED:
            return
        server = self.server
        server.sources.pop(self.fd, None)
        if self.out is not None:
            if self.state == FLUSH:
                server.hold(-len(self.out.obj))  # type: ignore[arg-type]
            self.account(len(self.out))
            self.out = None
        if self.watched and server.explicit:
            self.unwatch()
        self.state = CLOSED
        try:
            self.request.close()
        except OSError:
            pass
        if server.draining:
            server.wake()

    def account(self, left: int) -> None:
        """Log the answer that waited for its reader, if it is to be logged."""
        if self.owed is not None:
            owed, self.owed = self.owed, None
            owed(left)

    def abort(self) -> None:
        """End the connection with a reset: the client must not take what it has for a complete answer."""
        try:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass
        self.close()

    def linger(self) -> None:
        """End our side; read and drop what the client still sends, so that it can read the answer."""
        self.buffer = b""
        try:
            self.request.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self.deadline = monotonic() + LINGER_SECONDS
        self.mark = int(self.deadline) + LINGER_MOST
        self.park(LINGER, READ)

    # The thread of the run only.

    def transmit(self, data: bytes) -> None:
        """Send it all; block while the client reads, up to the time-out. Raises Disconnected."""
        if self.gone:
            raise Disconnected("the client has gone")
        view = memoryview(data)
        try:
            sent = self._send(view, DONTWAIT)
        except BLOCKED:
            sent = 0
        except OSError as error:
            raise self._lost(error) from None
        if sent == len(view):
            return
        self._block()
        while sent < len(view):
            view = view[sent:]
            try:
                sent = self._send(view)
            except OSError as error:  # a time-out is a BlockingIOError
                raise self._lost(error) from None

    def _lost(self, error: OSError) -> Disconnected:
        self.gone = True
        # A time-out of the socket is a BlockingIOError.
        why = "it does not read" if isinstance(error, BlockingIOError) else error.strerror
        return Disconnected(f"the client has gone: {why}")

    def _block(self) -> None:
        if not self._blocking:
            self._blocking = True
            for option, seconds in (
                (socket.SO_RCVTIMEO, self.server.body_timeout),
                (socket.SO_SNDTIMEO, self.server.write_timeout),
            ):
                whole = min(int(seconds), 1 << 30)
                value = struct.pack("@ll", whole, int((seconds - int(seconds)) * 1e6) or (0 if whole else 1000))
                self.request.setsockopt(socket.SOL_SOCKET, option, value)

    def peer(self) -> tuple[str, int]:
        """Return the client's address and port."""
        address = self.client_address
        if not isinstance(address, tuple):
            return ("unix", 0)
        host = address[0]
        # A dual-stack socket shows IPv4 clients as mapped addresses (RFC 4291 2.5.5.2).
        return (host[7:] if host.startswith("::ffff:") else host, address[1])
