"""Read the members of a tar that somebody else wrote, in bounded memory.

`tarfile` holds names, extended headers and sparse maps of any size in memory, and its way to bound them is private and
differs between releases. Here each member is a name, a type and a place; whatever else a tar says is skipped.

Formats: POSIX.1-2024 pax (ustar headers, `path`, `linkpath` and `size` records), GNU tar (`L`, `K`, `S`, base 256).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

__all__ = ["MAX_NAME", "Member", "members"]

BLOCK = 512
MAX_NAME = 1 << 20  # bytes of all extended headers before one member: they are held in memory
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name and type as the tar has them, its target if it is a link, and where its content is.

    `offset` counts bytes from where reading began; with `seek` that is the beginning of the file.
    """

    name: str
    kind: bytes
    link: str
    offset: int
    size: int

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory; before POSIX.1-1988 a slash at the end said so."""
        return self.kind == b"5" or (self.kind in b"0\0" and self.name.endswith("/"))


def members(file: IO[bytes], *, seek: bool = False) -> Iterator[Member]:
    """Yield the members of a tar, from where `file` stands to the tar's end.

    Args:
        seek: pass over content with `file.seek`; without it `file` is only read.

    Raises:
        ValueError: it is not a tar, ends too early, or a name in it is longer than MAX_NAME.
    """
    offset = extended = 0
    records: dict[str, bytes] = {}
    while True:
        header = file.read(BLOCK)
        offset += len(header)
        if not header.strip(b"\0"):  # a block of zeros ends it, and so does the end of the file
            if len(header) not in (0, BLOCK):
                raise ValueError("it ends inside a header")
            return
        size = _checked(header)
        kind = header[156:157]
        if kind in b"xgXLK":
            extended += size + BLOCK
            if size > MAX_NAME or extended > MAX_NAME:
                raise ValueError("a name in it is longer than any name is")
            data = _exactly(file, size)
            offset += size + _skip(file, -size % BLOCK)
            if kind in b"xX":
                records |= _records(data)
            elif kind != b"g":  # a global header names no member
                records["path" if kind == b"L" else "linkpath"] = data.partition(b"\0")[0]
            continue
        more = kind == b"S" and header[482:483] != b"\0"
        while more:  # old GNU sparse files have their map in blocks of its own
            block = _exactly(file, BLOCK)
            offset += BLOCK
            more = block[504:505] != b"\0"
        if "size" in records:
            size = _number(records["size"])
        if kind in b"123456":  # links, devices, directories and pipes have no content, whatever they say
            size = 0
        name = records.get("path") or _name(header)
        link = records.get("linkpath") or header[157:257].partition(b"\0")[0]
        yield Member(name.decode("utf-8", "replace"), kind, link.decode("utf-8", "replace"), offset, size)
        offset += size + -size % BLOCK
        if seek:
            file.seek(offset)
        else:
            _skip(file, size + -size % BLOCK)
        records, extended = {}, 0


def _checked(header: bytes) -> int:
    """Return the size in a header whose checksum is right; signed sums are of old Suns'."""
    if len(header) != BLOCK:
        raise ValueError("it ends inside a header")
    blanked = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blanked)
    if _field(header[148:156]) not in (sum(blanked), signed):
        raise ValueError("it is not a tar: a header has another checksum")
    return _field(header[124:136])


def _field(data: bytes) -> int:
    """Return a header's number: octal digits, or base 256 where the first bit is set (GNU)."""
    if data[0] & 0x80:
        if data[0] != 0x80:
            raise ValueError("a size in it is negative")
        return int.from_bytes(data[1:], "big")
    text = data.partition(b"\0")[0].strip(b" ")
    if text.strip(b"01234567"):
        raise ValueError("it is not a tar: a number in a header is not octal")
    return int(text or b"0", 8)


def _number(data: bytes) -> int:
    if not data.isdigit() or len(data) > 20:
        raise ValueError("a size in it is not a number")
    return int(data)


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _records(data: bytes) -> dict[str, bytes]:
    """Return those of a pax header's records that matter: each is `length key=value\\n`."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        blank = data.find(b" ", at, at + 12)
        length = _number(data[at:blank]) if blank > at else 0
        key, equals, value = data[blank + 1 : at + length - 1].partition(b"=")
        if at + length > len(data) or blank + 1 >= at + length or not equals:
            raise ValueError("an extended header in it is malformed")
        if key in (b"path", b"linkpath", b"size"):
            found[key.decode()] = value.rstrip(b"\0")
        at += length
    return found


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError("it ends inside a header")
    return data


def _skip(file: IO[bytes], size: int) -> int:
    left = size
    while left:
        data = file.read(min(left, CHUNK))
        if not data:
            raise ValueError("it ends inside a file")
        left -= len(data)
    return size
