"""One effe on disk: where it is, what it is made of.

A `.py` file is that effe; a directory with `logic.py` is that effe; any other directory holds effes below it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import Place, SourceError, UsageError
from .contract import Contract, check_contract
from .conventions import Conventions, conventions
from .info import Info, info_of
from .script import Script, read_script
from .source import Source, read_source

__all__ = ["Project", "find_all", "find_one"]

# Never an effe below one of these: build output, virtual environments, caches, version control.
IGNORED = frozenset({"__pycache__", "build", "dist", "node_modules", "out", "site-packages", "tests", "venv"})


@dataclass(frozen=True)
class Project:
    """One effe.

    Attributes:
        root: its directory; for a single file the one the file is in.
        logic: the module with INFO and run.
        single: whether the effe is that one file and nothing beside it.
    """

    root: Path
    logic: Path
    single: bool

    @property
    def module(self) -> str:
        """The name the logic is imported by."""
        return self.logic.stem

    @property
    def path(self) -> Path:
        """What a user calls it: the file or the directory."""
        return self.logic if self.single else self.root

    @cached_property
    def source(self) -> Source:
        """The logic as text and syntax tree. Raises SourceError."""
        return read_source(self.logic)

    @cached_property
    def info(self) -> Info:
        """INFO, read without running the module. Raises SourceError, InfoError."""
        return info_of(self.source)

    @cached_property
    def conventions(self) -> Conventions:
        """What INFO says of routing, environment and size. Raises SourceError, InfoError."""
        return conventions(self.info)

    @cached_property
    def script(self) -> Script:
        """The PEP 723 block. Raises SourceError, DependencyError."""
        return read_script(self.source)

    @cached_property
    def contract(self) -> Contract:
        """The functions of the contract it has. Raises SourceError, ContractError."""
        return check_contract(self.source)


def open_project(path: Path) -> Project | None:
    """Return the effe at `path`, None when there is none; looks at names only."""
    if path.is_dir():
        logic = path / "logic.py"
        return Project(path, logic, single=False) if logic.is_file() else None
    if path.suffix == ".py" and path.is_file():
        if path.name == "logic.py":
            return Project(path.parent, path, single=False)
        return Project(path.parent, path, single=True)
    return None


def find_all(path: Path | None = None) -> list[Project]:
    """Return the effe at `path`, or every effe below it, sorted by path.

    No path means the working directory: that effe, or its direct children. An effe inside another effe's directory
    belongs to that one. A `.py` file below a directory counts when it has INFO at its top level.

    Raises:
        SourceError: E150 when there is no effe, with what is there instead.
    """
    where = Path() if path is None else path
    if not os.path.lexists(where):
        raise SourceError(f"no such file or directory: {where}", code="E150", fix=_nearest(where), place=Place(where))
    project = open_project(where)
    if project is not None:
        return [project]
    if where.name == "logic.py":
        _check_logic(where.parent)
    if not where.is_dir():
        raise SourceError(
            f"{where} is no effe: an effe is a .py file or a directory with logic.py",
            code="E150",
            place=Place(where),
            fix="name the .py file or its directory",
        )
    _check_logic(where)
    found = sorted(_below(where, deep=path is not None), key=lambda project: str(project.path))
    if not found:
        raise SourceError(
            f"no effe in {where.resolve() if path is None else where}",
            code="E150",
            place=Place(where) if path is not None else None,
            fix=_deeper(where) or "effe-tool new hello",
        )
    return found


def _deeper(where: Path) -> str | None:
    """Return the fix when no path was given and a directory here has effes in it: one level more is looked at."""
    for entry in sorted(os.scandir(where), key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.name in IGNORED or not entry.is_dir(follow_symlinks=False):
            continue
        try:
            if _below(where / entry.name, deep=False):
                return f"name the directory they are in: {where / entry.name}"
        except SourceError:  # it cannot be read, and nobody asked for it
            continue
    return None


def _check_logic(directory: Path) -> None:
    """Say what a `logic.py` is that is no file: to search below for other effes would hide it."""
    logic = directory / "logic.py"
    if not os.path.lexists(logic) or logic.is_file():
        return
    if logic.is_symlink() and not logic.exists():
        what = f"is a link to nothing: {logic.readlink()}"
    else:
        what = "is a directory" if logic.is_dir() else "is no regular file"
    raise SourceError(f"{logic} {what}", code="E150", place=Place(logic), fix=f"put the effe's module at {logic}")


def find_one(path: Path | None = None) -> Project:
    """Return the one effe at `path`.

    Raises:
        SourceError: E150 when there is none.
        UsageError: E151 when there are several: they are listed.
    """
    found = find_all(path)
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} effes here, this command takes one",
            code="E151",
            fix=f"name one: {found[0].path}",
            notes=tuple(str(project.path) for project in found[:20]),
        )
    return found[0]


def _below(directory: Path, *, deep: bool) -> list[Project]:
    found: list[Project] = []
    rest = [directory]
    for parent in rest:  # no recursion: a path may be deeper than Python's stack
        try:
            entries = list(os.scandir(parent))
        except OSError as error:
            raise _unreadable(parent, error) from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name in IGNORED:
                continue
            path = parent / entry.name
            if entry.is_dir(follow_symlinks=False):
                if _is_file(path / "logic.py"):
                    found.append(Project(path, path / "logic.py", single=False))
                elif deep and not (path / "pyvenv.cfg").exists():
                    rest.append(path)
            elif entry.name.endswith(".py") and entry.is_file() and _has_info(path):
                found.append(Project(parent, path, single=True))
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a directory that may be listed and not entered
        raise _unreadable(path.parent, error) from error


def _unreadable(directory: Path, error: OSError) -> SourceError:
    return SourceError(
        f"cannot read {directory}: {error.strerror}",
        code="E150",
        place=Place(directory),
        fix="check its permissions, or name the effe itself",
    )


def _has_info(path: Path) -> bool:
    """Tell an effe from any other module: by the text, so that one with a syntax error is still reported as an effe."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return text.startswith((b"INFO =", b"INFO:", b"INFO=")) or any(
        mark in text for mark in (b"\nINFO =", b"\nINFO:", b"\nINFO=", b"\rINFO =")
    )


def _nearest(path: Path) -> str:
    import difflib

    parent = path.parent
    names = [entry.name for entry in os.scandir(parent)] if parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, 1)
    return f"did you mean {parent / near[0]}?" if near else "check the path, or start one: effe-tool new hello"
