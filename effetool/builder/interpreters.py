"""The CPythons of this machine, each by its exact name.

A `python3` may be a shim (pyenv, asdf, mise: 85 ms a start) or anything at all; `python3.11` in a folder of programs
is what it says.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

__all__ = ["NEWEST", "OLDEST", "find_pythons", "find_uv", "pythons_here", "this_minor"]

# The minors of Python 3 that all this is made for and tried on. A new Python is this number.
OLDEST, NEWEST = 9, 15
# The minors that are looked for: a build compiles for one that is newer than what it was tried on, too.
MINORS = range(OLDEST, 30)


def find_pythons(environ: Mapping[str, str] | None = None) -> dict[int, Path]:
    """Return an interpreter for each minor of Python 3 from `OLDEST` on that is here.

    PATH comes first, without folders of shims; then where pyenv, uv and the system keep theirs.
    """
    environ = os.environ if environ is None else environ
    found: dict[int, Path] = {}
    for folder in _folders(environ):
        for minor in MINORS:
            path = folder / f"python3.{minor}"
            if minor not in found and os.access(path, os.X_OK) and path.is_file():
                found[minor] = path
    base = Path(getattr(sys, "_base_executable", sys.executable))
    found.setdefault(sys.version_info.minor, base)
    return found


def _folders(environ: Mapping[str, str]) -> Iterator[Path]:
    for entry in environ.get("PATH", os.defpath).split(os.pathsep):
        folder = Path(entry)
        if folder.is_absolute() and folder.name != "shims":
            yield folder
    home = Path(environ.get("HOME", "/"))
    pyenv = Path(environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    kept = Path(environ.get("UV_PYTHON_INSTALL_DIR", home / ".local/share/uv/python"))
    for root in (pyenv, kept):
        try:
            yield from (Path(entry.path) / "bin" for entry in sorted(os.scandir(root), key=lambda entry: entry.name))
        except OSError:
            continue
    yield from map(Path, ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"))


@lru_cache(maxsize=1)
def pythons_here() -> Mapping[int, Path]:
    """Return the interpreters of this machine, looked for once."""
    return find_pythons()


def this_minor() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


@cache
def find_uv() -> str | None:
    """Return uv's path: beside the tool, else on PATH, None when there is none."""
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")
