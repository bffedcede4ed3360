"""The head of a response: values in, bytes out. What repeats is kept ready: status lines, the date, common types."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"
JSON = "application/json"

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# RFC 9110 15, RFC 6585; a table of bytes, for http.HTTPStatus costs an enum's look-up for each response.
REASONS = {
    100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
    200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
    205: "Reset Content", 206: "Partial Content", 207: "Multi-Status", 208: "Already Reported", 226: "IM Used",
    300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
    409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
    414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
    418: "I'm a Teapot", 421: "Misdirected Request", 422: "Unprocessable Content", 423: "Locked",
    424: "Failed Dependency", 425: "Too Early", 426: "Upgrade Required", 428: "Precondition Required",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout", 505: "HTTP Version Not Supported", 506: "Variant Also Negotiates",
    507: "Insufficient Storage", 508: "Loop Detected", 510: "Not Extended", 511: "Network Authentication Required",
}  # fmt: skip


# Content types whose heads are kept for a second: more than an author writes, fewer than he could make up.
USUAL = 64


class Clock:
    """The date of the responses, made once a second.

    `usual` maps a content type to the head of a 200 up to the number of Content-Length, `starts` a status to the begin
    of its head. Threads share them without a lock: a new second brings new dicts, and whoever still holds the old ones
    sends a date that is a second old.
    """

    __slots__ = ("date", "second", "starts", "usual")

    def __init__(self) -> None:
        self.second = -1
        self.date = b""
        self.usual: dict[str, bytes] = {}
        self.starts: dict[int, bytes] = {}
        self.tick()

    def tick(self) -> None:
        """Look at the time; cheap within the same second."""
        second = int(time.time())
        if second != self.second:
            year, month, day, hour, minute, sec, weekday, _, _ = time.gmtime(second)
            # RFC 9110 5.6.7 IMF-fixdate; strftime would write it in the locale's language.
            text = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month]} {year:04} {hour:02}:{minute:02}:{sec:02} GMT"
            self.date = text.encode()
            self.usual, self.starts = {}, {}
            self.second = second

    def make_usual(self, kind: str) -> bytes:
        """Make, and keep, the head of a 200 without fields of its own."""
        head = b"%bContent-Type: %b\r\nContent-Length: " % (self.start(200), kind.encode("latin-1"))
        if len(self.usual) < USUAL:
            self.usual[kind] = head
        return head

    def start(self, status: int, server: bool = True, date: bool = True) -> bytes:
        """Write the status line and the fields every response has (RFC 9110 6.6.1: Date)."""
        usual = server and date
        if usual and status in self.starts:
            return self.starts[status]
        line = f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\n".encode()
        # The name alone: a version would tell an attacker which holes to try.
        line += (b"Server: effe\r\n" if server else b"") + (b"Date: %b\r\n" % self.date if date else b"")
        if usual:
            self.starts[status] = line
        return line


def encode_fields(fields: Iterable[tuple[str, str, str]]) -> bytes:
    """Write checked fields as lines."""
    return "".join([f"{name}: {value}\r\n" for _, name, value in fields]).encode("latin-1")


def encode_chunk(data: bytes) -> bytes:
    """Write one chunk (RFC 9112 7.1); an empty one would end the body, so nothing is written for it."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


_json: Callable[[Any], str] | None = None


def encode_json(value: Any) -> bytes:
    """Write a value as JSON. Raises TypeError for what JSON cannot hold, ValueError for NaN and infinities."""
    global _json
    if _json is None:  # json when it is needed; its `dumps` with options would make an encoder for each call
        import json

        _json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    try:
        return _json(value).encode()
    except UnicodeEncodeError:  # a lone surrogate is fine as an escape
        import json

        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
