"""A request's body on its way in: collected by the leader while it is small, read by the run where it is not."""

from __future__ import annotations

import io

from .parser import CHUNKED, Chunks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

# Up to here a body is received before the run begins: a client that stalls in it costs no thread and no context.
# Beyond, the run begins and reads the rest as it comes, so that a large body is never held in memory as a whole.
COLLECTED = 64 * 1024


class Incoming:
    """The body of one request: what has arrived of it, and how much is to come. Pure: bytes are fed to it."""

    __slots__ = ("_chunks", "_left", "parts", "received")

    def __init__(self, length: int, limit: int, max_trailer: int) -> None:
        self._left = length
        self._chunks = Chunks(limit, max_trailer) if length == CHUNKED else None
        self.parts: list[bytes] = []
        self.received = 0

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived."""
        return self._left == 0 if self._chunks is None else self._chunks.done

    @property
    def left(self) -> int | None:
        """Octets to come; None where only the chunks will tell."""
        return self._left if self._chunks is None else None

    def feed(self, data: bytes, start: int) -> int:
        """Take the body's part of `data` from `start` on; return where it ends. Raises HTTPError (400, 413, 431)."""
        if self._chunks is None:
            piece = data[start : start + self._left]
            if piece:
                self.parts.append(piece)
                self.received += len(piece)
                self._left -= len(piece)
            return start + len(piece)
        before = len(self.parts)
        end = self._chunks.feed(data, start, self.parts)
        self.received += sum(map(len, self.parts[before:]))
        return end

    def take(self) -> bytes:
        """Return what has arrived and was not taken yet."""
        data = b"".join(self.parts)
        self.parts.clear()
        return data

    def file(self, receive: Callable[[], None]) -> BinaryIO:
        """Return the body as a file: of memory when it is all here, else one that calls `receive` to get more of it.

        `receive` feeds this body at least once, or raises what the reader of the file is to be told.
        """
        if self.complete:
            return io.BytesIO(self.take())
        return io.BufferedReader(_Stream(self, receive), 64 * 1024)  # type: ignore[type-var]


class _Stream(io.RawIOBase):
    """The part of a body that is still on the wire. Blocks; used by the thread of the run only."""

    def __init__(self, incoming: Incoming, receive: Callable[[], None]) -> None:
        self._incoming, self._receive = incoming, receive
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        incoming = self._incoming
        while not self._rest:
            self._rest = incoming.take()
            if self._rest:
                break
            if incoming.complete:
                return 0
            self._receive()
        piece = self._rest[: len(buffer)]
        self._rest = self._rest[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)
