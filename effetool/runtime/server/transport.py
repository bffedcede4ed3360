"""A connection's socket and its place in the poll: waiting, sending to the end, ending (its states: states.py)."""

from __future__ import annotations

import select
import socket
import struct
from time import monotonic

from ..errors import Disconnected
from ..telemetry.refusals import UNREAD
from .poller import READ, WRITE
from .states import BODY, CLOSED, FLUSH, LINGER, LINGER_MOST, LINGER_SECONDS, PROGRESS, Lifecycle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .core import Core

DONTWAIT = socket.MSG_DONTWAIT
BLOCKED = (BlockingIOError, InterruptedError)
# The longest wait of one poll, seconds: its milliseconds must fit an int of C.
_DAY = 86400.0
_RESET = struct.pack("ii", 1, 0)


class Transport(Lifecycle):
    """One client's socket."""

    server: Core
    mark: int  # octets at the last progress (BODY, DRAIN, a body that is read); octets since it (FLUSH)
    ends = 0.0  # LINGER: monotonic seconds, its last moment whatever still comes
    request: Any  # the socket: http.server's name for it
    client_address: Any
    watched: int  # what the poll reports of it: READ, WRITE, or 0 while it is not there
    out: memoryview | None
    _recv: Any
    _send: Any
    # Of the thread of the run, while the client is slow: seconds it has waited for it, and octets that were taken,
    # since the last progress.
    _waited = 0.0
    _stalled = 0.0
    _taken = 0
    owed: Callable[[int], None] | None = None  # logs the answer in `out`, told how many of its octets were not sent

    def park(self, state: int, mask: int) -> None:
        """Hand the connection to whoever leads, which may be another thread from this moment on."""
        server = self.server
        try:
            with server.lock:
                watched = self.watched
                self.watched = mask
                if self.held or self.buffer or state == BODY:
                    self.weigh(state)
                if watched == 0:
                    server.poller.register(self.fd, mask)
                elif watched != mask:
                    server.poller.modify(self.fd, mask)
                self.to_wait(state)  # last: from here on the leader may close it
        except OSError:
            self.watched = 0
            self.close()

    def weigh(self, state: int) -> None:
        """Count what this connection holds of an unfinished request. Under the lock."""
        size = len(self.buffer)
        if state == BODY and self.current is not None and self.current.incoming is not None:
            incoming = self.current.incoming
            size += incoming.received + 64 * len(incoming.parts)  # 64: of the object that a piece is
        server = self.server
        server.unfinished += size - self.held
        self.held = size
        if server.unfinished > server.max_unfinished:
            server.next_tick = 0.0

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
        if self.held:
            with server.lock:
                self.buffer = b""
                self.weigh(CLOSED)
        if self.out is not None:
            if self.state == FLUSH:
                server.hold(-len(self.out.obj))  # type: ignore[arg-type]
            self.account(len(self.out))
            self.out = None
        if self.watched and server.explicit:
            self.unwatch()
        self.to_closed()
        try:
            self.request.close()
        except OSError:
            pass
        if server.draining or server.crowded:
            server.wake()

    def cut(self) -> None:
        """End both directions, so that a run that waits for the client learns of it. Under the lock, while `waits`."""
        try:
            socket.SocketType.shutdown(getattr(self.request, "plain", self.request), socket.SHUT_RDWR)
        except OSError:
            pass

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
        self.ends = self.deadline + LINGER_MOST
        self.park(LINGER, READ)

    # The thread of the run only.

    def transmit(self, data: bytes) -> None:
        """Send it all; wait while the client makes progress. Raises Disconnected."""
        if self.gone:
            raise Disconnected("the client has gone")
        view = memoryview(data)
        while True:
            try:
                sent = self._send(view, DONTWAIT)
            except BLOCKED:
                sent = 0
            except OSError as error:
                raise self._lost(error.strerror) from None
            if self._stalled:
                self._taken += sent
                if self._taken >= PROGRESS:
                    self._taken, self._stalled = 0, 0.0
                    self.moved = monotonic()
            if sent == len(view):
                return
            view = view[sent:]
            self._stalled += self._wait(WRITE, self.server.write_timeout - self._stalled)
            if self._stalled >= self.server.write_timeout:
                self.server.refusals.note(UNREAD, self.peer()[0])
                raise self._lost("it does not read")

    def _lost(self, why: str | None) -> Disconnected:
        self.lose()
        return Disconnected(f"the client has gone: {why}")

    def _wait(self, mask: int, seconds: float) -> float:
        """Wait until the client has sent (READ) or taken (WRITE) something; return how long that took, at least."""
        begun = monotonic()
        ready = select.poll()
        ready.register(self.fd, mask)
        lock = self.server.lock
        with lock:
            self.waits = True
        try:
            came = ready.poll(max(1.0, min(seconds, _DAY) * 1000))
        finally:
            with lock:
                self.waits = False
        return monotonic() - begun if came or seconds >= _DAY else seconds

    def peer(self) -> tuple[str, int]:
        """Return the client's address and port."""
        address = self.client_address
        if not isinstance(address, tuple):
            return ("unix", 0)
        host = address[0]
        # A dual-stack socket shows IPv4 clients as mapped addresses (RFC 4291 2.5.5.2).
        return (host[7:] if host.startswith("::ffff:") else host, address[1])
