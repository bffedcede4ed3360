"""Which shared libraries the native code of wheels needs from the system, and who provides them.

Nothing is loaded or started: names and dynamic sections are read. A wheel that `auditwheel` repaired brings its own
libraries (`numpy.libs/`) and finds them by `$ORIGIN`; what manylinux takes for granted (PEP 600: libstdc++, libgcc,
the C library, X11, glib …) the system has, or the import fails.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .elf import MACHINES, Elf, read_elf

__all__ = ["Missing", "debian_packages", "is_native", "libraries_here", "missing_libraries", "read_native"]

# Between a library's name and its package's stands a rule (Debian policy 8.1); these are older than it.
PACKAGES = {
    "libz.so.1": "zlib1g", "libGLU.so.1": "libglu1-mesa", "libbz2.so.1.0": "libbz2-1.0", "libmvec.so.1": "libc6",
    "libnsl.so.1": "libnsl2", "libgssapi_krb5.so.2": "libgssapi-krb5-2", "libkrb5.so.3": "libkrb5-3",
    "libglib-2.0.so.0": "libglib2.0-0", "libgobject-2.0.so.0": "libglib2.0-0", "libgthread-2.0.so.0": "libglib2.0-0",
    "libgio-2.0.so.0": "libglib2.0-0", "libgmodule-2.0.so.0": "libglib2.0-0", "libtcl8.6.so": "libtcl8.6",
    "libtk8.6.so": "libtk8.6", "libnss3.so": "libnss3", "libnspr4.so": "libnspr4", "libldap-2.5.so.0": "libldap-2.5-0",
    "liblber-2.5.so.0": "libldap-2.5-0", "libnssutil3.so": "libnss3", "libsmime3.so": "libnss3",
}  # fmt: skip
SONAME = re.compile(r"(lib[A-Za-z0-9+_.-]{1,64})\.so\.(\d{1,4}(?:\.\d{1,4})*)\Z")
LIBRARY = re.compile(r"[^/]*\.so(?:\.\d+)*\Z")


@dataclass(frozen=True, slots=True)
class Missing:
    """A library that the system lacks.

    Attributes:
        library: its SONAME.
        file: the file that needs it, from the top of site-packages.
        wheel: what that file came with.
        bundled: whether another wheel brings a library of that name, which its code may load first.
    """

    library: str
    file: str
    wheel: str
    bundled: bool


def is_native(name: str, mode: int = 0) -> bool:
    """Tell whether a file of that name and mode may be a library or a program."""
    return LIBRARY.match(posixpath.basename(name)) is not None or bool(mode & 0o111 and "." not in name.split("/")[-1])


def read_native(file: IO[bytes]) -> Elf | None:
    """Return the dynamic section of a file of a wheel; None where there is none that can be read.

    A malformed one stops no build: it may be another system's, or a test's.
    """
    try:
        return read_elf(file)
    except ValueError:
        return None


def missing_libraries(
    files: Iterable[tuple[str, str, Elf]], available: Callable[[str], bool], machine: str
) -> list[Missing]:
    """Return what the files need and neither they nor the system have, each library once, by name.

    Args:
        files: (path from the top of site-packages, wheel, dynamic section) of all wheels that are there together.
        available: whether the system has a library of that SONAME.
        machine: as wheels name it; files for another one are left out, such as a debugger's for 32 bits.
    """
    wanted = MACHINES.get(machine)
    kept = [(path, wheel, elf) for path, wheel, elf in files if wanted is None or elf.machine == wanted]
    paths = {path for path, _, _ in kept}
    inside: dict[str, set[str]] = {}
    for path, wheel, elf in kept:
        for name in (posixpath.basename(path), elf.soname):
            inside.setdefault(name, set()).add(wheel)
    found: dict[str, Missing] = {}
    for path, wheel, elf in sorted(kept, key=lambda one: one[0]):
        for library in elf.needed:
            if available(library) or wheel in inside.get(library, ()) or _by_path(path, elf, library, paths):
                continue
            found.setdefault(library, Missing(library, path, wheel, library in inside))
    return [found[library] for library in sorted(found)]


def _by_path(path: str, elf: Elf, library: str, paths: set[str]) -> bool:
    """Tell whether a file's own search path leads to a library beside it."""
    origin = posixpath.dirname(path)
    for folder in elf.paths:
        for word in ("$ORIGIN", "${ORIGIN}"):
            if folder == word or folder.startswith(f"{word}/"):
                here = posixpath.join(origin, folder.removeprefix(word).lstrip("/"), library)
                if posixpath.normpath(here) in paths:
                    return True
    return False


def debian_packages(library: str) -> list[str]:
    """Return the names that Debian's package of a library may have, the likeliest first; none for an odd name.

    Debian policy 8.1: the SONAME without `.so`, a hyphen where the name ends in a digit, all in small letters. Those
    that changed with 64-bit times (Debian 13, Ubuntu 24.04) end in `t64`.
    """
    known = PACKAGES.get(library)
    if known is None:
        match = SONAME.match(library)
        if match is None:
            return []
        name = match[1].lower().replace("_", "-")
        known = f"{name}{'-' if name[-1].isdigit() else ''}{match[2]}"
    return [known, f"{known}t64"]


def libraries_here() -> set[str] | None:
    """Return the names of the shared libraries where this machine's dynamic linker looks; None without glibc.

    ld.so(8): the directories of /etc/ld.so.conf, the trusted ones, and `$LD_LIBRARY_PATH`.
    """
    folders = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", *_configured(Path("/etc/ld.so.conf"), 0)]
    folders += os.environ.get("LD_LIBRARY_PATH", "").split(":")
    found: set[str] = set()
    for folder in filter(None, folders):
        try:
            found.update(name for name in os.listdir(folder) if ".so" in name)  # noqa: PTH208
        except OSError:
            continue
    return found if "libc.so.6" in found else None


def _configured(path: Path, deep: int) -> list[str]:
    """Return the directories of an ld.so.conf and of those it includes."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        text = line.partition("#")[0].strip()
        word, _, pattern = text.partition(" ")
        if word == "include" and deep < 4:
            root = Path("/") if pattern.strip().startswith("/") else path.parent
            for one in sorted(root.glob(pattern.strip().lstrip("/"))):
                folders += _configured(one, deep + 1)
        elif text.startswith("/"):
            folders.append(text)
    return folders
