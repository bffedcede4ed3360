"""Write files below a directory: all of them or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import Place, ScaffoldError

__all__ = ["conflicts", "write_all"]


def conflicts(root: Path, files: Mapping[str, str]) -> list[str]:
    """Return which of the files exist below `root` already."""
    return [name for name in files if os.path.lexists(root / name)]


def write_all(root: Path, files: Mapping[str, str]) -> list[Path]:
    """Write every file below `root`, or none: what was there before is restored when one fails.

    They are written to a temporary directory beside `root` and renamed; files of the same name are replaced.

    Raises:
        ScaffoldError: E204 when the system refuses, with its word for it.
    """
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{root.resolve().name}.", dir=root.resolve().parent))
    except OSError as error:
        raise _unwritable(root, error) from error
    try:
        new = staging / "new"
        for name, text in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if not os.path.lexists(root):
            new.rename(root)
        else:
            _move_into(root, new, staging / "old", list(files))
    except OSError as error:
        raise _unwritable(root, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [root / name for name in files]


def _move_into(root: Path, new: Path, old: Path, names: list[str]) -> None:
    made: list[Path] = []
    directories: list[Path] = []
    kept: list[tuple[Path, Path]] = []
    try:
        for name in names:
            target = root / name
            for parent in reversed(target.relative_to(root).parents[:-1]):
                directory = root / parent
                if directory.is_symlink():
                    raise NotADirectoryError(20, "is a link", str(directory))
                if not directory.is_dir():
                    directory.mkdir()
                    directories.append(directory)
            if os.path.lexists(target):
                backup = old / name
                backup.parent.mkdir(parents=True, exist_ok=True)
                target.rename(backup)
                kept.append((backup, target))
            (new / name).rename(target)
            made.append(target)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        for backup, target in kept:
            backup.rename(target)
        for directory in reversed(directories):
            directory.rmdir()
        raise


def _unwritable(root: Path, error: OSError) -> ScaffoldError:
    return ScaffoldError(
        f"cannot write {error.filename or root}: {error.strerror}",
        code="E204",
        place=Place(root),
        fix="check the path and its permissions; nothing was written",
    )
