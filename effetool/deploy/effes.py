"""The effes that are deployed together: sources or built files, each of another name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..effe.artifact import Artifact, read_artifact
from ..effe.conventions import Conventions, conventions
from ..effe.info import Info
from ..effe.project import Project, find_all
from ..errors import DeployError, Place, SourceError

__all__ = ["Effe", "find_effes"]


@dataclass(frozen=True)
class Effe:
    """One effe and where it comes from.

    Attributes:
        info: its INFO, with name and version.
        project: its source, None for one that was found built.
        artifact: the built file, None for one that was found as source.
    """

    info: Info
    project: Project | None = None
    artifact: Artifact | None = None

    @property
    def name(self) -> str:
        """INFO's name: a DNS label, but for `_`."""
        assert self.info.name is not None
        return self.info.name

    @property
    def version(self) -> str:
        """INFO's version."""
        assert self.info.version is not None
        return self.info.version

    @cached_property
    def conventions(self) -> Conventions:
        """What INFO says of routing, environment and size. Raises InfoError."""
        return conventions(self.info)

    @property
    def path(self) -> Path:
        """What a user calls it: the file or the directory."""
        if self.project is not None:
            return self.project.path
        assert self.artifact is not None
        return self.artifact.path

    @property
    def place(self) -> Place:
        """Where its INFO stands."""
        return self.info.place or Place(self.path)


def find_effes(paths: Sequence[Path] = ()) -> list[Effe]:
    """Return the effes at `paths`, sorted by name: sources, .pex files, and directories of either.

    A directory in which there is no source is searched for .pex files. No path means the working directory.

    Raises:
        SourceError: E150 when there is no effe.
        BuildError: E131 when a .pex is not effe-tool's.
        InfoError: INFO is unfit, or has no name or version.
        DeployError: E410 when two have one name.
    """
    found: dict[str, Effe] = {}
    for effe in [effe for path in paths for effe in _at(path)] if paths else _at(None):
        if effe.info.problem is not None:
            raise effe.info.problem
        other = found.setdefault(effe.name, effe)
        if other is not effe and other.path.resolve() != effe.path.resolve():
            raise DeployError(
                f"two effes are called {effe.name}: {other.path} ({other.version}) and {effe.path} ({effe.version})",
                code="E410",
                place=effe.place,
                notes=(f"the other one: {other.place}",),
                fix="name the files that shall run instead of their directory, or give one another name in INFO",
            )
    return [found[name] for name in sorted(found)]


def _at(path: Path | None) -> list[Effe]:
    if path is not None and path.is_file() and path.suffix != ".py":
        return [_built(path)]
    try:
        return [Effe(project.info, project=project) for project in find_all(path)]
    except SourceError as error:
        where = path or Path()
        if error.code != "E150" or not where.is_dir():
            raise
        files = sorted(where.glob("*.pex") if path is None else where.rglob("*.pex"))
        if not files:
            raise
        return [_built(file) for file in files]


def _built(path: Path) -> Effe:
    artifact = read_artifact(path)
    return Effe(artifact.info, artifact=artifact)
