"""What a build says of the libraries that this machine lacks."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from effetool.builder.resolve.target import Target, this_target
from effetool.builder.store.cache import Cache
from effetool.builder.verify import shared_libraries
from effetool.builder.verify.shared_libraries import missing_here
from effetool.native.elf import MACHINES
from tests.native.test_elf import elf

HERE = this_target()
MACHINE = MACHINES[HERE.platform.machine][0]


def resolution(path: Path, *needed: str, target: Target = HERE, name: str = "x.so") -> Any:
    """One wheel with one extension module; what is read of a Resolution and no more."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, elf(needed, machine=MACHINE))
        archive.writestr("a/broken.so", b"\x7fELF" + bytes(7))
        archive.writestr("a/text.so", b"GROUP ( libx.so )")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    one = SimpleNamespace(wheel=path, sha256=digest, targets=(target,), pure=False)
    return SimpleNamespace(targets=(target,), distributions=(one,))


def test_a_missing_library_is_named_with_its_cure(tmp_path: Path) -> None:
    """Library, wheel, and the package of Debian; what is here is not said."""
    wheel = tmp_path / "a-1-cp311-cp311-linux_x86_64.whl"
    cache = Cache(tmp_path / "cache")
    for _ in range(2):  # the second is from the cache
        (warning,) = missing_here(resolution(wheel, "libnosuch.so.7", "libc.so.6"), cache)
        expected = f"{wheel.name} needs libnosuch.so.7, which this machine does not have (x.so)"
        assert (warning.code, warning.message) == ("E163", expected)
        assert warning.fix == "apt-get install libnosuch7"


def test_a_wheel_is_read_once(tmp_path: Path) -> None:
    """By its digest: large ones take seconds to unpack."""
    cache = Cache(tmp_path / "cache")
    found = resolution(tmp_path / "a.whl", "libnosuch.so.7")
    first = missing_here(found, cache)
    (tmp_path / "a.whl").unlink()
    assert [one.message for one in missing_here(found, cache)] == [one.message for one in first] != []


def test_another_machine_s_wheels_are_not_judged(tmp_path: Path) -> None:
    """Neither another platform's, nor an effe without dependencies, nor a machine without glibc."""
    cache = Cache(None)
    other = Target((3, 9), HERE.platform)
    assert missing_here(resolution(tmp_path / "a.whl", "libnosuch.so.7", target=other), cache) == []
    assert missing_here(None, cache) == []


def test_a_library_that_the_wheel_unpacks_beside_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files below `NAME.data/platlib` are installed at the top."""
    monkeypatch.setattr(shared_libraries, "libraries_here", lambda: {"libc.so.6"})
    name = "a-1.data/platlib/a/libown.so.1"
    assert missing_here(resolution(tmp_path / "a.whl", "libown.so.1", name=name), Cache(None)) == []
