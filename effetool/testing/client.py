"""The test's client. Backends carry its bytes: the server in this process, or a built file that was started."""

from __future__ import annotations

import json as _json
import os
import re
import socket
import sys
from urllib.parse import quote, urlencode

from .answer import Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType, TracebackType
    from typing import Any, Protocol

    class Backend(Protocol):
        """What serves the client's requests."""

        def enter(self) -> None: ...
        def connect(self) -> socket.socket: ...
        def leave(self) -> None: ...
        @property
        def errors(self) -> list[BaseException]: ...
        @property
        def contexts(self) -> list[Any]: ...


__all__ = ["Client"]

# The .pex that `--effe-pex` names; None: the code in this process.
built: str | None = None

# RFC 9110 5.5 and 5.6.2, for what a test sends: anything else would end the head and begin something new.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(r"[\t -~\x80-\xff]*").fullmatch


class Client:
    """Ask an effe, in the process of the test and through the production server.

    Entering runs `init`; contexts start on demand, as in production; leaving stops every one of them. Functions are
    looked up on entering, so what a test has replaced in the module until then is what runs.

    Args:
        logic: the author's module, or the path of its file.
        flags: flags of the running effe, as typed: `Client(logic, "-max-body", "1KiB")`.
        timeout: seconds a test waits for bytes before TimeoutError.

    Raises on entering: what `init` raises.
    """

    def __init__(self, logic: ModuleType | str | os.PathLike[str], *flags: str, timeout: float = 30.0) -> None:
        self.timeout = timeout
        self._idle: list[socket.socket] = []
        self._open: set[socket.socket] = set()
        self._backend: Backend
        if built is not None:
            from .started import Started

            self._backend = Started(built, logic, flags)
        else:
            from .served import Served

            self._backend = Served(_module(logic), flags)

    def __enter__(self) -> Client:
        self._backend.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in list(self._open):
            connection.close()
        self._open.clear()
        self._idle.clear()
        self._backend.leave()

    @property
    def errors(self) -> list[BaseException]:
        """What run returned or raised, in order; an HTTPError is an answer and no error."""
        return self._backend.errors

    @property
    def contexts(self) -> list[Any]:
        """The contexts that were started and not stopped yet, in the order of their start."""
        return self._backend.contexts

    def get(self, target: str, **options: Any) -> Answer:
        """Send a GET; the options are those of `request`."""
        return self.request("GET", target, **options)

    def head(self, target: str, **options: Any) -> Answer:
        """Send a HEAD; the options are those of `request`."""
        return self.request("HEAD", target, **options)

    def post(self, target: str, **options: Any) -> Answer:
        """Send a POST; the options are those of `request`."""
        return self.request("POST", target, **options)

    def put(self, target: str, **options: Any) -> Answer:
        """Send a PUT; the options are those of `request`."""
        return self.request("PUT", target, **options)

    def patch(self, target: str, **options: Any) -> Answer:
        """Send a PATCH; the options are those of `request`."""
        return self.request("PATCH", target, **options)

    def delete(self, target: str, **options: Any) -> Answer:
        """Send a DELETE; the options are those of `request`."""
        return self.request("DELETE", target, **options)

    def request(
        self,
        method: str,
        target: str,
        *,
        json: Any = None,
        data: str | bytes | Mapping[str, Any] | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        stream: bool = False,
    ) -> Answer:
        """Send a request and return its answer.

        Args:
            method: any token.
            target: path and query; what may not stand there is percent-encoded.
            json: a value, sent as application/json.
            data: text, bytes, a mapping (sent as a form) or pieces of bytes (sent chunked).
            headers: fields; Host, Content-Type and the framing are set unless given.
            stream: return once the head is there, and iterate over the body; else it is read whole.

        Raises:
            TimeoutError: nothing came within `timeout`.
            http.client.HTTPException, ConnectionError: the connection was cut.
            ValueError: a method or a field that cannot be sent.
        """
        head, body, pieces = _encode(method, target, json, data, headers)
        connection = self._idle.pop() if self._idle else self._connect()
        try:
            connection.sendall(head + body)
            for piece in pieces:
                if piece:
                    connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            if head.endswith(b"Transfer-Encoding: chunked\r\n\r\n"):
                connection.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered before the body was read: the answer says why
        try:
            answer = Answer(connection, method, lambda reusable: self._done(connection, reusable))
            if not stream:
                _ = answer.body
        except BaseException:
            self._done(connection, False)
            raise
        return answer

    def _connect(self) -> socket.socket:
        connection = self._backend.connect()
        connection.settimeout(self.timeout)
        self._open.add(connection)
        return connection

    def _done(self, connection: socket.socket, reusable: bool) -> None:
        if reusable and connection in self._open:
            self._idle.append(connection)
        else:
            self._open.discard(connection)
            connection.close()


def _module(logic: ModuleType | str | os.PathLike[str]) -> ModuleType:
    if not isinstance(logic, (str, os.PathLike)):
        return logic
    from ..runtime.contract.logic import load

    path = os.path.abspath(logic)
    name = os.path.splitext(os.path.basename(path))[0]
    known = sys.modules.get(name)
    if known is not None and os.path.abspath(getattr(known, "__file__", None) or "") == path:
        return known
    module: ModuleType = load(name, path).module
    return module


def _encode(
    method: str,
    target: str,
    json: Any,
    data: str | bytes | Mapping[str, Any] | Iterable[bytes] | None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None,
) -> tuple[bytes, bytes, Iterable[bytes]]:
    """Write the head and what follows it: a body of known length, or pieces."""
    if not _NAME(method):
        raise ValueError(f"no HTTP method: {method!r}")
    given: Any = headers or ()
    fields = [(str(name), str(value)) for name, value in (given.items() if hasattr(given, "items") else given)]
    names = {name.lower() for name, _ in fields}
    body, kind = b"", None
    pieces: Iterable[bytes] = ()
    if json is not None:
        body, kind = _json.dumps(json).encode(), "application/json"
    elif isinstance(data, str):
        body, kind = data.encode(), "text/plain; charset=utf-8"
    elif isinstance(data, (bytes, bytearray, memoryview)):
        body, kind = bytes(data), "application/octet-stream"
    elif hasattr(data, "items"):
        form: Any = data
        body, kind = urlencode(form, doseq=True).encode(), "application/x-www-form-urlencoded"
    elif data is not None:
        pieces = data
        kind = "application/octet-stream"
    if "host" not in names:
        fields.insert(0, ("Host", "localhost"))
    if kind and "content-type" not in names:
        fields.append(("Content-Type", kind))
    framed = "content-length" in names or "transfer-encoding" in names
    if not framed and pieces != ():
        fields.append(("Transfer-Encoding", "chunked"))
    elif not framed and (kind or method in ("POST", "PUT", "PATCH")):
        fields.append(("Content-Length", str(len(body))))
    lines = [f"{method} {quote(target, safe=_SAFE)} HTTP/1.1"]
    for name, value in fields:
        if not _NAME(name) or not _VALUE(value):
            raise ValueError(f"no header field: {name!r}: {value!r}")
        lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), body, pieces


_SAFE = "%/:?[]@!$&'()*+,;=~"
