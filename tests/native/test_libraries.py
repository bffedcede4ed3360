"""Which libraries are missing, and who has them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from effetool.native.elf import Elf
from effetool.native.libraries import Missing, debian_packages, is_native, libraries_here, missing_libraries
from tests.parts import need

SYSTEM = {"libc.so.6", "libm.so.6"}
X86 = (62, 64)


def lib(*needed: str, soname: str = "", paths: tuple[str, ...] = (), machine: tuple[int, int] = X86) -> Elf:
    return Elf(machine, needed, soname, paths)


def missing(*files: tuple[str, str, Elf]) -> list[Missing]:
    return missing_libraries(files, SYSTEM.__contains__, "x86_64")


def test_what_the_system_has_is_not_missing() -> None:
    """The C library, and nothing else, here."""
    assert missing(("a/x.so", "a.whl", lib("libc.so.6", "libm.so.6"))) == []
    found = missing(("a/y.so", "a.whl", lib("libgomp.so.1")), ("a/x.so", "a.whl", lib("libgomp.so.1", "libc.so.6")))
    assert found == [Missing("libgomp.so.1", "a/x.so", "a.whl", False)]


def test_what_auditwheel_bundled_is_found() -> None:
    """numpy.libs beside numpy, by $ORIGIN; a library that the wheel's own code loads first; one by its SONAME."""
    blas = ("a.libs/libblas-1.so", "a.whl", lib("libc.so.6", soname="libblas-1.so"))
    assert missing(("a/core/x.so", "a.whl", lib("libblas-1.so", paths=("$ORIGIN/../../a.libs",))), blas) == []
    assert missing(("a/x.so", "a.whl", lib("libblas-1.so")), blas) == []
    assert missing(("a/x.so", "a.whl", lib("libq.so.2")), ("a/q.so", "a.whl", lib(soname="libq.so.2"))) == []


def test_another_wheel_s_library_counts_by_path_only() -> None:
    """torch finds nvidia's by $ORIGIN; a plain name in another wheel is not on anybody's path, and may be loaded."""
    gomp = ("b/lib/libgomp.so.1", "b.whl", lib("libc.so.6"))
    assert missing(("a/x.so", "a.whl", lib("libgomp.so.1", paths=("${ORIGIN}/../b/lib",))), gomp) == []
    assert missing(("a/x.so", "a.whl", lib("libgomp.so.1", paths=("/b/lib", "$ORIGINAL"))), gomp) == [
        Missing("libgomp.so.1", "a/x.so", "a.whl", True)
    ]


def test_another_machine_s_files_do_not_count() -> None:
    """debugpy carries a library for 32 bits; a wheel's own copy for another machine helps nobody."""
    assert missing(("a/x86.so", "a.whl", lib("libold.so.1", machine=(3, 32)))) == []
    other = ("a/libx.so.1", "a.whl", lib(machine=(183, 64)))
    assert [one.library for one in missing(("a/y.so", "a.whl", lib("libx.so.1")), other)] == ["libx.so.1"]


LIBRARIES = [
    ("libstdc++.so.6", "libstdc++6"), ("libgcc_s.so.1", "libgcc-s1"), ("libgomp.so.1", "libgomp1"),
    ("libgfortran.so.5", "libgfortran5"), ("libquadmath.so.0", "libquadmath0"), ("libX11.so.6", "libx11-6"),
    ("libatomic.so.1", "libatomic1"), ("libGL.so.1", "libgl1"), ("libz.so.1", "zlib1g"), ("libpq.so.5", "libpq5"),
    ("libsqlite3.so.0", "libsqlite3-0"), ("libglib-2.0.so.0", "libglib2.0-0"), ("libdbus-1.so.3", "libdbus-1-3"),
]  # fmt: skip


@pytest.mark.parametrize(("library", "package"), LIBRARIES)
def test_a_package_is_named_after_its_library(library: str, package: str) -> None:
    """Debian policy 8.1."""
    assert debian_packages(library)[0] == package


def test_the_packages_named_are_in_the_archive() -> None:
    """The one of this machine; of each library one name, for the suites differ in them."""
    need("apt-cache")
    named = {library: debian_packages(library) for library, _ in LIBRARIES}
    command = ["apt-cache", "show", *(name for names in named.values() for name in names)]
    done = subprocess.run(command, capture_output=True, text=True)
    known = {line.removeprefix("Package: ") for line in done.stdout.splitlines() if line.startswith("Package: ")}
    assert [library for library, names in named.items() if not known & set(names)] == [], done.stderr


@pytest.mark.parametrize(
    "library", ["libx.so", "x.so.1", "lib;rm -rf.so.1", "lib-o.so.1\n", "-o", "lib" + "x" * 99 + ".so.1"]
)
def test_an_odd_name_is_nobody_s(library: str) -> None:
    """It comes out of a stranger's file, and would become an argument of apt-get."""
    assert debian_packages(library) == []


@pytest.mark.parametrize(
    ("name", "mode", "native"),
    [
        ("a/x.cpython-311-x86_64-linux-gnu.so", 0o644, True), ("a.libs/libz-1a2b.so.1.3", 0o644, True),
        ("bin/tool", 0o755, True), ("a/x.py", 0o755, False), ("a/sofa.txt", 0o644, False), ("a/data", 0o644, False),
    ],
)  # fmt: skip
def test_libraries_and_programs_are_looked_at(name: str, mode: int, native: bool) -> None:
    """By name or mode: thousands of modules are not opened."""
    assert is_native(name, mode) is native


def test_this_machine_s_libraries_are_those_that_ldconfig_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The cache of ld.so, read from its directories; $LD_LIBRARY_PATH adds to them."""
    ldconfig = Path("/sbin/ldconfig")
    assert ldconfig.exists()
    said = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True).stdout
    known = {line.split()[0] for line in said.splitlines()[1:] if " => " in line}
    (tmp_path / "libown.so.1").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path}:/none")
    found = libraries_here()
    assert found is not None and known <= found and "libown.so.1" in found
