"""From what an effe declares to wheels on disk: asked once, kept, checked at each use.

    declaration → (lock | resolver) → wheels → what they serve → Resolution

The answer is kept in the cache under everything it depends on: the declaration, the lock beside it, the targets and
what pip's configuration makes visible. So a resolver runs only when one of these has changed.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from effetool import __version__
from effetool.errors import DependencyError, Place, UsageError
from effetool.project import Project

from .cache import cache_folder, write_atomic
from .declaration import Declaration, find_lock, lock_path, read_declaration
from .index import Index, read_index
from .lock import File, Lock, Pin, join_pins, read_lock, unmet, write_lock
from .refusal import explain
from .resolver import Question, Unresolved, build_wheel, choose, resolve_pins
from .served import narrow, serves
from .target import Target, admits, read_platform, read_pythons, this_platform, this_target
from .versions import Specifiers
from .wheels import Metadata, adopt, fetch, find_wheel, read_metadata

Progress = Callable[[str, str], None]
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may ask of the dependencies of a build.

    Attributes:
        python: `--python`: the Pythons to serve, such as `>=3.9`; None is the running one, and what else the same
            wheels serve.
        platforms: `--platform`, several allowed; none is this machine.
        lock: `--lock`: resolve anew and write the lock.
        locked: `--locked`: refuse when the lock does not answer the declaration.
        offline: `--offline`: no network.
        resolver: "uv" or "pip", None for uv where there is one.
    """

    python: str | None = None
    platforms: tuple[str, ...] = ()
    lock: bool = False
    locked: bool = False
    offline: bool = False
    resolver: str | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """One wheel of the answer.

    Attributes:
        name: normalised (PEP 503).
        wheel: where it lies, its digest checked.
        sha256: its digest, in hexadecimal.
        size: in bytes.
        metadata: what it says of itself.
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
        lock: the lock the artefact carries (PEP 751), with file names in place of URLs.
        resolver: "uv", "pip", the name of the lock that answered, or "none".
        why: what was done and why, for people.
        fresh: whether it was answered from the cache.
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
    def native(self) -> bool:
        """Whether it is bound to platforms."""
        return any(not distribution.pure for distribution in self.distributions)
