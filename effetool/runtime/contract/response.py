"""A response as the author sees it: a file he writes, sent whole when `run` returns, or in pieces from `flush` on."""

from __future__ import annotations

import threading

from ..http.head import BINARY, JSON, LAST_CHUNK, TEXT, encode_chunk, encode_json
from ..http.headers import FRAMED, ResponseHeaders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .channel import Sink
    from .request import Request

# How much of a response is held back before it begins to stream: enough for nearly every answer to carry a
# Content-Length, and for a late crash to become a 500 instead of a cut; small enough to hold in every context at once.
HELD_BACK = 256 * 1024


# RFC 9110 6.4.1 (and a response to HEAD).
_BODYLESS = (204, 205, 304)
_ENDED = 3  # a value of Response._streams
OVER = "the response has ended: nothing can be written once run() has returned"
# Held to make the lock of a response, for no longer.
_beginning = threading.Lock()

# The end of a head of the usual kind.
LENGTHS = [b"%d\r\n\r\n" % size for size in range(1024)]


class Response:
    """The answer to one request: a file you write.

    Nothing is sent before `run` returns, unless it calls `flush` or writes more than is held back (256 KiB): then the
    response streams, and its status and headers are fixed.
    """

    __slots__ = (
        "_closed", "_first", "_headers", "_kind", "_left", "_open", "_outbox", "_parts", "_request", "_size", "_status",
        "_streams", "_turn", "_usual", "error",
    )  # fmt: skip

    _request: Request
    _closed: bool  # unset until then
    _usual: bool  # a 200 without fields of its own, not begun
    _status: int
    _kind: str | None
    _headers: ResponseHeaders | None
    _first: bytes | None  # the first write, for most answers all of it; not None once the response streams
    _parts: list[bytes] | None  # the first write and those after it
    _size: int  # octets of the body; set once it is whole, or from the second write on
    _streams: int | None  # None: not begun · 0: begun, no body allowed · 1: plain octets · 2: chunks · 3: ended
    _left: int | None  # octets still owed to an author's Content-Length; set once it streams
    # Deleted by whoever sends the head: the server, or the first flush. Of two threads one gets an AttributeError.
    _open: bool
    _turn: threading.Lock | None  # who streams holds it, piece by piece
    error: str | None
    # Not set but in an async run: what is to be sent goes to the thread that waits for it (async_calls.py).
    _outbox: Sink

    @property
    def status(self) -> int:
        """The status code (int, 200 to 599); 200 unless set."""
        return self._status

    @status.setter
    def status(self, status: int) -> None:
        given: object = status
        if self._streams is not None:
            raise RuntimeError("the response has begun: its status is on its way")
        # RFC 9110 15: three digits; a 1xx is not an answer. int() makes a plain number of http.HTTPStatus.
        if not isinstance(given, int) or not 200 <= status <= 599:
            raise ValueError(f"the status of a response is a number from 200 to 599, not {status!r}")
        self._status = int(status)
        self._usual = False

    @property
    def headers(self) -> ResponseHeaders:
        """The header fields; `headers[k] = v` replaces, `headers.add(k, v)` appends."""
        if self._headers is None:
            self._headers = ResponseHeaders()
            self._usual = False
        return self._headers

    @property
    def started(self) -> bool:
        """Whether the head is on its way: status and headers cannot be changed any more."""
        return self._streams is not None

    def write(self, data: str | bytes | bytearray | memoryview) -> int:
        """Append to the body; str goes as UTF-8. Returns the length of `data`.

        A lone surrogate, which UTF-8 cannot hold, goes as U+FFFD (as in WebIDL's USVString). Raises ConnectionError
        where the client is known to be gone, RuntimeError once `run` has returned.
        """
        if type(data) is str:
            try:
                octets = data.encode()
            except UnicodeEncodeError:
                octets = data.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
            if self._kind is None:
                self._kind = TEXT
        elif type(data) is bytes:
            octets = data
            if self._kind is None:
                self._kind = BINARY
        elif isinstance(data, (str, bytes, bytearray, memoryview)):
            return self.write(str(data) if isinstance(data, str) else bytes(data))
        else:
            raise TypeError(f"write str or bytes to the response, not {type(data).__name__}")
        if self._first is None:
            self._first = octets
        else:
            self._more(octets)
        return len(data)

    def writelines(self, lines: Any) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def json(self, value: Any) -> None:
        """Write the value as JSON; Content-Type becomes application/json.

        Raises TypeError for what JSON cannot hold, ValueError for NaN and infinities (RFC 8259 6).
        """
        octets = encode_json(value)
        if self._kind is None:
            self._kind = JSON
        elif self._streams is None:
            self.headers["Content-Type"] = JSON
        self.write(octets)

    def flush(self) -> Any:
        """Send what there is, and stream from here on (chunked).

        Blocks while the client does not read; raises ConnectionError where it is gone. In an async run `await` it: that
        waits without stopping the others, until all has been sent.
        """
        if self._streams is None:
            self._begin()
        elif self._streams == _ENDED:
            raise RuntimeError(OVER)
        return self._outbox.drained() if hasattr(self, "_outbox") else None

    def close(self) -> None:
        """Mark the response closed. The server still sends it; io wrappers close the stream they wrap."""
        self._closed = True

    def writable(self) -> bool:
        """Return True: this file can be written."""
        return True

    def readable(self) -> bool:
        """Return False: this file cannot be read."""
        return False

    def seekable(self) -> bool:
        """Return False: this file has no positions."""
        return False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return getattr(self, "_closed", False)

    def __repr__(self) -> str:
        return f"<Response {self._status}>"

    # The rest is the server's.

    def _more(self, data: bytes) -> None:
        """Take a write after the first."""
        if self._streams is None:
            parts = self._parts
            if parts is None:
                assert self._first is not None
                self._parts = parts = [self._first]
                self._size = len(self._first)
            if self._size < HELD_BACK or hasattr(self, "_outbox"):
                parts.append(data)
                self._size += len(data)
                return
            self._begin()
        self._stream(data)

    def _body(self) -> bytes:
        return (self._first or b"") if self._parts is None else b"".join(self._parts)

    def _whole(self) -> bytes:
        """Return the complete response, head and body, in one piece."""
        request = self._request
        connection = request.connection
        body = self._body()
        self._size = size = len(body)
        self._first, self._streams = b"", _ENDED
        try:
            del self._open
        except AttributeError:  # a thread of the author's begins to stream in this moment
            connection.lose()
            return b""
        headers = self._headers
        kind = self._kind
        usual = self._usual
        if headers is not None and len(headers._fields) == 1 and self._status == 200:
            key, _, value = headers._fields[0]
            if key == "content-type":
                headers.sent = usual = True
                kind = value
        if usual and not connection.closing and request.method != "HEAD":
            clock = connection.server.clock
            kind = kind or TEXT
            head = clock.usual.get(kind) or clock.make_usual(kind)
            if request.named:
                return b"%b%d\r\nX-Request-ID: %b\r\n\r\n%b" % (head, size, request.id.encode(), body)
            return b"".join((head, LENGTHS[size] if size < 1024 else b"%d\r\n\r\n" % size, body))
        status = self._status
        if request.method != "HEAD" and status not in _BODYLESS and (headers is None or not headers._framed):
            # The author's fields, none of which is for the server to decide.
            text = ""
            kind = self._kind or (TEXT if size else None)
            if headers is not None:
                headers.sent = True
                for key, name, value in headers._fields:
                    text += f"{name}: {value}\r\n"
                    if key == "content-type":
                        kind = None
            if kind is not None:
                text += f"Content-Type: {kind}\r\n"
            if request.named:
                text += f"X-Request-ID: {request.id}\r\n"
            if connection.closing:
                text += "Connection: close\r\n"
            text += f"Content-Length: {size}\r\n\r\n"
            clock = connection.server.clock
            return b"".join((clock.starts.get(status) or clock.start(status), text.encode("latin-1"), body))
        declared = self._declared()
        bodyless = self._bodyless()
        length: int | None = size
        if declared is not None and (not bodyless or (body and request.method == "HEAD")) and declared != length:
            connection.close_after()
            self.error = f"Content-Length says {declared}, the body has {length} bytes"
            body = body[:declared]
            self._size = len(body)
        if declared is not None:
            length = declared
        if status == 204 or (status == 304 and declared is None):
            length = None  # RFC 9110 8.6: no Content-Length in a 204; in a 304 only that of the 200
        elif status == 205:
            length = 0  # RFC 9110 15.3.6: no content, and the client is told so
        return self._head(length, False) + (b"" if bodyless else body)

    def _finish(self) -> bool:
        """Take no more, for it would land in the next answer; tell whether nothing of this one has been sent."""
        self._first, self._streams = b"", _ENDED
        try:
            del self._open
        except AttributeError:
            return False
        self._size = 0
        return True

    def _bodyless(self) -> bool:
        return self._request.method == "HEAD" or self._status in _BODYLESS

    def _declared(self) -> int | None:
        text = None if self._headers is None else self._headers.get("content-length")
        return None if text is None else int(text)

    def _head(self, length: int | None, chunked: bool) -> bytes:
        request = self._request
        connection = request.connection
        server = date = kind = True
        named = request.named
        text = ""
        if self._headers is not None:
            self._headers.sent = True
            for key, name, value in self._headers._fields:
                if key == "content-type":
                    kind = False
                elif key in FRAMED:
                    if key == "content-length":
                        continue
                    if key == "connection":
                        if "close" in value.lower():
                            connection.close_after()
                        continue
                    if key == "server":
                        server = False
                    elif key == "date":
                        date = False
                    else:
                        named = False
                text += f"{name}: {value}\r\n"
        if kind and (self._kind is not None or length) and self._status not in _BODYLESS:
            text += f"Content-Type: {self._kind or TEXT}\r\n"
        if length is not None:
            text += f"Content-Length: {length}\r\n"
        if chunked:
            text += "Transfer-Encoding: chunked\r\n"
        if named:
            text += f"X-Request-ID: {request.id}\r\n"
        if connection.closing:
            text += "Connection: close\r\n"
        text += "\r\n"
        return connection.server.clock.start(self._status, server, date) + text.encode("latin-1")

    def _begin(self) -> None:
        """Send the head, and what was held back."""
        with _beginning:
            turn = self._turn
            if turn is None:
                self._turn = turn = threading.Lock()
        with turn:
            if self._streams is not None:  # begun by another thread meanwhile, or ended
                return
            request = self._request
            connection = request.connection
            connection.claim(request)
            try:
                del self._open
            except AttributeError:
                raise RuntimeError(OVER) from None
            declared = self._declared()
            bodyless = self._bodyless()
            if declared is None and request._minor == "0":
                # RFC 9112 6.1: no chunks for HTTP/1.0; the end of the connection ends the body
                connection.close_after()
            chunked = declared is None and request._minor != "0" and self._status not in _BODYLESS
            if self._status == 204:
                declared = None
            elif self._status == 205:
                declared = 0
            data = self._head(declared, chunked)
            self._streams = 0 if bodyless else 2 if chunked else 1
            self._left = declared
            body = self._body()
            self._first, self._parts, self._size = b"", None, 0
            self._usual = False
            self._put(body, data)

    def _stream(self, data: bytes) -> None:
        turn = self._turn
        if turn is None:
            raise RuntimeError(OVER)
        with turn:
            self._put(data)

    def _put(self, data: bytes, head: bytes = b"") -> None:
        """Send a piece of the body. Whoever calls this has the turn."""
        if self._streams == _ENDED:
            raise RuntimeError(OVER)
        if self._streams == 0 or not data:
            if head:
                self._transmit(head)
            return
        if self._left is not None:
            if len(data) > self._left:
                self.error = "the body is longer than its Content-Length"
                self._request.connection.close_after()
                data = data[: self._left]
            self._left -= len(data)
        self._transmit(head + (encode_chunk(data) if self._streams == 2 else data))
        self._size += len(data)

    def _transmit(self, data: bytes) -> None:
        if not (hasattr(self, "_outbox") and self._outbox.take(data)):
            self._request.connection.transmit(data)

    def _end(self) -> None:
        """Send the end of a response that streams."""
        assert self._turn is not None
        with self._turn:
            if self._left:
                self.error = "the body is shorter than its Content-Length"
                self._request.connection.close_after()
            elif self._streams == 2:
                self._transmit(LAST_CHUNK)
            self._finish()


_new = object.__new__


def respond(request: Request) -> Response:
    """Make the response to a request. A function, not a constructor: Python calls it in half the time."""
    response = _new(Response)
    response._request = request
    response._usual = True
    response._status = 200
    response._kind = response._headers = response._first = response._parts = response._streams = None
    response._turn = None
    response._open = True
    response.error = None
    return response
