"""Tell at the build which shared libraries the wheels need and this machine lacks: else the import says so, later.

Each wheel is read once, by its digest; nothing of it is loaded.
"""

from __future__ import annotations

import json
import posixpath
import shutil
import zipfile
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...errors import DependencyError
from ...native.elf import Elf
from ...native.libraries import Missing, debian_packages, is_native, libraries_here, missing_libraries, read_native
from ..resolve.target import this_target
from ..store.cache import Cache

if TYPE_CHECKING:
    from ..resolve.resolution import Distribution, Resolution

__all__ = ["missing_here"]

# Part of the cache's key: a change to what is read of a wheel makes the kept answers useless.
FORMAT = 1


def missing_here(resolution: Resolution | None, cache: Cache) -> list[DependencyError]:
    """Return a warning for each library that the wheels for this machine need and it lacks.

    A .pex may be built here and run elsewhere: so it is only said.
    """
    target = this_target()
    if resolution is None or target not in resolution.targets or target.platform.library != "glibc":
        return []
    native = [one for one in resolution.distributions if target in one.targets and not one.pure]
    if not native or (here := libraries_here()) is None:
        return []
    files = [(path, one.wheel.name, elf) for one in native for path, elf in _native_files(one, cache)]
    missing = missing_libraries(files, here.__contains__, target.platform.machine)
    return [_warning(one) for one in missing if not one.bundled]


def _warning(one: Missing) -> DependencyError:
    packages = debian_packages(one.library)
    known = packages and shutil.which("apt-get") is not None
    return DependencyError(
        f"{one.wheel} needs {one.library}, which this machine does not have ({one.file})",
        code="E163",
        fix=f"apt-get install {packages[0]}" if known else f"install what has {one.library}",
    )


def _native_files(one: Distribution, cache: Cache) -> Iterable[tuple[str, Elf]]:
    """Return the native files of a wheel, by where they are installed."""
    key = f"{one.sha256}-{FORMAT}"
    try:
        kept = json.loads(cache.get("native", key) or b"null")
        return [
            (path, Elf((kind[0], kind[1]), tuple(needed), soname, tuple(paths)))
            for path, kind, needed, soname, paths in kept
        ]
    except (ValueError, TypeError, IndexError):
        pass
    found: list[tuple[str, Elf]] = []
    try:
        with zipfile.ZipFile(one.wheel) as archive:
            for info in archive.infolist():
                if is_native(info.filename, info.external_attr >> 16):
                    with archive.open(info) as file:
                        elf = read_native(file)
                    if elf is not None:
                        found.append((_installed(info.filename), elf))
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile):
        return found  # the build itself says what is wrong with it
    told = [(path, elf.machine, elf.needed, elf.soname, elf.paths) for path, elf in found]
    cache.put("native", key, json.dumps(told).encode())
    return found


def _installed(name: str) -> str:
    """Return where a wheel's file is installed, from the top of site-packages ("Binary distribution format")."""
    top, _, rest = name.partition("/")
    kind, _, inner = rest.partition("/")
    if top.endswith(".data") and kind in ("purelib", "platlib"):
        return inner
    return posixpath.normpath(name)
