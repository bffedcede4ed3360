"""Show where the start of an artefact goes: the time of each import, as a tree.

This runs the author's code: the artefact is started as a server, and stopped once it answers.

Source: `-X importtime` in "Command line and environment" of Python's documentation.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import BuildError, Place
from .smoke import start_once

__all__ = ["Import", "measure_imports", "parse_imports"]

_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)")


@dataclass(slots=True)
class Import:
    """One module: microseconds for itself, and with all it imported."""

    name: str
    own: int
    whole: int
    children: list[Import] = field(default_factory=list)


def measure_imports(path: Path) -> list[Import]:
    """Start an artefact and return what it imported, in order.

    Raises:
        BuildError: E137 when it does not answer.
    """
    with tempfile.TemporaryFile() as told:
        # EFFE_SITE has the header start Python without -I -S, so that it heeds PYTHONPROFILEIMPORTTIME.
        start_once(path, {"EFFE_SITE": "1", "PYTHONPROFILEIMPORTTIME": "1"}, told)
        told.seek(0)
        lines = told.read().decode(errors="replace").splitlines()
    found = parse_imports(lines)
    if not found:
        raise BuildError(
            f"{path} told nothing of its imports", code="E137", place=Place(path), fix=f"{os.fspath(path)} -port 8080"
        )
    return found


def parse_imports(lines: Iterable[str]) -> list[Import]:
    """Read what `-X importtime` prints: a module comes after what it imported, which stands two blanks deeper."""
    waiting: dict[int, list[Import]] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        own, whole, indent, name = match.groups()
        depth = len(indent) // 2
        children = waiting.pop(depth + 1, [])
        waiting.setdefault(depth, []).append(Import(name, int(own), int(whole), children))
    return waiting.get(0, [])
