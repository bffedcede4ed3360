"""Read what a shared library asks of the dynamic linker, without loading it.

Sources: System V ABI, chapters 4 and 5 (ELF header, program headers, dynamic section). The file may come from anybody:
every size and count is bounded, offsets may point anywhere, and what does not fit is a ValueError.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

__all__ = ["MACHINES", "Elf", "read_elf"]

MAGIC = b"\x7fELF"
# e_machine and the class's bits of what `uname -m` names.
MACHINES = {
    "x86_64": (62, 64), "aarch64": (183, 64), "i686": (3, 32), "armv7l": (40, 32), "ppc64le": (21, 64),
    "s390x": (22, 64), "riscv64": (243, 64),
}  # fmt: skip
MAX_HEADERS = 256
MAX_ENTRIES = 1 << 14  # of the dynamic section; large libraries have some hundred
MAX_NEEDED = 512
MAX_STRING = 4096  # PATH_MAX
LOAD, DYNAMIC = 1, 2  # types of program headers
NEEDED, STRTAB, SONAME, RPATH, RUNPATH = 1, 5, 14, 15, 29


@dataclass(frozen=True, slots=True)
class Elf:
    """The dynamic section of one file.

    Attributes:
        machine: `e_machine` and the class, 32 or 64 bits.
        needed: the libraries that are loaded with it, by SONAME.
        soname: its own name, empty when it has none.
        paths: the directories of DT_RUNPATH or DT_RPATH, `$ORIGIN` as it stands there.
    """

    machine: tuple[int, int]
    needed: tuple[str, ...]
    soname: str
    paths: tuple[str, ...]


def read_elf(file: IO[bytes]) -> Elf | None:
    """Return what a seekable file needs; None for one that is not ELF, or not dynamically linked.

    Raises:
        ValueError: it begins as ELF and is malformed.
    """
    head = file.read(64)
    if head[:4] != MAGIC:
        return None
    if len(head) < 52 or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise ValueError("its ELF header is malformed")
    order = "<" if head[5] == 1 else ">"
    wide = head[4] == 2
    if wide and len(head) < 64:
        raise ValueError("its ELF header is malformed")
    (machine,) = struct.unpack_from(f"{order}H", head, 18)
    (start,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
    each, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    loads, dynamic = _segments(file, order, wide, start, each, count)
    if dynamic is None:
        return None
    values = _dynamic(file, order, wide, *dynamic)
    if not values.get(NEEDED) and not values.get(SONAME):
        return Elf((machine, 64 if wide else 32), (), "", ())
    table = _offset(loads, values.get(STRTAB, [0])[0])
    wanted = [(tag, at) for tag in (NEEDED, SONAME, RPATH, RUNPATH) for at in values.get(tag, [])]
    # In the order of the file: one inside a zip is unpacked anew for each step back.
    strings = {at: _string(file, table + at) for at in sorted({at for _, at in wanted})}
    named = {tag: [strings[at] for at in values.get(tag, [])] for tag in (NEEDED, SONAME, RPATH, RUNPATH)}
    paths = named[RUNPATH] or named[RPATH]
    return Elf(
        (machine, 64 if wide else 32),
        tuple(dict.fromkeys(named[NEEDED])),
        (named[SONAME] or [""])[0],
        tuple(part for path in paths for part in path.split(":") if part),
    )


def _segments(
    file: IO[bytes], order: str, wide: bool, start: int, each: int, count: int
) -> tuple[list[tuple[int, int, int]], tuple[int, int] | None]:
    """Return (address, offset, size) of what is loaded, and offset and size of the dynamic section."""
    layout = f"{order}IIQQQQQQ" if wide else f"{order}IIIIIIII"
    if count > MAX_HEADERS or (count and each != struct.calcsize(layout)):
        raise ValueError("its program headers are malformed")
    data = _read(file, start, each * count)
    loads, dynamic = [], None
    for fields in struct.iter_unpack(layout, data):
        if wide:
            kind, _, offset, address, _, size, *_ = fields
        else:
            kind, offset, address, _, size, *_ = fields
        if kind == LOAD:
            loads.append((address, offset, size))
        elif kind == DYNAMIC:
            dynamic = (offset, size)
    return loads, dynamic


def _dynamic(file: IO[bytes], order: str, wide: bool, offset: int, size: int) -> dict[int, list[int]]:
    """Return the values of each tag that matters, up to DT_NULL."""
    layout = f"{order}qQ" if wide else f"{order}iI"
    step = struct.calcsize(layout)
    if size > MAX_ENTRIES * step:
        raise ValueError("its dynamic section is larger than any")
    values: dict[int, list[int]] = {}
    for tag, value in struct.iter_unpack(layout, _read(file, offset, size - size % step)):
        if tag == 0:
            break
        if tag in (NEEDED, STRTAB, SONAME, RPATH, RUNPATH):
            values.setdefault(tag, []).append(value)
            if len(values[tag]) > MAX_NEEDED:
                raise ValueError(f"it needs more than {MAX_NEEDED} libraries")
    return values


def _offset(loads: list[tuple[int, int, int]], address: int) -> int:
    for start, offset, size in loads:
        if start <= address < start + size:
            return offset + address - start
    raise ValueError("its string table is not in the file")


def _string(file: IO[bytes], offset: int) -> str:
    text, end, _ = _read(file, offset, MAX_STRING, short=True).partition(b"\0")
    if not end:
        raise ValueError("a name in it is longer than any path, or has no end")
    return text.decode("utf-8", "replace")


def _read(file: IO[bytes], offset: int, size: int, *, short: bool = False) -> bytes:
    if offset >= 1 << 62:
        raise ValueError("an offset in it is outside the file")
    file.seek(offset)
    data = file.read(size)
    if len(data) < size and not short:
        raise ValueError("it ends too early")
    return data
