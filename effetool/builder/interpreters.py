"""The CPythons of this machine, each by its exact name.

A `python3` may be a shim (pyenv, asdf, mise: 85 ms a start) or anything at all; `python3.11` in a folder of programs
is what it says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["PRECOMPILED", "find_pythons"]

# The minors an artefact is compiled for; on others it runs from source.
PRECOMPILED = (9, 10, 11, 12, 13)


def find_pythons(environ: Mapping[str, str] | None = None) -> dict[int, Path]:
    """Return an interpreter for each minor of Python 3 in `PRECOMPILED` that is here.

    PATH comes first, without folders of shims; then where pyenv, uv and the system keep theirs.
    """
    environ = os.environ if environ is None else environ
    found: dict[int, Path] = {}
    for folder in _folders(environ):
        if len(found) == len(PRECOMPILED):
            break
        for minor in PRECOMPILED:
            path = folder / f"python3.{minor}"
            if minor not in found and os.access(path, os.X_OK) and path.is_file():
                found[minor] = path
    base = Path(getattr(sys, "_base_executable", sys.executable))
    if sys.version_info.minor in PRECOMPILED:
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
