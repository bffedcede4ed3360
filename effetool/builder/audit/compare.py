"""Say in what two artefacts differ: not which bytes, but which files, dependencies and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .inspect import Inspection, inspect

__all__ = ["Comparison", "Difference", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same.

    Attributes:
        kind: "file", "dependency", "info" or "made".
        name: of the file, distribution, key or fact.
        before: what the first has, None when it has none of it.
        after: what the second has.
    """

    kind: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two artefacts and their differences; `identical` is byte for byte."""

    first: Inspection
    second: Inspection
    identical: bool
    differences: tuple[Difference, ...]


def compare(first: Path, second: Path) -> Comparison:
    """Compare two artefacts without running any of their code.

    Raises:
        BuildError: E131 when one cannot be read or is no artefact of effe-tool.
    """
    one, other = inspect(first), inspect(second)
    found = [
        *_differences("info", _texts(one.artifact.info.data), _texts(other.artifact.info.data)),
        *_differences("file", one.files, other.files),
        *_differences("dependency", _wheels(one), _wheels(other)),
        *_differences("made", _made(one), _made(other)),
    ]
    return Comparison(one, other, one.artifact.digest == other.artifact.digest, tuple(found))


def _differences(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(kind, name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {key: value if isinstance(value, str) else repr(value) for key, value in values.items()}


def _wheels(one: Inspection) -> dict[str, str]:
    """Give the versions of each distribution, with the digest: a rebuilt wheel of one version differs too."""
    found: dict[str, list[str]] = {}
    for wheel in one.distributions:
        told = f"{wheel.get('version')} (sha256 {wheel.get('sha256')})"
        found.setdefault(str(wheel.get("name")), []).append(told)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _made(one: Inspection) -> dict[str, str]:
    facts = {key: value for key, value in one.origin.items() if key != "source"}
    return {**facts, "requires_python": one.requires_python}
