"""Which Pythons a version specifier admits: the one answer for wheels, headers, locks and environments."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ...errors import DependencyError
from .versions import Specifiers, Version

__all__ = ["Interval", "admits", "minors", "versions"]

NEWEST = 40
Interval = tuple[tuple[int, int, int], tuple[int, int, int]]


def admits(specifier: str, python: tuple[int, int]) -> bool:
    """Tell whether some release of a Python minor meets the specifier (`>=3.9.2` and `!=3.9.0` still admit 3.9).

    Raises:
        ValueError: it is not a version specifier (PEP 440).
    """
    return any(low < (python[0], python[1] + 1, 0) and high > (*python, 0) for low, high in _intervals(specifier))


def versions(specifier: str) -> tuple[Interval, ...]:
    """Return the half-open intervals of CPython 3 versions that `specifier` (PEP 440, such as `>=3.9,<3.13`) admits.

    Raises:
        DependencyError: E142 when it is not a specifier, or admits no version from 3.9 on.
    """
    try:
        found = _intervals(specifier)
    except ValueError as error:
        raise DependencyError(f"requires-python: {error}", code="E142", fix='write requires-python = ">=3.9"') from None
    if not found:
        raise DependencyError(
            f"requires-python {specifier!r} takes no Python that an effe runs on: 3.9 or newer",
            code="E142",
            fix='write requires-python = ">=3.9"',
        )
    return found


def minors(intervals: Iterable[Interval]) -> list[int]:
    """Return the minors of Python 3 of which at least one release is admitted, newest first."""
    taken = list(intervals)
    return [m for m in range(NEWEST - 1, 8, -1) if any(low < (3, m + 1, 0) and high > (3, m, 0) for low, high in taken)]


@lru_cache(maxsize=256)
def _intervals(specifier: str) -> tuple[Interval, ...]:
    wanted = Specifiers(specifier)
    # The answer can change only beside a version that is named.
    edges = {(3, minor, 0) for minor in range(9, NEWEST)}
    for _, named in wanted.clauses:
        major, minor, micro = (*Version(named.removesuffix(".*")).release, 0, 0)[:3]
        edges |= {(major, minor, micro), (major, minor, micro + 1)}
    points = sorted(edge for edge in edges if edge >= (3, 9, 0))
    found: list[Interval] = []
    for low, high in zip(points, [*points[1:], (4, 0, 0)], strict=True):
        if low[0] == 3 and wanted.admit("{}.{}.{}".format(*low)):
            if found and found[-1][1] == low:
                found[-1] = (found[-1][0], high)
            else:
                found.append((low, high))
    return tuple(found)
