"""The small base of Debian packages: what is in it, and what is said where it cannot be made."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from effetool.errors import ImageError
from effetool.image.base import inspect
from effetool.image.config import Base, Platform, host_platform
from effetool.image.debian.small_base import make_base, small_base
from effetool.image.store import Store

# Several of these read the same session's base: a container's mark, for it takes Debian's archive.
pytestmark = pytest.mark.container


@pytest.fixture
def kept(small: Path) -> Store:
    return Store(small / "effe-tool/image")


@pytest.fixture
def base(kept: Store) -> Base:
    return inspect(kept, small_base(kept, host_platform(), lambda *_: None), None)


def members(kept: Store, base: Base) -> dict[str, tarfile.TarInfo]:
    with kept.open(base.layers[0].blob.digest) as file, tarfile.open(fileobj=file) as tar:
        return {member.name: member for member in tar}


def test_it_is_python_and_certificates(kept: Store, base: Base) -> None:
    """One layer, under 15 MB, that an effe's image finds its interpreter in; kept, so that no network is asked."""
    assert len(base.layers) == 1
    assert base.layers[0].blob.size < 15_000_000
    assert base.certificates and base.libc == "manylinux"
    found = members(kept, base)
    assert base.python.lstrip("/") in found
    assert {"tmp", "etc/os-release", "etc/passwd", "usr/lib/ssl/cert.pem"} <= set(found)


def test_nothing_in_it_helps_an_intruder(kept: Store, base: Base) -> None:
    """No shell, no package manager, no set-user-id bit, nothing that others may write to but /tmp."""
    found = members(kept, base)
    programs = {name for name in found if re.match(r"(usr/)?s?bin/[^/]+\Z", name)}
    assert programs == {"usr/bin/python3", base.python.lstrip("/")}
    assert not [name for name, member in found.items() if member.mode & 0o6000]
    assert [name for name, member in found.items() if member.mode & 0o002 and not member.issym()] == ["tmp"]
    assert found["tmp"].mode == 0o1777


def test_a_scanner_finds_what_was_installed(kept: Store, base: Base) -> None:
    """Each package's control file lies where distroless images have it, and os-release names the distribution."""
    found = members(kept, base)
    packages = {name.rpartition("/")[2] for name in found if name.startswith("var/lib/dpkg/status.d/")}
    assert {"libc6", "libssl3", "ca-certificates"} <= packages or {"libc6", "libssl3t64"} <= packages
    with kept.open(base.layers[0].blob.digest) as file, tarfile.open(fileobj=file) as tar:
        control = tar.extractfile("var/lib/dpkg/status.d/libc6")
        assert control is not None
        assert re.search(
            r"^Package: libc6\nStatus: install ok installed\n.*^Version: \d", control.read().decode(), re.M | re.S
        )


def test_the_library_has_no_sources(kept: Store, base: Base) -> None:
    """Compiled modules in place of them: a start reads less. Everything http.server and ssl need is there."""
    found = set(members(kept, base))
    library = f"usr/lib/python{base.version[0]}.{base.version[1]}"
    assert not [name for name in found if name.startswith(library) and name.endswith(".py")]
    needed = ("http/server", "ssl", "json/decoder", "asyncio/base_events", "sqlite3/dbapi2", "ctypes/__init__", "uuid")
    assert [name for name in needed if f"{library}/{name}.pyc" not in found] == []
    assert not [name for name in found if "idlelib" in name or "/test/" in name or "tkinter" in name]


def test_every_module_of_the_library_can_be_imported(podman: dict[str, str], loaded: str, base: Base) -> None:
    """What is left out is left out whole: no module is there whose own imports are not."""
    script = (
        "import pkgutil, sys, warnings; warnings.simplefilter('ignore'); failed = {}\n"
        "names = [m.name for m in pkgutil.iter_modules() if m.name in sys.stdlib_module_names]\n"
        "for name in names:\n"
        "    try: __import__(name)\n"
        "    except Exception as error: failed[name] = str(error)\n"
        "import sysconfig; assert sysconfig.get_config_var('SOABI')\n"
        "import json; print(json.dumps([len(names), failed]))\n"
    )
    words = [
        "podman",
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        base.python,
        loaded,
        "-I",
        "-S",
        "-c",
        script,
    ]
    done = subprocess.run(words, env=podman, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, failed = json.loads(done.stdout.splitlines()[-1])
    assert count > 150
    # Without readline and curses on purpose; msvcrt and its like are Windows'.
    assert {name: why for name, why in failed.items() if "msvcrt" not in why and "_winapi" not in why} == {}


def test_an_archive_without_packages_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sources, or none that answer: E408 with apt's own words, and nothing kept."""
    (tmp_path / "apt.conf").write_text('Dir::Etc::SourceList "/dev/null"; Dir::Etc::SourceParts "/dev/null";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    store = Store(tmp_path / "store")
    with pytest.raises(ImageError) as caught:
        make_base(store, host_platform(), lambda *_: None)
    assert caught.value.code == "E408"
    assert caught.value.fix and "--base" in caught.value.fix
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_a_platform_that_the_archive_lacks_is_said(tmp_path: Path) -> None:
    """The platform, and those that can be had, in the words that --platform takes."""
    with pytest.raises(ImageError) as caught:
        make_base(Store(tmp_path / "store"), Platform("foo"), lambda *_: None)
    assert (caught.value.code, "linux/foo" in caught.value.message) == ("E406", True)
    has = caught.value.notes[0].removeprefix("it has ").split(", ")
    assert {"linux/amd64", "linux/arm64"} <= set(has) and "linux/all" not in has
    assert caught.value.fix and f"--platform {host_platform()}" in caught.value.fix


@pytest.mark.slow
def test_made_twice_it_is_the_same_to_the_byte(kept: Store, base: Base, tmp_path: Path) -> None:
    """Another store, another day: the manifest's digest, which holds every other one, is the same."""
    made = make_base(Store(tmp_path / "again"), host_platform(), lambda *_: None)
    assert made == small_base(kept, host_platform(), lambda *_: None)
