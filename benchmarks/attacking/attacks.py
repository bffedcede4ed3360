"""The attacks: what each hostile connection sends, how often, and how many there are."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

# What all connections of a costly attack send together: what a line of 8 Mbit/s carries.
LINE = 1_000_000  # bytes a second


@dataclass(frozen=True)
class Attack:
    """One kind of hostile client.

    Each connection sends `first`, and from then on the next `step` bytes of `then` (which repeats; 0: all of it) every
    `every` seconds. One that the server closes is opened again. `connections` is their number; 0: half as many again as
    the house holds.
    """

    title: str
    first: bytes = b""
    then: bytes = b""
    step: int = 0
    every: float = 0.25
    connections: int = 0
    reads: bool = True
    resets: bool = False  # the client resets the connection each `every` seconds
    tls: bool = False  # the server speaks TLS, and so do the good clients

    @property
    def fills(self) -> bool:
        """Whether it is meant to fill the house: to hold every connection that there may be."""
        return not self.connections


def _post(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


def _steady(title: str, first: bytes, then: bytes, connections: int = 8, rate: int = LINE) -> Attack:
    """Send `then` so often that all connections together send `rate` bytes a second."""
    return Attack(title, first, then, 0, len(then) * connections / rate, connections)


def _hello() -> bytes:
    """Return what a TLS client says first."""
    context = ssl.create_default_context()
    sent = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


_GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
_CHUNKED = _post("/body", "Transfer-Encoding: chunked")
_ESCAPES = b"a=" + b"%41" * 2_666_666
_FORM = _post("/form", "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(_ESCAPES)}")

ATTACKS = {
    "idle": Attack("connections that send nothing"),
    "kept": Attack("kept connections: one request, then nothing", _GET + b"\r\n"),
    "head-byte": Attack("a head, a byte each 0.25 s", _GET + b"X: ", b"a", 1),
    "head-line": Attack("a head, a line each 0.25 s", _GET, b"X: a\r\n"),
    "body-byte": Attack("a body of 60 KB, a byte each 0.25 s", _post("/body", "Content-Length: 60000"), b"a"),
    "body-large": Attack("a body of 1 MB, a byte each 0.25 s", _post("/body", "Content-Length: 1000000"), b"a"),
    # 1,023 bytes in the 20 s that a body has by default for 1 KiB.
    "body-slow": Attack("a body of 1 MB, 1,023 bytes in 20 s", _post("/body", "Content-Length: 1000000"),
                        b"a" * 1023, 13, 20 * 13 / 1023),
    "expect": Attack("Expect: 100-continue, then nothing",
                     _post("/body", "Content-Length: 60000", "Expect: 100-continue")),
    "unread-answer": Attack("an answer of 8 MB that is not read", b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
                            reads=False),
    "unread-body": Attack("a body that the server does not read, a byte each 0.25 s",
                          _post("/", "Content-Length: 200000"), b"a"),
    "handshake": Attack("a TLS handshake, a byte each 0.25 s", b"", _hello(), 1, tls=True),
    "blanks": _steady("Host: and 32,000 blanks", b"", b"GET / HTTP/1.1\r\nHost:" + b" " * 32_000 + b"!\r\n\r\n"),
    "chunks": _steady("chunks of a byte", _CHUNKED, b"1\r\na\r\n" * 2000),
    "extensions": _steady("chunks of a byte, with 2 KB of extension", _CHUNKED,
                          (b"1;a=" + b"b" * 2000 + b"\r\na\r\n") * 8),
    "trailers": _steady("trailers without end", _CHUNKED + b"0\r\n", b"X: a\r\n" * 2000),
    "form": _steady("a form of 8 MB of %41", b"", _FORM + _ESCAPES, 2, 8 * LINE),
    "pipeline": _steady("pipelined requests", b"", (_GET + b"\r\n") * 400),
    "resets": Attack("half a head, then a reset, hundreds a second", _GET, every=0.032, connections=32, resets=True),
}  # fmt: skip
