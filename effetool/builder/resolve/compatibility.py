"""Tell which Pythons a set of wheels truly serves.

A wheel chosen for one Python may well run on others. So an artefact says what its wheels' tags, their Requires-Python
and the markers of their dependencies allow, no more and no less: on another Python it refuses at once instead of
failing somewhere inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..requirements.pythons import admits
from ..requirements.requirement import Requirement
from ..requirements.versions import Version
from .target import MINORS, Target
from .wheels import Metadata

Wheel = tuple[str, Metadata]  # file name, what it says


def serves(roots: Sequence[Requirement] | None, wheels: Iterable[Wheel], target: Target) -> str | None:
    """Return why a set of wheels does not serve a target, None when it does.

    Args:
        roots: what is declared; None when a lock is the declaration: then every wheel counts.
        wheels: the set, by file name.
        target: the Python and platform in question.
    """
    fitting: dict[str, tuple[int, Metadata]] = {}
    known: dict[str, Metadata] = {}
    for filename, metadata in wheels:
        known[metadata.name] = metadata
        rank = target.rank(filename)
        if rank is None or not _admitted(metadata, target):
            continue
        if metadata.name not in fitting or rank < fitting[metadata.name][0]:
            fitting[metadata.name] = (rank, metadata)
    if roots is None:
        lacking = next((name for name in known if name not in fitting), None)
        return _lack(known[lacking], target) if lacking else None
    environment = target.environment
    queue = [root for root in roots if root.applies(environment)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        wanted = queue.pop()
        if wanted.name not in fitting:
            return _lack(known[wanted.name], target) if wanted.name in known else f"{wanted.name} is not there"
        metadata = fitting[wanted.name][1]
        if wanted.url is None and not wanted.versions.admit(metadata.version):
            return f"{wanted.text} is needed, {metadata.version} is there"
        if (wanted.name, wanted.extras) not in seen:
            seen.add((wanted.name, wanted.extras))
            queue += [needed for needed in metadata.requirements if needed.applies(environment, wanted.extras)]
    return None


def _lack(metadata: Metadata, target: Target) -> str:
    if not _admitted(metadata, target):
        return f"{metadata.name} {metadata.version} needs Python {metadata.requires_python}"
    return f"{metadata.name} has no wheel for {target.name}"


def _admitted(metadata: Metadata, target: Target) -> bool:
    if not metadata.requires_python:
        return True
    try:
        return admits(metadata.requires_python, target.python)
    except ValueError:
        return True  # legacy metadata such as ">=3.6.*", which the resolver has judged


def narrow(declared: str, served: Sequence[tuple[int, int]]) -> str:
    """Write the constraint for the Pythons that are served, among those that are declared.

    Args:
        declared: a version specifier, possibly empty.
        served: the minors that are served, ascending, at least one.
    """
    allowed = [minor for minor in MINORS if admits(declared, minor)]
    clauses = _lowest_only([clause.strip() for clause in declared.split(",") if clause.strip()])
    if list(served) == allowed:
        if f"==3.{served[0][1]}.*" in clauses:
            clauses = [c for c in clauses if c.count(".") > 1 or not c.startswith(">=")]
        return ",".join(clauses) or f">=3.{MINORS[0][1]}"
    if len(served) == 1:
        exact = f"==3.{served[0][1]}.*"
        micro = [clause for clause in clauses if clause.count(".") > 1 and clause != exact]
        return ",".join([exact, *micro])
    if served[0] != allowed[0]:
        lower = f">=3.{served[0][1]}"
        clauses = [lower, *(c for c in clauses if c.count(".") > 1 or not c.startswith((">", "~")))]
    elif not any(clause.startswith((">", "~", "=")) for clause in clauses):
        clauses.insert(0, f">=3.{served[0][1]}")
    if served[-1] != allowed[-1]:
        clauses = [c for c in clauses if not c.startswith("<")]
        clauses.append(f"<3.{served[-1][1] + 1}")
    gaps = [minor for minor in allowed if served[0] < minor < served[-1] and minor not in served]
    return ",".join([*clauses, *(f"!=3.{minor[1]}.*" for minor in gaps)])


def _lowest_only(clauses: list[str]) -> list[str]:
    """Drop each `>=` that another one makes needless."""
    floors = [clause for clause in clauses if clause.startswith(">=")]
    highest = max(floors, key=lambda clause: Version(clause[2:].strip()), default="")
    return [clause for clause in clauses if clause not in floors or clause == highest]
