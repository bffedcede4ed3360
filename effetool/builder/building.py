"""One effe to one artefact: check → resolve → base → bundle → verify → replace."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..artifact import Artifact
from ..conventions import conventions
from ..errors import BuildError, EffeToolError, Place
from ..info import Info, parse_info
from ..project import Project
from . import boot, commit, pack, verify
from .archive import DATE_1980
from .base import make_base, pex_version
from .cache import Cache
from .imports import check_imports
from .options import Options, Progress, Step, quiet
from .plan import File, plan
from .pythons import find_pythons
from .sbom import LOCK, SBOM, bill_of_materials
from .wheelhouse import cache_folder

if TYPE_CHECKING:
    from .resolution import Resolution

__all__ = ["Prepared", "build", "finish", "prepare"]

DEFAULT_PYTHON = ">=3.9"
# One at a time: of effes with the same dependencies the first asks, the others find the answer kept.
RESOLVING = threading.Lock()


@dataclass(frozen=True)
class Prepared:
    """An effe of which everything is known that decides its artefact."""

    project: Project
    info: Info
    contents: pack.Contents
    resolution: Resolution | None
    inputs: str
    target: Path


def build(
    project: Project, options: Options | None = None, progress: Progress = quiet, folder: Path | None = None
) -> Artifact:
    """Build one effe.

    Args:
        project: the effe.
        options: how; the defaults write `name-version.pex` to the working directory.
        progress: told each step as it ends.
        folder: where to write, instead of `options.dirout`.

    Raises:
        SourceError, InfoError, ContractError: the effe is not in order.
        DependencyError: what it needs cannot be had.
        BuildError: E131–E139.
    """
    options = options or Options()
    cache = Cache(cache_folder())
    return finish(prepare(project, options, progress, folder), options, progress, cache)


def prepare(project: Project, options: Options, progress: Progress, folder: Path | None = None) -> Prepared:
    """Check the effe, plan what goes in, resolve what it needs, and name its artefact; writes nothing."""
    clock = Clock(progress)
    info = _info(project, options)
    if info.problem is not None and options.strict:
        raise info.problem
    conventions(info)
    contract = project.contract
    files = plan(project)
    clock.step("check", str(project.logic), ", ".join(["INFO", *contract.functions]))
    resolution = _resolve(project, options)
    python = (resolution.requires_python if resolution else None) or project_python(project, options)
    intervals = boot.versions(python)
    taken = set(boot.minors(intervals))
    pythons = {minor: path for minor, path in _pythons().items() if minor in taken}
    clock.step("resolve", "", resolution.why if resolution else "no dependencies")
    provided = {name for one in (resolution.distributions if resolution else ()) for name in one.metadata.imports}
    check_imports(project, provided, resolution.declaration.file if resolution else None)
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    facts: dict[str, object] = {
        "format": 1,
        "info": info.text,
        "module": project.module,
        "single": project.single,
        "tool": __version__,
        "pex": pex_version(),
        "python": _minor(),
        "requires_python": python,
        "platforms": list(options.platforms),
        "files": {file.name: file.digest for file in files},
        "source": _source_digest(files),
        "commit": commit.clean_commit(project.root, [file.path for file in files]),
        "epoch": epoch or None,
        "distributions": [
            {"name": one.name, "version": one.version, "file": one.wheel.name, "sha256": one.sha256}
            for one in (resolution.distributions if resolution else ())
        ],
    }
    bill = bill_of_materials(
        info,
        resolution,
        requires_python=python,
        source_digest=str(facts["source"]),
        commit=str(facts["commit"]) if facts["commit"] else None,
        pex=pex_version(),
    )
    extra = {SBOM: bill.encode()}
    if resolution and resolution.lock:
        extra[LOCK] = resolution.lock.encode()
    modes = [file.name for file in files if file.executable]
    others = {name: data.decode() for name, data in extra.items()}
    told = json.dumps([facts, modes, sorted(pythons), others], sort_keys=True)
    inputs = hashlib.sha256((pack.tool_digest() + told).encode()).hexdigest()
    facts["inputs"] = inputs
    targets, native = _machines(resolution)
    contents = pack.Contents(info, project.module, files, python, pythons, facts, extra, _date(epoch), targets, native)
    target = _target(project, info, options, folder, inputs)
    return Prepared(project, info, contents, resolution, inputs, target)


def finish(prepared: Prepared, options: Options, progress: Progress, cache: Cache) -> Artifact:
    """Make the artefact of what was prepared, or find it made."""
    clock = Clock(progress)
    if options.fresh and not options.check and (artifact := _fresh(prepared, cache)) is not None:
        clock.step("fresh", str(prepared.target), "its inputs are unchanged")
        return artifact
    base = make_base(*_base_arguments(prepared), cache)
    clock.step("base", "", f"pex {pex_version()}")
    with _beside(prepared.target) as temporary:
        with temporary.open("wb") as out:
            size = pack.write(out, prepared.contents, base, cache)
        temporary.chmod(0o755 & ~_umask())
        digest = _digest(temporary)
        clock.step("bundle", "", _bundled(prepared))
        start = None
        if prepared.contents.pythons:
            start = verify.ask_info(temporary, prepared.info.text)
            clock.step("verify", prepared.info.name or prepared.project.module, "answers -info")
        _budgets(temporary, size, options)
        if options.check:
            from .reproduce import build_again

            build_again(prepared.project, options, temporary.read_bytes())
            clock.step("check", "", "built twice, the same bytes")
        _replace(temporary, prepared.target)
    cache.put("made", prepared.inputs, digest.encode())
    artifact = Artifact(prepared.target, prepared.info, digest, size, prepared.contents.facts, start=start)
    clock.step("built", str(prepared.target), f"{_kilo(size)}  sha256 {digest[:8]}…")
    return artifact


class Clock:
    """Report each step with the time since the one before."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._then = time.perf_counter()

    def step(self, stage: str, subject: str, detail: str) -> None:
        now = time.perf_counter()
        self._progress(Step(stage, subject, detail, now - self._then))
        self._then = now


def project_python(project: Project, options: Options) -> str:
    """Return the version specifier of an effe without dependencies."""
    given = options.python or project.script.requires_python or DEFAULT_PYTHON
    return f"=={given}.*" if given[0].isdigit() else given.replace(" ", "")


def _info(project: Project, options: Options) -> Info:
    try:
        return project.info
    except EffeToolError as error:
        if error.code != "E111" or not options.import_info:
            raise
    from .imported import import_info

    return parse_info(import_info(project), Place(project.logic))


def _resolve(project: Project, options: Options) -> Resolution | None:
    """Return the resolution, None for an effe that declares nothing: most, and they need not wait for the import."""
    script = project.script
    beside = ("pylock.toml", f"pylock.{project.module}.toml", "requirements.txt", "pyproject.toml")
    if not script.dependencies and (script.present or not any((project.root / name).exists() for name in beside)):
        return None
    from .dependencies import resolve

    with RESOLVING:
        resolution = resolve(project, options)
    return resolution if resolution.distributions else None


def _base_arguments(prepared: Prepared) -> tuple[list[Path], list[str], list[str]]:
    if prepared.resolution is None:
        return [], [], []
    from .target import this_target

    resolution = prepared.resolution
    # Left to itself pex keeps only what fits the Python it runs on.
    local = resolution.targets == (this_target(),)
    flags = [] if local else [f"--complete-platform={target.pex}" for target in resolution.targets]
    return [one.wheel for one in resolution.distributions], resolution.pinned, flags


def _machines(resolution: Resolution | None) -> tuple[frozenset[int] | None, tuple[str, str, bool] | None]:
    """Return the minors that the wheels were chosen for and the machine they are for; see `pack.Contents`."""
    if resolution is None:
        return frozenset(), None
    from .target import this_target

    if resolution.targets != (this_target(),):
        return (None, None) if resolution.native else (frozenset(t.python[1] for t in resolution.targets), None)
    library = this_target().platform.library == "glibc"
    native = (sys.platform, os.uname().machine, library) if resolution.native else None
    return frozenset({this_target().python[1]}), native


def _bundled(prepared: Prepared) -> str:
    runtime = sum(len(data) for _, data in pack.runtime_files())
    author = sum(file.size for file in prepared.contents.files)
    count = len(prepared.resolution.distributions) if prepared.resolution else 0
    more = f", {count} distribution{'s' * (count != 1)}" if count else ""
    return f"runtime {_kilo(runtime)}, logic {_kilo(author)}{more}"


def _kilo(size: int) -> str:
    return f"{max(1, round(size / 1000))} KB"


def _target(project: Project, info: Info, options: Options, folder: Path | None, inputs: str) -> Path:
    if options.out is not None:
        target = options.out
    else:
        stem = info.stem if info.usable else inputs[:16]
        target = (folder or options.dirout or Path()) / f"{stem}.pex"
    if target.is_dir():
        raise BuildError(
            f"{target} is a directory", code="E136", place=Place(target), fix="choose another name with --out"
        )
    return target


def _fresh(prepared: Prepared, cache: Cache) -> Artifact | None:
    """Return the artefact that is there when it is, byte for byte, what a build of these inputs made."""
    made = cache.get("made", prepared.inputs)
    if made is None:
        return None
    try:
        if not os.access(prepared.target, os.X_OK):
            return None
        digest = _digest(prepared.target)
        size = prepared.target.stat().st_size
    except OSError:
        return None
    if digest != made.decode():
        return None
    return Artifact(prepared.target, prepared.info, digest, size, prepared.contents.facts, fresh=True)


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a new file in the target's folder; whatever happens, it is gone afterwards."""
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{target.name[:100]}-", suffix=".new", dir=target.parent)
        os.close(number)
        temporary = Path(name)
    except OSError as error:
        raise BuildError(
            f"cannot write to {target.parent}: {error.strerror}",
            code="E136",
            place=Place(target.parent),
            fix="choose another folder with --dirout",
        ) from error
    try:
        yield temporary
    except OSError as error:
        raise BuildError(
            f"cannot write {target}: {error.strerror}", code="E136", place=Place(target), fix="is the disk full?"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _replace(temporary: Path, target: Path) -> None:
    try:
        temporary.replace(target)
    except OSError as error:
        raise BuildError(
            f"cannot replace {target}: {error.strerror}", code="E136", place=Place(target), fix="remove it by hand"
        ) from error


def _budgets(path: Path, size: int, options: Options) -> None:
    if options.max_size is not None and size > options.max_size:
        raise BuildError(
            f"{size} bytes, --max-size allows {options.max_size}",
            code="E139",
            fix="effe-tool inspect shows what takes the room",
        )
    if options.max_start is not None and (taken := verify.measure_start(path) * 1000) > options.max_start:
        raise BuildError(
            f"it starts in {taken:.0f} ms, --max-start allows {options.max_start:g} ms",
            code="E139",
            fix="effe-tool inspect --imports shows where the start goes",
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


@lru_cache(maxsize=1)
def _pythons() -> Mapping[int, Path]:
    return find_pythons()


def _minor() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
