"""Keep what a build can use again: `$XDG_CACHE_HOME/effe-tool`, else `~/.cache/effe-tool`.

Nothing in it is trusted for being there: files are named by their digest and checked against it at each use. A folder
that another user owns or may write to is not used at all.

Source: XDG Base Directory Specification.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from functools import cache
from pathlib import Path

from ...effe.artifact import open_regular


def cache_folder() -> Path:
    """Return the cache of this user, made where it is missing.

    Where it cannot be made or is not this user's alone, an empty one that goes when the process ends.
    """
    return _folder(_base())


def cache_path() -> Path:
    """Return where the cache of this user should be; `~` stays in it where there is no home directory."""
    return Path(_base()) / "effe-tool"


def unusable_cache() -> Path | None:
    """Return the folder that should be the cache and cannot be, None where it can."""
    return None if cache_folder() == cache_path() else cache_path()


def _base() -> str:
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path is to be ignored. Path.expanduser raises for a user without a home directory.
    return base if base.startswith("/") else os.path.expanduser("~/.cache")  # noqa: PTH111


@cache
def _folder(base: str) -> Path:
    folder = Path(base) / "effe-tool"
    try:
        if not folder.is_absolute():
            raise FileNotFoundError(base)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if ours and found.st_mode & 0o022:
            folder.chmod(0o700)
        if ours and os.access(folder, os.W_OK | os.X_OK):
            return folder
    except OSError:
        pass
    import atexit
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="effe-tool-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file so that others see all of it or none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, beside = create(path.parent, ".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        beside.chmod(mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def create(folder: Path, prefix: str, suffix: str = "") -> tuple[int, Path]:
    """Make a file of a name that no other has, for this user alone; return its open descriptor and its path.

    `tempfile.mkstemp` does the same, and takes 3 ms to import: a fortieth of a build.
    """
    while True:
        path = folder / f"{prefix}{os.urandom(8).hex()}{suffix}"
        with contextlib.suppress(FileExistsError):
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.fchmod(number, 0o600)  # whatever the umask
            return number, path
