"""An answer as a test sees it: status, headers, and the body whole or piece by piece."""

from __future__ import annotations

import http.client
import json
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any

__all__ = ["Answer"]


class Answer:
    """What came back.

    Attributes:
        status: the status code, an int.
        reason: its phrase.
        headers: the fields, case-insensitive; `headers["x"]` is None where there is none, `.get_all(name)` gives all.
    """

    def __init__(self, connection: socket.socket, method: str, done: Callable[[bool], None]) -> None:
        self._response = http.client.HTTPResponse(connection, method=method)
        self._done = done
        self._body: bytes | None = None
        self._response.begin()
        self.status = self._response.status
        self.reason = self._response.reason
        self.headers = self._response.headers

    @property
    def body(self) -> bytes:
        """The whole body; of a streamed answer what has not been iterated over, waiting for its end.

        Raises http.client.IncompleteRead where the connection was cut before the end.
        """
        if self._body is None:
            try:
                self._body = self._response.read()
            except BaseException:
                self._finish(False)
                raise
            self._finish(True)
        return self._body

    content = body

    @property
    def text(self) -> str:
        """The body as text, in the charset of Content-Type (UTF-8 where it names none)."""
        return self.body.decode(self.headers.get_content_charset() or "utf-8")

    def json(self) -> Any:
        """Return the body as JSON. Raises ValueError when it is not JSON."""
        return json.loads(self.body)

    def __iter__(self) -> Iterator[bytes]:
        """Give the pieces of the body as the effe flushes them."""
        if self._body is not None:
            yield self._body
            return
        try:
            while piece := self._response.read1(65536):
                yield piece
        except BaseException:
            self._finish(False)
            raise
        self._body = b""
        self._finish(True)

    def lines(self) -> Iterator[str]:
        """Give the lines of the body as they come, without their ends: the fields of server-sent events, say."""
        rest = b""
        for piece in self:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r").decode()
        if rest:
            yield rest.decode()

    def close(self) -> None:
        """Close the connection before the end of the body: the effe sees a client that went away."""
        if self._body is None:
            self._body = b""
            self._finish(False)

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.reason}>"

    def _finish(self, whole: bool) -> None:
        """Give the connection back; it serves another request when this one ended as it should."""
        reusable = whole and not self._response.will_close
        self._response.close()
        self._done(reusable)
