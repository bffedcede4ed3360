"""What is read of an ELF file is what the dynamic linker reads; a hostile one is a ValueError."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effetool.native.elf import MAX_NEEDED, Elf, read_elf
from tests.parts import need

LIBRARIES = sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so"))


def elf(
    needed: tuple[str, ...] = (), soname: str = "", runpath: str = "", machine: int = 62, wide: bool = True,
    order: str = "<", **change: int,
) -> bytes:  # fmt: skip
    """A file with nothing in it but a dynamic section."""
    strings = b"\0"
    entries: list[tuple[int, int]] = []
    for tag, text in (*((1, name) for name in needed), (14, soname), (29, runpath)):
        if text:
            entries.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    head, each = (64, 56) if wide else (52, 32)
    start = head + 2 * each
    size = (len(entries) + 2) * (16 if wide else 8)
    entries += [(5, 0x1000 + start + size), (0, 0)]
    dynamic = b"".join(struct.pack(f"{order}{'qQ' if wide else 'iI'}", *entry) for entry in entries)
    total = start + size + len(strings)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    told = {"start": head, "each": each, "count": 2, "offset": start, "size": size, "loaded": total, **change}
    kind = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    header = struct.pack(
        f"{order}{kind}", 3, machine, 1, 0, told["start"], 0, 0, head, told["each"], told["count"], 0, 0, 0
    )
    if wide:
        load = struct.pack(f"{order}IIQQQQQQ", 1, 5, 0, 0x1000, 0, told["loaded"], total, 4096)
        second = struct.pack(f"{order}IIQQQQQQ", 2, 4, told["offset"], 0, 0, told["size"], size, 8)
    else:
        load = struct.pack(f"{order}IIIIIIII", 1, 0, 0x1000, 0, told["loaded"], total, 5, 4096)
        second = struct.pack(f"{order}IIIIIIII", 2, told["offset"], 0, 0, told["size"], size, 4, 4)
    return ident + header + load + second + dynamic + strings


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_classes_and_both_orders(wide: bool, order: str) -> None:
    """x86-64, armv7, s390x: one reader."""
    data = elf(("libc.so.6", "libm.so.6"), "libx.so.1", "$ORIGIN/../x.libs:/opt", wide=wide, order=order)
    expected = Elf((62, 64 if wide else 32), ("libc.so.6", "libm.so.6"), "libx.so.1", ("$ORIGIN/../x.libs", "/opt"))
    assert read_elf(io.BytesIO(data)) == expected


def test_it_reads_what_readelf_reads() -> None:
    """binutils on every extension module of this Python, and on the interpreter."""
    need("readelf")
    files = [*LIBRARIES, Path(sys.executable).resolve()]
    assert files
    for path in files:
        said = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True, check=True).stdout
        with path.open("rb") as file:
            found = read_elf(file)
        assert found is not None and list(found.needed) == re.findall(r"\(NEEDED\)\s.*\[(.*)\]", said), path


def test_a_file_in_a_zip_is_read_where_it_is(tmp_path: Path) -> None:
    """Nothing is unpacked to read it."""
    with zipfile.ZipFile(tmp_path / "x.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.so", elf(("libgomp.so.1",)) + bytes(100_000))
    with zipfile.ZipFile(tmp_path / "x.whl") as archive, archive.open("a/b.so") as file:
        found = read_elf(file)
    assert found is not None and found.needed == ("libgomp.so.1",)


@pytest.mark.parametrize("data", [b"", b"\x7fEL", b"#!/bin/sh\n", b"MZ" + bytes(100)])
def test_what_is_not_elf_is_none(data: bytes) -> None:
    """A script, a DLL, an empty file."""
    assert read_elf(io.BytesIO(data)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF", b"\x7fELF" + b"\x02\x01" + bytes(20), b"\x7fELF" + b"\x07\x01" + bytes(90),
        elf(("libc.so.6",), each=1), elf(("libc.so.6",), count=65535), elf(("libc.so.6",), start=1 << 63),
        elf(("libc.so.6",), offset=1 << 63), elf(("libc.so.6",), offset=1 << 40), elf(("libc.so.6",), size=1 << 40),
        elf(("libc.so.6",), loaded=10), elf(("x" * 5000,)), elf(tuple(f"lib{n}.so" for n in range(MAX_NEEDED + 1))),
        elf(("libc.so.6",))[:-3],
    ],
)  # fmt: skip
def test_a_malformed_file_is_one_error(data: bytes) -> None:
    """Sizes, counts and offsets that lie: nothing large is read, nothing is reported that is not there."""
    with pytest.raises(ValueError):
        read_elf(io.BytesIO(data))


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(4, 400))
def test_any_bytes_are_an_answer_or_a_value_error(noise: bytes, at: int) -> None:
    """Noise over a good file."""
    data = bytearray(elf(("libc.so.6", "libm.so.6"), "libx.so.1", "$ORIGIN"))
    data[at : at + len(noise)] = noise
    try:
        read_elf(io.BytesIO(bytes(data)))
    except ValueError:
        pass
