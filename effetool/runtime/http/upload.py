"""Files that came in a form: in memory while they are small, on the disk beyond."""

from __future__ import annotations

import io
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

# The files of a form stay in memory together up to here, so that a small upload touches no disk.
MAX_HELD = 256 * 1024


class Upload:
    """A file that came in a form.

    `file` is a file of bytes that can be read and sought, `size` its length in bytes. `filename` and `content_type` are
    what the client says: a name without directories (RFC 7578 4.2), "" where it sent none, and never to be trusted.
    """

    __slots__ = ("content_type", "file", "filename", "size")

    def __init__(self, filename: str, content_type: str, file: BinaryIO, size: int) -> None:
        self.filename = filename
        self.content_type = content_type
        self.file = file
        self.size = size

    def __repr__(self) -> str:
        return f"<Upload {self.filename!r} {self.content_type} {self.size} bytes>"


class Spool:
    """The files of one form, one after the other: in memory, and beyond `MAX_HELD` in one file without a name.

    One descriptor whatever the number of files. It is closed with the last of them, by reference counting: nothing is
    left to the author.
    """

    def __init__(self) -> None:
        self.size = 0
        self._memory = bytearray()
        self._disk: _Disk | None = None

    def write(self, data: bytes) -> None:
        """Append."""
        self.size += len(data)
        if self._disk is None:
            self._memory += data
            if self.size > MAX_HELD:
                self._disk = _Disk()
                self._disk.write(self._memory)
                self._memory = bytearray()
        else:
            self._disk.write(data)

    def file(self, begin: int, end: int) -> BinaryIO:
        """Return a part of it as a file."""
        if self._disk is None:
            return io.BytesIO(self._memory[begin:end])
        return io.BufferedReader(_Slice(self._disk, begin, end))


class _Disk:
    """A file that is gone from its directory already."""

    fd = -1

    def __init__(self) -> None:
        from tempfile import mkstemp

        self.fd, path = mkstemp(prefix="effe-")
        os.unlink(path)

    def write(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while len(view):
            view = view[os.write(self.fd, view) :]

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class _Slice(io.RawIOBase):
    """A part of a file, with a place of its own."""

    def __init__(self, disk: _Disk, begin: int, end: int) -> None:
        self._disk, self._begin, self._size, self._place = disk, begin, end - begin, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        place = offset + (0, self._place, self._size)[whence]
        if place < 0:
            raise ValueError(f"negative seek position {place}")
        self._place = place
        return place

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._size - self._place))
        data = os.pread(self._disk.fd, wanted, self._begin + self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
