"""A zip, written so that the same entries always give the same bytes.

`zipfile` stays out of it: it cannot copy entries of another archive without unpacking them, and a build copies
some three hundred. Format: APPNOTE.TXT 6.3 (PKWARE), without zip64, which `zipimport` reads only from Python 3.13 on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ...errors import BuildError

__all__ = ["DATE_1980", "Entry", "Writer", "entries", "read"]

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
DATE_1980 = (0, (0 << 9) | (1 << 5) | 1)
STORED, DEFLATED = 0, 8
UTF8 = 0x800
LIMIT = 0xFFFFFFFF
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an archive as its central directory tells it."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    attributes: int
    offset: int
    record: bytes

    @property
    def is_directory(self) -> bool:
        return self.name.endswith("/")


def entries(raw: bytes) -> list[Entry]:
    """Return the entries of the zip in `raw`, in the order of its central directory.

    Raises:
        ValueError: when it is no zip, or one with a comment or of more than 4 GiB.
    """
    at = len(raw) - END.size
    if at < 0 or raw[at : at + 4] != b"PK\x05\x06":
        raise ValueError("no end of central directory")
    _, _, _, _, count, size, start, _ = END.unpack_from(raw, at)
    found = []
    position = start
    if start + size != at:
        raise ValueError("the central directory is not where it should be")
    for _ in range(count):
        (mark, _, _, _, method, _, _, crc, packed, full, name, extra, comment, _, _, attributes, offset) = (
            CENTRAL.unpack_from(raw, position)
        )
        if mark != b"PK\x01\x02":
            raise ValueError("a broken central directory")
        end = position + CENTRAL.size + name + extra + comment
        text = raw[position + CENTRAL.size : position + CENTRAL.size + name].decode()
        found.append(Entry(text, method, crc, packed, full, attributes, offset, raw[position:end]))
        position = end
    return found


def read(raw: bytes, entry: Entry) -> bytes:
    """Return the content of `entry` of the zip in `raw`.

    Raises:
        ValueError: when its bytes do not fit its checksum.
    """
    start = _data(raw, entry)
    data = raw[start : start + entry.packed]
    if entry.method == DEFLATED:
        data = zlib.decompress(data, -15)
    if zlib.crc32(data) != entry.crc:
        raise ValueError(f"{entry.name}: wrong checksum")
    return data


def _data(raw: bytes, entry: Entry) -> int:
    name, extra = struct.unpack_from("<2H", raw, entry.offset + 26)
    return int(entry.offset + LOCAL.size + name + extra)


class Writer:
    """Write a zip to `file` from its present position on; offsets are counted from the beginning of the file.

    Args:
        date: MS-DOS time and date of every entry, `DATE_1980` unless SOURCE_DATE_EPOCH says otherwise.
    """

    def __init__(self, file: BinaryIO, date: tuple[int, int] = DATE_1980) -> None:
        self._file = file
        self._date = date
        self._records: list[bytes] = []
        self._at = file.tell()
        self._folders: set[str] = set()

    def hide(self, folders: Iterable[str]) -> None:
        """Give these folders no entries of their own: to `zipimport` they are no namespace packages then."""
        self._folders.update(f"{folder}/" for folder in folders)

    def add(self, name: str, data: bytes, *, executable: bool = False, store: bool = False) -> int:
        """Add an entry and return the offset of its data in the file."""
        packed = data
        method = STORED
        if not store:
            pack = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = pack.compress(data) + pack.flush()
            if len(packed) < len(data):
                method = DEFLATED
            else:
                packed = data
        return self._entry(name, [packed], method, zlib.crc32(data), len(packed), len(data), executable)

    def add_stream(self, name: str, chunks: Iterable[bytes], crc: int, size: int, *, executable: bool = False) -> int:
        """Add an entry too large for memory, stored; checksum and size are known from a first reading."""
        return self._entry(name, chunks, STORED, crc, size, size, executable)

    def _entry(
        self, name: str, chunks: Iterable[bytes], method: int, crc: int, packed: int, size: int, executable: bool
    ) -> int:
        self._parents(name)
        raw = name.encode()
        flags = 0 if raw.isascii() else UTF8
        self._room(packed + len(raw))
        time, day = self._date
        offset = self._at
        head = LOCAL.pack(b"PK\x03\x04", 20, flags, method, time, day, crc, packed, size, len(raw), 0) + raw
        self._write(head)
        data = self._at
        for chunk in chunks:
            self._write(chunk)
        mode = 0o100755 if executable else 0o100644
        self._records.append(
            CENTRAL.pack(
                b"PK\x01\x02", 0x314, 20, flags, method, time, day, crc, packed, size, len(raw), 0, 0, 0, 0,
                mode << 16, offset,
            )
            + raw
        )  # fmt: skip
        return data

    def _parents(self, name: str) -> None:
        """Add the folders above `name`: `zipimport` finds namespace packages by them."""
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth]) + "/"
            if folder in self._folders:
                continue
            self._folders.add(folder)
            raw = folder.encode()
            flags = 0 if raw.isascii() else UTF8
            time, day = self._date
            offset = self._at
            self._write(LOCAL.pack(b"PK\x03\x04", 20, flags, STORED, time, day, 0, 0, 0, len(raw), 0) + raw)
            self._records.append(
                CENTRAL.pack(
                    b"PK\x01\x02", 0x314, 20, flags, STORED, time, day, 0, 0, 0, len(raw), 0, 0, 0, 0,
                    0o40755 << 16 | 0x10, offset,
                )
                + raw
            )  # fmt: skip

    def splice(self, raw: bytes, chosen: Iterable[Entry]) -> None:
        """Copy entries of the zip in `raw` as they are, packed bytes and all."""
        time, day = self._date
        stamp = struct.pack("<2H", time, day)
        pieces: list[bytes] = []
        at = self._at
        for entry in chosen:
            if entry.is_directory:
                if entry.name in self._folders:
                    continue
                self._folders.add(entry.name)
            end = _data(raw, entry) + entry.packed
            start = entry.offset
            pieces += (raw[start : start + 10], stamp, raw[start + 14 : end])
            record = bytearray(entry.record)
            record[12:16] = stamp
            struct.pack_into("<L", record, 42, at)
            self._records.append(bytes(record))
            at += end - start
        self._room(at - self._at)
        self._write(b"".join(pieces))

    def close(self) -> int:
        """Write the central directory and return the size of the whole file."""
        start = self._at
        directory = b"".join(self._records)
        self._room(len(directory) + END.size)
        count = len(self._records)
        if count > 0xFFFF:
            raise BuildError(
                f"{count} files: a .pex holds at most 65535", code="E134", fix="pack the data files into one archive"
            )
        self._write(directory + END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), start, 0))
        return self._at

    def _room(self, more: int) -> None:
        if self._at + more > LIMIT:
            raise BuildError(
                "more than 4 GiB in one file: Python cannot import from such an archive",
                code="E134",
                fix="keep large data beside the .pex or fetch it in init()",
            )

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._at += len(data)


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of `file` in pieces of 1 MiB."""
    while piece := file.read(CHUNK):
        yield piece
