"""What decides the bytes of an artefact, as values."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...effe.info import Info
from ...effe.project import Project
from ...errors import EffeToolError

if TYPE_CHECKING:
    from ..resolve.resolution import Resolution
    from .files import File

__all__ = ["HOUSE", "Contents", "Prepared", "loader_source", "runtime_files", "tool_digest"]

# The package itself: pip installs it as files, never as a zip.
HOUSE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Contents:
    """All that decides the bytes of an artefact.

    Attributes:
        info: INFO.
        module: the name the logic is imported by.
        files: the author's.
        python: the version specifier it declares.
        pythons: an interpreter for each minor it is compiled for.
        facts: what the artefact says of itself.
        extra: further files of the tool's, by name: lock, SBOM.
        date: MS-DOS time and date of the entries.
        targets: minors whose wheels are inside, empty for any; None when there are wheels for several targets, of which
            only pex's boot knows how to choose.
        native: the machine that the wheels are for, None when they are for any.
    """

    info: Info
    module: str
    files: Sequence[File]
    python: str
    pythons: Mapping[int, Path]
    facts: Mapping[str, object]
    extra: Mapping[str, bytes]
    date: tuple[int, int]
    targets: frozenset[int] | None = frozenset()
    native: tuple[str, str, bool] | None = None


@dataclass(frozen=True)
class Prepared:
    """An effe of which everything is known that decides its artefact."""

    project: Project
    info: Info
    contents: Contents
    resolution: Resolution | None
    inputs: str
    target: Path
    certain: frozenset[Path] = frozenset()  # the author's modules that certainly run
    warnings: tuple[EffeToolError, ...] = ()


@lru_cache(maxsize=1)
def loader_source() -> bytes:
    """Return the program that starts an effe: one text, for it runs before anything can be imported from the file."""
    future = b"from __future__ import annotations\n"
    unpacker = (HOUSE / "builder/package/unpacker.py").read_bytes()
    return unpacker + (HOUSE / "builder/package/loader.py").read_bytes().partition(future)[2]


@lru_cache(maxsize=1)
def runtime_files() -> tuple[tuple[str, bytes], ...]:
    """Return the runtime as it travels in every .pex, packages inside it too: name and content, sorted."""
    found = {name: (HOUSE / name).read_bytes() for name in ("__init__.py", "py.typed")}
    found |= _below("runtime", (".py", ".pyi", "py.typed"))
    return tuple((f"effetool/{name}", found[name]) for name in sorted(found))


@lru_cache(maxsize=1)
def tool_digest() -> str:
    """Return one digest of everything of the tool that decides an artefact's bytes."""
    digest = hashlib.sha256()
    for name, data in (*runtime_files(), *sorted(_below("builder", (".py",)).items())):
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _below(folder: str, ends: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    for place, folders, names in os.walk(HOUSE / folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for path in (Path(place, name) for name in names if name.endswith(ends)):
            found[path.relative_to(HOUSE).as_posix()] = path.read_bytes()
    return found
