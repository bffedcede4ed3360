"""A request as the author sees it: made of a valid head, decoded as it is asked for; the body is a file he reads."""

from __future__ import annotations

import io
import os
import re

from ..errors import HTTPError
from ..http.headers import Headers
from ..http.parser import Head, split_absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from ..http.form import Form
    from ..http.query import Query
    from .channel import Channel

# What a proxy or client may hand on as its request id; anything else could forge log lines or other headers.
_ID = re.compile(r"x-request-id:[ \t]*([a-z0-9._~:/+=@-]{1,128})[ \t]*\r").match


_INFINITE = float("inf")
_decoder: Any = None  # a json.JSONDecoder, made when first needed


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if -_INFINITE < value < _INFINITE:
        return value
    raise ValueError("a number is too large")  # RFC 8259 6: a reader may set limits; infinity could not be answered


class Request(Head):
    """One request.

    Made once its head is complete and valid. `method` and `target` (str) are as they were sent: methods are
    case-sensitive (RFC 9110 9.1), the target is not decoded and has the query in it. `path` is the target's path,
    percent-decoded as UTF-8, with U+FFFD for what is not UTF-8. `body` is a file of bytes that ends with the body.
    """

    # Made by http.parser.parse_head, prepared by Connection.converse.
    __slots__ = (
        "_body", "_headers", "_id", "_query", "abandoned", "begun", "connection", "incoming",
    )  # fmt: skip

    connection: Channel
    incoming: Any
    # The response's first byte is claimed once: begun by the run, or abandoned to a 504 (under the server's lock).
    begun: bool
    abandoned: bool
    _headers: Headers | None
    _body: BinaryIO | None
    _query: Query | None
    _id: str | None

    @property
    def query_string(self) -> str:
        """What follows the first `?` of the target, not decoded."""
        return self.target.partition("?")[2]

    @property
    def query(self) -> Query:
        """The decoded query: first values by `[]` and `.get`, all of them by `.get_all`."""
        if self._query is None:
            from ..http.query import parse

            self._query = parse(self.target.partition("?")[2].encode("latin-1"))
        return self._query

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if self._headers is None:
            self._headers = headers = Headers(self._block, self._low)
            split = None if self.target[0] == "/" else split_absolute(self.target)
            if split:  # RFC 9112 3.2.2: its authority replaces Host
                fields = [field for field in headers._split() if field[0] != "host"]
                headers._fields = [("host", "Host", split[0]), *fields]
        return self._headers

    @property
    def body(self) -> BinaryIO:
        """The body, as a file of bytes.

        Reading raises HTTPError (400 malformed, 408 stalled, 413 too large) and ConnectionError (the client went away);
        a `run` that lets them pass answers the status.
        """
        if self._body is None:
            self._body = io.BytesIO() if self.incoming is None else self.incoming.file(self._receive)
        return self._body

    def _receive(self) -> None:
        self.connection.receive(self)

    def json(self) -> Any:
        """Return the body as JSON (RFC 8259: no NaN, and no number like 1e999 that a float cannot hold).

        Raises HTTPError 400, which answers by itself, for a body that is not JSON.
        """
        global _decoder
        from json import JSONDecoder, detect_encoding

        body = self.body.read()
        try:
            if _decoder is None:
                _decoder = JSONDecoder(parse_constant=_no_number, parse_float=_finite)
            return _decoder.decode(body.decode(detect_encoding(body), "surrogatepass"))
        except (ValueError, RecursionError):
            raise HTTPError(400, "the body is not JSON") from None

    def form(self) -> Form:
        """Return the fields of a submitted HTML form, and its files in `.files`; reads the body, so call it once.

        HTTPError 415 for anything else, 400 malformed or more than 1000 fields, 413 too large for what it has to hold.
        """
        from ..http.form import read_form

        return read_form(self.headers.get_all("content-type"), self.body)

    @property
    def client(self) -> tuple[str, int]:
        """The peer's address and port, never what a header claims; ("unix", 0) on a Unix socket."""
        return self.connection.peer()

    @property
    def version(self) -> str:
        """`HTTP/1.1` or `HTTP/1.0`."""
        return "HTTP/1." + self._minor

    @property
    def id(self) -> str:
        """The request's id: X-Request-ID where it is a plain word, or one made here. It is in every log record."""
        if self._id is None:
            match = _ID(self._low, self.named) if self.named else None
            if match is None:
                self._id = os.urandom(8).hex()
            else:
                start, end = match.span(1)
                self._id = self._block[start:end]
        return self._id

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"
