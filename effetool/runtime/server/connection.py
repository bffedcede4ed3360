"""One client's connection: bytes to requests, and what is to be done in each of its states (see states)."""

from __future__ import annotations

import select
from io import BytesIO
from time import monotonic

from ..contract.request import Request
from ..errors import HTTPError
from ..http.body import COLLECTED, Incoming
from ..http.parser import goes_on, parse_head
from ..telemetry.refusals import UNREAD
from .exchange import Exchange
from .poller import READ, WRITE
from .states import BODY, DRAIN, DRAINED, FLUSH, IDLE, IN_TIME, LINGER, LINGER_SECONDS, PROGRESS, QUEUED, RUN
from .stdlib_http import BaseHTTPRequestHandler
from .transport import BLOCKED, DONTWAIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .core import Core
    from .leader import Runner

RECEIVE = 64 * 1024


class Connection(Exchange, BaseHTTPRequestHandler):
    """One connection, in the vocabulary of http.server; its own loop instead of a thread and a file."""

    server: Core

    def __init__(self, sock: Any, address: Any, server: Core) -> None:
        # BaseRequestHandler's constructor would serve the connection to its end, in this thread.
        self.request = sock
        self.client_address = address
        self.server = server
        self.fd: int = sock.fileno()
        self._recv = sock.recv
        self._send = sock.send
        self.begin(server.draining)
        self.watched = 0
        self.buffer = b""
        self.out: memoryview | None = None
        self.mark = 0
        self.deadline = server.now + server.header_timeout
        self._granted = 0.0
        self.born = self.moved = monotonic()
        server.sources[self.fd] = self

    def handle(self, runner: Runner) -> None:  # type: ignore[override]
        """Serve what is ready. Afterwards `runner.leading` says whether it still is."""
        state = self.state
        if state:
            self._continue(state, runner)
            return
        try:
            data = self._recv(RECEIVE, DONTWAIT)
        except BLOCKED:
            if not self.watched:
                self.park(IDLE, READ)
            return
        except OSError:
            self.close()
            return
        except HTTPError as error:  # plain HTTP, where TLS is spoken
            self.refuse(error, runner)
            return
        if not data:
            self._ended(runner)
            return
        if self.buffer:
            if len(self.buffer) < self.server.limits.head and goes_on(self.buffer, data):
                self.buffer += data  # a head that drips in: it is not complete yet
                with self.server.lock:
                    self.weigh(IDLE)
                return
            data = self.buffer + data
            self.buffer = b""
            with self.server.lock:
                self.weigh(IDLE)
            self.converse(data, 0, runner, self.deadline)
        else:
            self.converse(data, 0, runner)

    def converse(self, data: bytes, start: int, runner: Runner, deadline: float = 0.0) -> None:
        """Answer the requests in `data`, one after the other; keep what is not a whole one.

        `deadline` is that of a head at the beginning of `data` that is in its time already, 0.0 where there is none.
        """
        end = len(data)
        text = data.decode("latin-1")
        while start < end:
            try:
                request = parse_head(text, start, self.server.limits, Request)
            except HTTPError as error:
                self.refuse(error, runner)
                return
            if request is None:
                self.buffer = data[start:]
                self.deadline = deadline or monotonic() + self.server.header_timeout
                break
            deadline = 0.0
            request.connection = self
            request._headers = request._body = request._query = request._id = request.incoming = None
            request.begun = request.abandoned = False
            start = request.end
            if request.close:
                self.close_after()
            length = request.length
            if length:
                if 0 < length <= end - start and length <= self.server.max_body:
                    request._body = BytesIO(data[start : start + length])  # it is all here
                    start += length
                else:
                    start = self._receive_body(request, length, data, start, runner)
                    if start < 0:
                        return
            if not self.answer(request, runner):
                if start < end:
                    self.buffer = data[start:]
                self._settle()
                return
            if self.buffer:  # the run has read its body from the connection, and a bit more
                data, self.buffer = self.buffer, b""
                text = data.decode("latin-1")
                start, end = 0, len(data)
        if self.state or not self.watched:
            self.park(IDLE, READ)
        elif self.buffer:
            with self.server.lock:
                self.weigh(IDLE)

    def _receive_body(self, request: Request, length: int, data: bytes, start: int, runner: Runner) -> int:
        """Take the body's first part; return where it ends once the request can run, -1 while it cannot."""
        server = self.server
        if length > server.max_body:
            self.refuse(HTTPError(413, "the body is too large"), runner)
            return -1
        incoming = request.incoming = Incoming(length, server.max_body, server.limits.head)
        try:
            start = incoming.feed(data, start)
        except HTTPError as error:
            self.refuse(error, runner)
            return -1
        if incoming.complete:
            return start
        self.buffer = data[start:]
        self.mark = incoming.received
        self._waited = 0.0
        if request.expects:
            # RFC 9110 10.1.1: the client waits for a word; it gets one when the author reads.
            if self.buffer or incoming.received:
                request.expects = False
            else:
                runner.hand_over(self, request)
                return len(data)
        self.current = request
        self.deadline = monotonic() + server.body_timeout
        self.park(BODY, READ)
        return -1

    def _continue(self, state: int, runner: Runner) -> None:
        """Go on in a state that is not IDLE. It was read once: a run's thread may have left RUN meanwhile."""
        if state in (RUN, QUEUED):
            # Its next request, its end, or a reset. It is looked at when this request is answered; until then the
            # level-triggered poll must not report it again and again.
            with self.server.lock:
                if self.state in (RUN, QUEUED):
                    self.unwatch()
        elif state == FLUSH:
            self._flush(runner)
        else:
            try:
                data = self._recv(RECEIVE, DONTWAIT)
            except BLOCKED:
                return
            except OSError:
                self.close()
                return
            if state == LINGER:
                if not data:
                    self.close()
                self.deadline = min(self.ends, monotonic() + LINGER_SECONDS)
            elif not data:
                self._ended(runner)
            elif state == BODY:
                self._collect(data, runner)
            elif state == DRAIN:
                self._drain(data, runner)

    def _collect(self, data: bytes, runner: Runner) -> None:
        request = self.current
        assert request is not None
        incoming = request.incoming
        if self.buffer:
            data = self.buffer + data
        try:
            start = incoming.feed(data, 0)
        except HTTPError as error:
            self.refuse(error, runner)
            return
        if incoming.received - self.mark >= PROGRESS:
            self.mark = incoming.received
            self.moved = monotonic()
            self.deadline = self.moved + self.server.body_timeout
        if not incoming.complete:
            self.buffer = data[start:]
            with self.server.lock:
                self.weigh(BODY)
            if incoming.received < COLLECTED and not (incoming.left is None and len(incoming.parts) > 4096):
                return
            # Large: the run reads the rest, and may wait for it; that is nothing for a leader.
            runner.hand_over(self, request)
            start = len(data)
        else:
            self.buffer = b""
            self.to_idle()
        self.go_on(request, runner, data, start)

    def go_on(self, request: Request, runner: Runner, data: bytes = b"", start: int = 0) -> None:
        if not self.answer(request, runner):
            if start < len(data):
                self.buffer = data[start:]
            self._settle()
        elif start < len(data):
            self.converse(data, start, runner)
        elif self.buffer:
            data, self.buffer = self.buffer, b""
            self.converse(data, 0, runner)
        else:
            self.park(IDLE, READ)

    def _drain(self, data: bytes, runner: Runner) -> None:
        request = self.current
        assert request is not None
        incoming = request.incoming
        data = self.buffer + data
        try:
            start = incoming.feed(data, 0)
        except HTTPError:
            self.abort()
            return
        incoming.parts.clear()
        if not incoming.complete:
            self.buffer = data[start:]
            if incoming.received > self._most:
                self.abort()
            elif incoming.received - self.mark >= PROGRESS:
                # It sends as well as it can: a reset now could cost it the answer it has not read yet.
                self.mark = incoming.received
                self.moved = monotonic()
                self.deadline = self.moved + self.server.body_timeout
            return
        self.current = None
        self.buffer = b""
        self.to_idle()
        self.deadline = monotonic() + self.server.idle_timeout
        self.converse(data, start, runner)

    def _flush(self, runner: Runner) -> None:
        out = self.out
        assert out is not None
        try:
            sent = self._send(out, DONTWAIT)
        except BLOCKED:
            return
        except OSError:
            self.close()
            return
        self.out = out[sent:]
        self.mark += sent
        if self.mark >= PROGRESS:
            self.mark = 0
            self.flows = True
            self.moved = monotonic()
            self.deadline = self.moved + self.server.write_timeout
        if len(self.out):
            return
        self.server.hold(-len(out.obj))  # type: ignore[arg-type]
        self.account(0)
        self.out = None
        self.to_idle()
        self._settle()
        if self.state == IDLE and self.buffer:
            data, self.buffer = self.buffer, b""
            self.converse(data, 0, runner)

    def _settle(self) -> None:
        """Go to the state that what is left undone asks for. The last thing its owner does."""
        if self.state >= LINGER:
            return
        server = self.server
        request = self.current
        if self.state == QUEUED:
            server.enqueue(self)
            return
        if request is not None and request.incoming is not None:
            request.incoming.parts.clear()  # nobody reads it any more
        if self.out is not None:
            self.mark = 0
            self.flows = False
            self.deadline = monotonic() + server.write_timeout
            server.hold(len(self.out.obj))  # type: ignore[arg-type]  # all of it is held until the last octet is sent
            self.park(FLUSH, WRITE)
        elif self.gone:
            self.abort()
        elif self.closing:
            unread = request is not None and request.incoming is not None and not request.incoming.complete
            self.current = None
            if self.buffer or unread:
                self.linger()
            else:
                self.close()
        elif request is not None:  # its body was not read to the end
            self.mark = request.incoming.received
            self._most = self.mark + DRAINED
            self.deadline = monotonic() + server.body_timeout
            self.park(DRAIN, READ)
        else:
            self.deadline = monotonic() + server.idle_timeout
            self.park(IDLE, READ)

    def _ended(self, runner: Runner) -> None:
        """The client closed its side: an unfinished request is not run (RFC 9112 8)."""
        if self.state == BODY or self.buffer.strip(b"\r\n"):
            self.refuse(HTTPError(400, "the request ended early"), runner)
        else:
            self.close()

    def fail(self, runner: Runner) -> None:
        """End after an error of the server's own (no memory, most likely)."""
        self.close()

    def abandon(self) -> None:
        """End at once; a run that is under way answers nobody any more."""
        with self.server.lock:
            if self.current is not None:
                self.current.abandoned = True
        self.abort()

    def expire(self, runner: Runner) -> None:
        """Act on a deadline that has passed. The leader's."""
        state = self.state
        if self.deadline > self.server.now:
            return  # a run's thread has set a new one since that was looked at, and then left RUN
        if state == RUN:
            self.overdue(runner)
        elif state == BODY:
            self.refuse(HTTPError(408, "the body has stalled"), runner)
        elif state == IDLE and self.buffer:
            self.refuse(HTTPError(408, "the request has stalled"), runner)
        elif state == QUEUED:
            self.server.give_up(self, runner)
        elif state == FLUSH:
            self.server.refusals.note(UNREAD, self.peer()[0])
            self.abort()
        elif state == IDLE and self.deadline != self._granted and self._has_come():
            # Once: octets of a TLS record that never becomes whole would be there each time.
            self.deadline = self._granted = self.server.now + IN_TIME
        else:
            self.close()

    def _has_come(self) -> bool:
        """Whether a request came in the very moment of the deadline: to close now would reset it, unanswered."""
        ready = select.poll()
        ready.register(self.fd, select.POLLIN)
        return bool(ready.poll(0))
