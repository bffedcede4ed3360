"""A root directory with Python in it, as entries of a layer, from the files of Debian packages.

What is left out: documentation, translations, headers, tests, what draws windows or edits lines in a terminal, and the
maintainer scripts, which a read-only image would never run. What they would have done is done here: the bundle of CA
certificates, `python3`, the users. What scanners read stays: os-release and each package's control file, where
distroless images have it.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import IO

from ..layer import Entry

__all__ = ["Package", "collect", "control_file", "paragraph", "read_tar", "trimmed"]

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
# /usr is merged in every release since Debian 12; packages of 12 still name both halves.
MERGED = ("bin/", "sbin/", "lib/", "lib64/", "lib32/", "libx32/")
STANDARD = r"usr/lib/python3(?:\.\d+)?/"
LEFT_OUT = re.compile(
    rf"usr/(?:include|games|local|src|share/(?!ca-certificates/mozilla/|doc/[^/]+/copyright\Z))|var/|etc/(?!os-release|debian_version)"
    rf"|usr/(?:s?bin)/(?!python3)|usr/lib/[^/]+/(?:gconv/|audit/|perl/|pkgconfig/|bash/)|usr/lib/(?:locale|mime|valgrind|binfmt\.d|tmpfiles\.d)"
    rf"|{STANDARD}(?:test|tests|idlelib|turtledemo|tkinter|lib2to3|ensurepip|distutils|pydoc_data|dist-packages|curses|dbm/(?:gnu|ndbm)\.py"
    rf"|config-[^/]+|turtle\.py|venv|sitecustomize\.py)(?:/|\Z)"
    rf"|{STANDARD}(?:unittest/test|ctypes/test|sqlite3/test)/"
    rf"|{STANDARD}lib-dynload/(?:_curses|_curses_panel|readline|nis|_dbm|_gdbm|_tkinter|_test\w+|_ctypes_test|xxlimited\w*|_xxtestfuzz)\.cpython"
    rf"|{STANDARD}[^/]+\.(?:gz|txt)\Z|usr/lib/[^/]+/lib(?:nss_(?:compat|hesiod)|BrokenLocale|mvec|pcprofile|memusage|c_malloc_debug|thread_db)\b.*"
)


@dataclass(frozen=True)
class Package:
    """A Debian package: its name, the control paragraph and the files in it."""

    name: str
    control: str
    entries: tuple[Entry, ...]


def read_tar(file: IO[bytes], keep: Callable[[str], bool] = lambda name: not trimmed(name)) -> tuple[Entry, ...]:
    """Return what a package's tar holds of the files that `keep` names, owners and times left behind."""
    found = []
    with tarfile.open(fileobj=file, mode="r|") as tar:
        for member in tar:
            name = _merged(member.name.removeprefix("./").strip("/"))
            if not name or member.isdir() or not keep(name):
                continue
            if member.issym():
                found.append(Entry(name, link=member.linkname))
            elif member.islnk():
                found.append(Entry(name, link="/" + _merged(member.linkname.removeprefix("./"))))
            elif (content := tar.extractfile(member)) is not None:
                # Set-user-id bits are not carried over: nothing in the image needs them.
                found.append(Entry(name, data=content.read(), mode=0o755 if member.mode & 0o111 else 0o644))
    return tuple(found)


def trimmed(name: str) -> bool:
    """Tell whether a file of a package stays out of the image."""
    return LEFT_OUT.match(name) is not None


def collect(packages: Iterable[Package], python: tuple[int, int]) -> list[Entry]:
    """Return the root directory of these packages, with what their scripts would have made.

    Raises:
        ValueError: when there is no interpreter or no certificate among them.
    """
    version = f"{python[0]}.{python[1]}"
    entries: dict[str, Entry] = {}
    authorities: dict[str, bytes] = {}
    for package in packages:
        for entry in package.entries:
            if entry.name.startswith("usr/share/ca-certificates/"):
                authorities[entry.name] = entry.read()
            else:
                entries[entry.name] = entry
        control = control_file(package)
        entries[control.name] = control
    if f"usr/bin/python{version}" not in entries:
        raise ValueError(f"no usr/bin/python{version} in the packages")
    if not authorities:
        raise ValueError("no CA certificates in the packages")
    bundle = b"".join(authorities[name].rstrip(b"\n") + b"\n" for name in sorted(authorities))
    for entry in (
        Entry(BUNDLE, data=bundle),
        # Where Debian's OpenSSL looks first (OPENSSLDIR): else every client would need SSL_CERT_FILE.
        Entry("usr/lib/ssl/cert.pem", link=f"/{BUNDLE}"),
        Entry("usr/lib/ssl/certs", link="/etc/ssl/certs"),
        Entry("usr/bin/python3", link=f"python{version}"),
        Entry(
            "etc/passwd", data=b"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n"
        ),
        Entry("etc/group", data=b"root:x:0:\nnonroot:x:65532:\n"),
        Entry("etc/nsswitch.conf", data=b"passwd: files\ngroup: files\nhosts: files dns\n"),
        Entry("tmp", mode=0o1777),
        *(Entry(top, link=f"usr/{top}") for top in ("bin", "sbin", "lib", "lib64")),
        *(Entry(directory, mode=0o755) for directory in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64")),
        *(Entry(directory, mode=0o755) for directory in ("dev", "proc", "sys", "run", "app")),
    ):
        entries[entry.name] = entry
    return list(entries.values())


def control_file(package: Package) -> Entry:
    """Return the file that tells a scanner of a package, where distroless images have it."""
    return Entry(f"var/lib/dpkg/status.d/{package.name}", data=package.control.encode())


def paragraph(fields: Mapping[str, str]) -> str:
    """Return a control paragraph in deb822 form, of the fields a scanner needs."""
    wanted = ("Package", "Status", "Source", "Version", "Architecture", "Maintainer", "Homepage")
    return "".join(f"{name}: {fields[name]}\n" for name in wanted if name in fields)


def _merged(name: str) -> str:
    return f"usr/{name}" if name.startswith(MERGED) else name
