"""What is read of a tar is what `tarfile` reads of it, and no tar takes more memory than a name does."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effetool.image.tar import BLOCK, MAX_NAME, members


def archive(*infos: tarfile.TarInfo, kind: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        for info in infos:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return file.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("seek", [False, True])
def test_members_are_those_that_tarfile_sees(kind: int, seek: bool) -> None:
    """Names of every length, in pax's and GNU's way; content is passed over, and is where the member says."""
    given = [
        info("usr/bin/python3.11", size=513), info("é" * 200, size=1), info("d/" + "x" * 120 + "/y", size=512),
        info("link", tarfile.SYMTYPE, "t" * 300), info("hard", tarfile.LNKTYPE, "link"), info("dir", tarfile.DIRTYPE),
    ]  # fmt: skip
    data = archive(*given, kind=kind)
    found = list(members(io.BytesIO(data), seek=seek))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [(one.name, one.type, one.linkname, one.offset_data, one.size) for one in tar]
    assert [(one.name.rstrip("/"), one.kind, one.link, one.offset, one.size) for one in found] == expected


def test_what_gnu_tar_writes_is_read(tmp_path: Path) -> None:
    """A sparse file has its map in blocks of its own, old and new."""
    with (tmp_path / "sparse").open("wb") as file:
        for step in range(60):
            file.seek(step << 20)
            file.write(b"x")
    (tmp_path / "after").write_text("after")
    for kind in ("gnu", "pax", "oldgnu", "ustar", "v7"):
        words = ["tar", "-S", "-c", f"--format={kind}", "-C", str(tmp_path), "sparse", "after"]
        if kind in ("ustar", "v7"):
            words.remove("-S")
        data = subprocess.run(words, check=True, capture_output=True).stdout
        found = list(members(io.BytesIO(data)))
        assert [one.name.rpartition("/")[2] for one in found][-1] == "after", kind
        assert data[found[-1].offset :][:5] == b"after"


def header(kind: bytes, size: int, name: bytes = b"x") -> bytes:
    made = info(name.decode(), kind)
    made.size = size
    return made.tobuf(tarfile.GNU_FORMAT)


def chain(kind: bytes) -> bytes:
    """Extended headers of half a megabyte, one after the other, that never come to a member."""
    record = b"%d path=%s\n" % (1 << 19, b"x" * ((1 << 19) - 13))
    return (header(kind, len(record)) + record + bytes(-len(record) % BLOCK)) * 20


def pax(record: bytes) -> bytes:
    return header(b"x", len(record)) + record + bytes(-len(record) % BLOCK) + header(b"0", 0)


HOSTILE: dict[str, Callable[[], bytes]] = {
    **{f"one {kind!r}": lambda kind=kind: header(kind, 99 << 20) for kind in (b"x", b"g", b"L", b"K")},
    **{f"chain of {kind!r}": lambda kind=kind: chain(kind) for kind in (b"x", b"g", b"L", b"K", b"X")},
    "negative": lambda: header(b"0", -1),
    "a negative size": lambda: pax(b"11 size=-1\n"),
    "a size of a thousand digits": lambda: pax(b"1010 size=" + b"9" * 999 + b"\n"),
    "a record of no length": lambda: pax(b"0 path=x\n"),
    "a record that is longer": lambda: pax(b"99 path=x\n"),
    "a record without a key": lambda: pax(b"5 xx\n"),
    "cut in a header": lambda: archive(info("x"))[:300],
    "cut in a file": lambda: archive(info("x", size=9000))[:2000],
    "endless sparse map": lambda: header(b"S", 0)[:482] + b"\1" + header(b"S", 0)[483:] + b"\1" * 2000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_tar_is_one_error_and_no_memory(name: str) -> None:
    """The limit holds on every Python: nothing of `tarfile`'s is asked."""
    file = io.BytesIO(HOSTILE[name]())
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            list(members(file))
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_NAME
    finally:
        tracemalloc.stop()


def test_many_headers_before_one_member_do_not_recurse() -> None:
    """tarfile calls itself for each: a thousand end it with RecursionError."""
    data = (header(b"L", 2) + b"y\0" + bytes(510)) * 1500
    assert sys.getrecursionlimit() <= 1500
    assert [one.name for one in members(io.BytesIO(data + archive(info("z"))))] == ["y"]


@given(st.binary(max_size=2000), st.integers(0, 3000))
def test_any_bytes_are_members_or_a_value_error(noise: bytes, at: int) -> None:
    """Noise over a good tar."""
    data = bytearray(archive(info("é" * 120, size=600), info("b")))
    data[at : at + len(noise)] = noise
    try:
        found = list(members(io.BytesIO(bytes(data))))
    except ValueError:
        return
    assert len(found) < 100
