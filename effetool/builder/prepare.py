"""What a build needs to know before it makes anything: INFO, files, dependencies, and the digest of them all."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..effe.artifact import Artifact, check_replaceable, compiled_for
from ..effe.conventions import conventions
from ..effe.info import Info, parse_info
from ..effe.project import Project
from ..errors import BuildError, DependencyError, EffeToolError, Place
from .interpreters import pythons_here, this_minor
from .options import Options
from .package import git
from .package.contents import Contents, Prepared, tool_digest
from .package.files import File, plan
from .package.pex_base import pex_version
from .package.zip_writer import DATE_1980
from .progress import Clock, Progress, Step
from .requirements.imports import Undeclared, check_imports, follow
from .requirements.pythons import minors, versions
from .store.cache import Cache
from .store.files import digest_of, unusable_cache
from .verify.python_support import check_promise

if TYPE_CHECKING:
    from .resolve.resolution import Resolution

__all__ = ["find_fresh", "prepare"]

DEFAULT_PYTHON = ">=3.9"
# One at a time: of effes with the same dependencies the first asks, the others find the answer kept.
RESOLVING = threading.Lock()


def prepare(project: Project, options: Options, progress: Progress, folder: Path | None = None) -> Prepared:
    """Check the effe, plan what goes in, resolve what it needs, and name its artefact; writes nothing."""
    clock = Clock(progress)
    _check_options(options)
    info = _info(project, options, progress)
    if info.problem is not None and options.strict:
        raise info.problem
    conventions(info)
    contract = project.contract
    warnings: list[EffeToolError] = [*filter(None, [info.problem])]
    files = plan(project, warnings.append)
    clock.step("check", str(project.logic), ", ".join(["INFO", *contract.functions]))
    resolution = _resolve(project, options)
    python = resolution.requires_python if resolution else _python(project)
    taken = frozenset(minors(versions(python)))
    pythons = _compiled_by(taken, options.record)
    clock.step("resolve", "", resolution.why if resolution else "no dependencies")
    if resolution is not None and not resolution.distributions:
        resolution = None
    certain, undeclared = _check_imports(project, resolution, python, taken, options)
    epoch = (
        os.environ.get("SOURCE_DATE_EPOCH", "") if options.record is None else str(options.record.get("epoch") or "")
    )
    facts = _facts(project, info, options, files, python, resolution, epoch)
    inputs = facts["inputs"] = _inputs(facts, files, pythons, resolution)
    targets, native = _machines(resolution)
    contents = Contents(info, project.module, files, python, pythons, facts, {}, _date(epoch), targets, native)
    target = _target(project, info, options, folder, inputs)
    if options.out is not None:
        declared = (resolution.declaration.file, resolution.declaration.lock) if resolution else ()
        _check_no_source(target, (project.logic, *(file.path for file in files), *filter(None, declared)))
    warnings += undeclared
    if (missing := unusable_cache()) is not None:
        warnings.append(_nothing_kept(missing))
    return Prepared(project, info, contents, resolution, inputs, target, certain, tuple(warnings))


def _check_options(options: Options) -> None:
    if options.platforms:  # a misspelt one is wrong for an effe without dependencies too
        from .resolve.target import read_platform

        for platform in options.platforms:
            read_platform(platform)
    if options.scie is not None or options.scie_assets is not None:
        from .outputs.scie import check_wish

        check_wish(options)


def _compiled_by(taken: frozenset[int], record: Mapping[str, object] | None) -> dict[int, Path]:
    """Return an interpreter for each minor that the artefact is compiled for; those of the record, where it has one."""
    pythons = {minor: path for minor, path in pythons_here().items() if minor in taken}
    if record is not None:
        pythons = {minor: path for minor, path in pythons.items() if f"3.{minor}" in compiled_for(record)}
    return pythons


def _check_imports(
    project: Project, resolution: Resolution | None, python: str, taken: frozenset[int], options: Options
) -> tuple[frozenset[Path], list[EffeToolError]]:
    """Return the author's modules that certainly run, and a warning for each undeclared import that may not."""
    provided = {name for one in (resolution.distributions if resolution else ()) for name in one.metadata.imports}
    reached = follow(project)
    unsure = check_imports(project, provided, resolution.declaration.file if resolution else None, reached)
    if options.record is None:  # what was built before it was checked is built again as it was
        check_promise(project, reached, python, taken, provided)
    return frozenset(path for path, (_, sure) in reached.modules.items() if sure), [*map(_may_lack, unsure)]


def _facts(
    project: Project,
    info: Info,
    options: Options,
    files: list[File],
    python: str,
    resolution: Resolution | None,
    epoch: str,
) -> dict[str, object]:
    """Return what the artefact says of itself, without the digest of its inputs."""
    record = options.record
    authors = [file.path for file in files]
    return {
        "format": 1,
        "info": info.text,
        "module": project.module,
        "single": project.single,
        "tool": __version__,
        "pex": pex_version(),
        # Wheels are chosen for the Python that builds; without any its version decides nothing.
        "python": this_minor() if resolution else None,
        "requires_python": python,
        "asked": {"python": options.python, "platforms": list(options.platforms)},
        "files": {file.name: file.digest for file in files},
        "source": _source_digest(files),
        "commit": git.clean_commit(project.root, authors) if record is None else record.get("commit"),
        "epoch": epoch or None,
        "distributions": [
            {"name": one.name, "version": one.version, "file": one.wheel.name, "sha256": one.sha256}
            for one in (resolution.distributions if resolution else ())
        ],
    }


def _inputs(
    facts: Mapping[str, object], files: list[File], pythons: Mapping[int, Path], resolution: Resolution | None
) -> str:
    """Return one digest of everything that decides the artefact's bytes."""
    inputs = [facts, [file.name for file in files if file.executable], sorted(pythons)]
    if resolution is not None:
        inputs += [resolution.lock, resolution.declaration.origin, resolution.requirements]
    return hashlib.sha256((tool_digest() + json.dumps(inputs, sort_keys=True)).encode()).hexdigest()


def find_fresh(prepared: Prepared, cache: Cache) -> Artifact | None:
    """Return the artefact that is there when it is, byte for byte, what a build of these inputs made."""
    made = cache.get("made", prepared.inputs)
    if made is None:
        return None
    try:
        if not os.access(prepared.target, os.X_OK):
            return None
        digest = digest_of(prepared.target)
        size = prepared.target.stat().st_size
    except OSError:
        return None
    if digest != made.decode():
        return None
    return Artifact(
        prepared.target, prepared.info, digest, size, prepared.contents.facts, fresh=True, warnings=prepared.warnings
    )


def _nothing_kept(folder: Path) -> EffeToolError:
    return BuildError(
        f"{folder} cannot be used, so nothing is kept for the next build",
        code="E162",
        place=Place(folder),
        fix="set XDG_CACHE_HOME to a directory of yours that can be written",
    )


def _may_lack(one: Undeclared) -> EffeToolError:
    return DependencyError(
        f"{one.module} is imported here and not declared: it fails if this runs",
        code="E141",
        place=one.place,
        fix=f"{one.fix}; or import it inside try … except ImportError",
    )


def _info(project: Project, options: Options, progress: Progress) -> Info:
    try:
        return project.info
    except EffeToolError as error:
        if error.code != "E111" or not (options.import_info or options.record):
            raise
    if options.record is not None:  # computed then, by a run of the module that is not repeated
        return parse_info(str(options.record["info"]), Place(project.logic))
    from .computed_info import import_info

    def say(message: str) -> None:
        progress(Step("import", message, "", 0.0))

    return parse_info(import_info(project, say, offline=options.offline), Place(project.logic))


def _resolve(project: Project, options: Options) -> Resolution | None:
    """Return the resolution, None for an effe that declares nothing: most, and they need not wait for the import."""
    script = project.script
    beside = ("pylock.toml", f"pylock.{project.module}.toml", "requirements.txt", "pyproject.toml")
    alone = script.present or not any((project.root / name).exists() for name in beside)
    if alone and not script.dependencies and options.python is None and _plain(script.requires_python):
        return None
    from .resolve.resolve import resolve

    with RESOLVING:
        return resolve(project, options)


def _plain(python: str | None) -> bool:
    """Tell whether a requires-python can be taken as it is; of another the resolution says what is wrong, and where."""
    try:
        versions(python or DEFAULT_PYTHON)
    except DependencyError:
        return False
    return True


def _python(project: Project) -> str:
    return (project.script.requires_python or DEFAULT_PYTHON).replace(" ", "")


def _machines(resolution: Resolution | None) -> tuple[frozenset[int] | None, tuple[str, str, bool] | None]:
    """Return the minors that the wheels were chosen for and the machine they are for; see `pack.Contents`."""
    if resolution is None:
        return frozenset(), None
    from .resolve.target import this_target

    minors = frozenset(target.python[1] for target in resolution.targets)
    if not resolution.native:
        return minors, None
    if len(resolution.targets) > 1:
        return None, None
    (target,) = resolution.targets
    if target == this_target():
        return minors, (sys.platform, os.uname().machine, target.platform.library == "glibc")
    system = {"macos": "darwin"}.get(target.platform.system, target.platform.system)
    return minors, (system, target.platform.machine, target.platform.library == "glibc")


def _target(project: Project, info: Info, options: Options, folder: Path | None, inputs: str) -> Path:
    if options.out is not None:
        target = options.out
        if options.scie is not None and target.suffix != ".pex":  # the name is the executable's, the .pex is beside it
            target = target.with_name(f"{target.name}.pex")
    else:
        stem = info.stem if info.usable else inputs[:16]
        target = (folder or options.dirout or Path()) / f"{stem}.pex"
    check_replaceable(target, "choose another name with --out")
    return target


def _check_no_source(target: Path, sources: Iterable[Path]) -> None:
    try:
        there = target.stat()
    except OSError:
        return
    if any(os.path.samestat(there, source.stat()) for source in sources):
        raise BuildError(
            f"{target} is a file that the effe is built from",
            code="E136",
            place=Place(target),
            fix="choose another name with --out",
        )


def _source_digest(files: list[File]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.digest}  {file.name}\n".encode())
    return digest.hexdigest()


def _date(epoch: str) -> tuple[int, int]:
    """Return MS-DOS time and date of SOURCE_DATE_EPOCH (reproducible-builds.org), 1980 where it is not set."""
    if not epoch:
        return DATE_1980
    if not epoch.isascii() or not epoch.isdigit() or len(epoch) > 11:
        raise BuildError(
            f"SOURCE_DATE_EPOCH is {epoch!r}, not a number of seconds", code="E136", fix="unset SOURCE_DATE_EPOCH"
        )
    year, month, day, hour, minute, second, *_ = time.gmtime(int(epoch))
    if year < 1980:
        return DATE_1980
    year = min(year, 2107)
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
