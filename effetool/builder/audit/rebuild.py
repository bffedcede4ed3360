"""Make an artefact again from what it says of itself, and compare byte for byte.

The author's files are taken from a given place, or from inside the artefact: then everything else in it, the code
compiled for each Python above all, is proven to be what the tool makes of them.
"""

from __future__ import annotations

import shlex
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ... import __version__
from ...effe.artifact import Artifact, compiled_for, read_artifact, read_file
from ...effe.project import Project, find_one
from ...errors import BuildError, Place
from ..build import finish, prepare
from ..interpreters import pythons_here, this_minor
from ..options import Options
from ..package.files import IN_MEMORY
from ..package.git import is_of_commit
from ..package.pex_base import pex_version
from ..package.sbom import LOCK
from ..progress import Progress, quiet
from ..store.cache import Cache
from ..store.files import cache_folder
from ..verify.reproducible import first_difference
from .compare import Difference, compare

__all__ = ["Replay", "replay"]


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of making an artefact again.

    Attributes:
        artifact: the one that was given.
        source: where the author's files were taken from, None for the artefact itself.
        difference: the part that is not the same, None when every byte is.
        differences: what the two say of themselves that is not the same.
        commit: whether the files are those of the commit it names; None when it names none or that cannot be told.
    """

    artifact: Artifact
    source: Path | None
    difference: str | None
    differences: tuple[Difference, ...] = ()
    commit: bool | None = None

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return self.difference is None


def replay(path: Path, source: Path | None = None, *, offline: bool = False, progress: Progress = quiet) -> Replay:
    """Make the artefact at `path` again.

    Args:
        path: an artefact of this very version of the tool.
        source: the effe it was made from; None takes the files inside the artefact.
        offline: use no network: its wheels must be in the cache.
        progress: told each step.

    Raises:
        BuildError: E131 no artefact, E133 it cannot be made again here.
        EffeToolError: as `build`, when the source is not in order.
    """
    artifact = read_artifact(path)
    facts = artifact.facts
    _check_tools(artifact)
    with tempfile.TemporaryDirectory(prefix="effe-tool-") as name:
        folder = Path(name)
        project = find_one(source) if source is not None else _unpack(artifact, folder / "source")
        options = Options(
            out=folder / "again.pex",
            python=_text(_asked(facts).get("python")),
            platforms=_texts(_asked(facts).get("platforms")),
            offline=offline,
            # To resolve may run the code of source distributions: for a file of a stranger nothing is resolved.
            locked=source is None or bool(facts.get("distributions")),
            fresh=False,
            record=facts,
            answer=_lock(artifact, folder),
        )
        prepared = prepare(project, options, progress)
        if source is None and not project.script.present and prepared.contents.python != facts.get("requires_python"):
            raise _declared_outside(artifact)
        again = finish(prepared, options, progress, Cache(cache_folder()))
        commit = facts.get("commit")
        known = None
        if source is not None and isinstance(commit, str):
            known = is_of_commit(project.root, commit, [project.root / name for name in _names(artifact)])
        if again.digest == artifact.digest and known is not False:
            return Replay(artifact, source, None, (), known)
        if again.digest == artifact.digest:
            said = Difference("made", "commit", str(commit), "other files")
            return Replay(artifact, source, f"the commit: the files are not those of {commit}", (said,), known)
        try:
            found = compare(path, again.path).differences
        except BuildError:  # damaged where it says what it is
            found = ()
        part = first_difference(path.read_bytes(), again.path.read_bytes())
        return Replay(artifact, source, part, found, known)


def _check_tools(artifact: Artifact) -> None:
    facts = artifact.facts
    here: dict[str, object] = {"effe-tool": __version__, "pex": pex_version(), "Python": this_minor()}
    made = {"effe-tool": facts.get("tool"), "pex": facts.get("pex"), "Python": facts.get("python") or this_minor()}
    other = [f"{name} {made[name]}" for name in made if made[name] != here[name]]
    if other:
        again = ("uvx", f"--python={made['Python']}", f"--with=pex=={made['pex']}", f"effe-tool@{made['effe-tool']}")
        raise BuildError(
            f"{artifact.path} was made by {', '.join(other)}; here is "
            + ", ".join(f"{name} {here[name]}" for name in here if made[name] != here[name]),
            code="E133",
            fix=shlex.join((*again, "verify", str(artifact.path))),
        )
    known = {f"3.{minor}" for minor in pythons_here()}
    if lacking := [one for one in compiled_for(facts) if one not in known]:
        raise BuildError(
            f"{artifact.path} is compiled for Python {', '.join(lacking)}, and that is not here to compile it again",
            code="E133",
            fix=shlex.join(("uv", "python", "install", *lacking)),
        )


def _names(artifact: Artifact) -> list[str]:
    """Return the names of the author's files; none that leads out of a directory."""
    files = artifact.facts.get("files")
    names = [str(name) for name in files] if isinstance(files, dict) else []
    for name in names:
        if name.startswith("/") or "\\" in name or "\0" in name or {"", ".", ".."} & {*name.split("/")}:
            raise BuildError(
                f"{artifact.path} names a file {name!a}", code="E131", place=Place(artifact.path), fix="do not run it"
            )
    return names


def _unpack(artifact: Artifact, folder: Path) -> Project:
    """Write the author's files to `folder` and return the effe they are."""
    with zipfile.ZipFile(artifact.path) as archive:
        for name in _names(artifact):
            try:
                entry = archive.getinfo(name)
                # What is larger is stored as it is: nothing here unpacks to more than the file holds.
                if entry.compress_type != zipfile.ZIP_STORED and entry.file_size > IN_MEMORY:
                    raise ValueError(f"{entry.file_size} bytes")
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as packed, path.open("wb") as out:
                    while chunk := packed.read(1 << 20):
                        out.write(chunk)
            except (KeyError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
                raise BuildError(
                    f"{artifact.path}: {name} cannot be read from it: {error}",
                    code="E131",
                    place=Place(artifact.path),
                    fix="do not run it",
                ) from error
            path.chmod(0o755 if entry.external_attr >> 16 & 0o100 else 0o644)
    module = str(artifact.facts.get("module"))
    if not module.isidentifier():
        raise BuildError(
            f"{artifact.path} names a module {module!a}", code="E131", place=Place(artifact.path), fix="do not run it"
        )
    single = artifact.facts.get("single") is True
    project = Project(folder, folder / f"{module}.py", single)
    if artifact.facts.get("distributions") and not project.script.present:
        raise _declared_outside(artifact)
    return project


def _declared_outside(artifact: Artifact) -> BuildError:
    return BuildError(
        f"what {artifact.path} depends on was declared in a file that is not inside it",
        code="E133",
        fix=f"effe-tool verify {artifact.path} --source DIRECTORY",
    )


def _lock(artifact: Artifact, folder: Path) -> Path | None:
    lock = read_file(artifact, LOCK)
    if lock is None:
        return None
    path = folder / "pylock.toml"
    path.write_bytes(lock)
    return path


def _asked(facts: Mapping[str, object]) -> Mapping[str, object]:
    found = facts.get("asked")
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()
