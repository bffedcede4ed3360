"""The answer to a declaration, and how it is kept between builds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import __version__
from ..requirements.declaration import Declaration
from ..store.cache import Cache
from ..store.files import cache_folder
from .index import Index
from .lock import File, write_marker
from .target import Platform, Target
from .wheels import Metadata, find_wheel


@dataclass(frozen=True, slots=True)
class Distribution:
    """One wheel of the answer.

    Attributes:
        name: normalised (PEP 503).
        wheel: where it lies, its digest checked.
        sha256: its digest, in hexadecimal.
        size: in bytes.
        metadata: what it says of itself: dependencies, import names, licence.
        targets: the targets it was chosen for.
    """

    name: str
    version: str
    wheel: Path
    sha256: str
    size: int
    metadata: Metadata
    targets: tuple[Target, ...]

    @property
    def tags(self) -> str:
        """The wheel's tags as its file name has them, such as `cp311-cp311-manylinux_2_28_x86_64`."""
        return "-".join(self.wheel.name.removesuffix(".whl").split("-")[-3:])

    @property
    def pure(self) -> bool:
        """Whether it runs on every platform."""
        return self.tags.endswith("-none-any")


@dataclass(frozen=True, slots=True)
class Resolution:
    """The answer to a declaration.

    Attributes:
        declaration: what won.
        distributions: the wheels, by name, version and file.
        targets: what they were chosen for.
        requires_python: the Pythons they truly serve: the interpreter constraint of the artefact.
        lock: the lock the artefact carries (PEP 751), with file names in place of URLs; empty without dependencies.
        resolver: "uv", "pip", the name of the lock that answered, or "none".
        why: what was done and why, for people.
        fresh: whether nothing had to be asked.
    """

    declaration: Declaration
    distributions: tuple[Distribution, ...]
    targets: tuple[Target, ...]
    requires_python: str
    lock: str
    resolver: str
    why: str
    fresh: bool = False

    @property
    def requirements(self) -> tuple[str, ...]:
        """The dependencies as declared."""
        return tuple(requirement.text for requirement in self.declaration.requirements)

    @property
    def pinned(self) -> list[str]:
        """A requirement for each distribution, with a marker where targets differ in its version."""
        versions: dict[str, dict[str, set[Target]]] = {}
        for one in self.distributions:
            versions.setdefault(one.name, {}).setdefault(one.version, set()).update(one.targets)
        found = []
        for name, several in sorted(versions.items()):
            for version, targets in sorted(several.items()):
                everywhere = targets == set(self.targets)
                marker = "" if everywhere else f"; {write_marker(sorted(targets), self.targets)}"
                found.append(f"{name}=={version}{marker}")
        return found

    @property
    def native(self) -> bool:
        """Whether it is bound to platforms."""
        return any(not distribution.pure for distribution in self.distributions)


def question_key(
    declaration: Declaration, lock: Path | None, wanted: str, targets: Sequence[Target], index: Index, locked: bool
) -> str:
    """Return the digest of all that an answer depends on; credentials are no part of it."""
    locks = [path.read_bytes().hex() for path in (declaration.lock, lock) if path is not None]
    parts = [
        __version__,
        [requirement.text for requirement in declaration.requirements],
        sorted((name, sorted(digests)) for name, digests in declaration.hashes.items()),
        list(declaration.options),
        locks,
        wanted,
        [dataclasses.astuple(target) for target in targets],
        index.fingerprint,
        locked,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def remember(key: str, resolution: Resolution) -> None:
    """Keep an answer; the wheels stay where they are."""
    kept = {
        "targets": [dataclasses.astuple(target) for target in resolution.targets],
        "requires_python": resolution.requires_python,
        "lock": resolution.lock,
        "resolver": resolution.resolver,
        "distributions": [
            {
                "file": one.wheel.name,
                "sha256": one.sha256,
                "size": one.size,
                "metadata": dataclasses.asdict(one.metadata),
                "targets": [resolution.targets.index(target) for target in one.targets],
            }
            for one in resolution.distributions
        ],
    }
    Cache(cache_folder()).put("resolutions", f"{key}.json", json.dumps(kept).encode())


def recall(key: str, declaration: Declaration) -> Resolution | None:
    """Return the answer kept under a key, None when there is none or one of its files is gone or changed."""
    data = Cache(cache_folder()).get("resolutions", f"{key}.json")
    if data is None:
        return None
    try:
        return _restored(json.loads(data), declaration)
    except (KeyError, TypeError, ValueError, IndexError, AssertionError):
        return None  # written by another version of the tool, in another form


def _restored(kept: dict[str, Any], declaration: Declaration) -> Resolution | None:
    targets = tuple(_target(*parts) for parts in kept["targets"])
    distributions = []
    for one in kept["distributions"]:
        wheel = find_wheel(File(one["file"], sha256=one["sha256"]))
        if wheel is None:
            return None
        said = one["metadata"]
        metadata = Metadata(**{**said, **{key: tuple(said[key]) for key in ("requires", "extras", "imports")}})
        chosen = tuple(targets[number] for number in one["targets"])
        distributions.append(
            Distribution(metadata.name, metadata.version, wheel, one["sha256"], one["size"], metadata, chosen)
        )
    return Resolution(
        declaration,
        tuple(distributions),
        targets,
        kept["requires_python"],
        kept["lock"],
        kept["resolver"],
        f"{declaration.origin} is unchanged",
        fresh=True,
    )


def _target(python: Sequence[int], platform: Sequence[object]) -> Target:
    system, machine, library, version = platform
    assert isinstance(version, list)
    return Target((python[0], python[1]), Platform(str(system), str(machine), str(library), (version[0], version[1])))
