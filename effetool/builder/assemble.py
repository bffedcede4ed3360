"""Make the artefact of what was prepared: base → bundle → verify → replace."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..effe.artifact import Artifact, open_regular
from ..errors import BuildError, Place
from .options import Options
from .package import writer
from .package.contents import Prepared, runtime_files
from .package.pex_base import make_base, pex_version
from .progress import Clock
from .store.cache import Cache
from .store.files import create, digest_of
from .verify import smoke
from .verify.budgets import check_budgets
from .verify.python_support import check_compiled
from .verify.shared_libraries import missing_here

if TYPE_CHECKING:
    from .package.zip_safe import Wheel

__all__ = ["make"]

UNLOCKED = 10.0  # seconds that a new file may have no lock yet


def make(prepared: Prepared, options: Options, clock: Clock, cache: Cache) -> Artifact:
    """Make the artefact, prove that it answers, and put it in its place.

    Raises:
        BuildError: E131, E134–E139.
        DependencyError: E148 when the author's modules do not compile for a Python they promise to run on.
    """
    compiling = _Aside(lambda: (writer.compile_modules(prepared.contents, cache), _wheels(prepared, cache)))
    try:
        contents = dataclasses.replace(prepared.contents, extra=_records(prepared))
        base = make_base(*_base_arguments(prepared), cache)
    finally:
        compiling.join()
    compiled, wheels = compiling.result()
    if options.record is None:
        codes = {minor: found for minor, (_, found) in compiled.items()}
        modules = [
            (f.name, f.path, f.data) for f in contents.files if f.path in prepared.certain and f.data is not None
        ]
        check_compiled(prepared.project, contents.python, codes, contents.pythons, modules)
    clock.step("base", "", f"pex {pex_version()}")
    with _beside(prepared.target) as temporary:
        with temporary.open("wb") as out:
            size = writer.write(out, contents, base, compiled, wheels, cache)
        temporary.chmod(0o755 & ~_umask())
        digest = digest_of(temporary)
        clock.step("bundle", "", _bundled(prepared))
        start = None
        if contents.pythons and (contents.targets is not None or _for_here(prepared)):
            start = smoke.ask_info(temporary, prepared.info.text, pythons=contents.pythons.values())
            name = prepared.info.name or prepared.project.module
            clock.step("verify", f"{name} {prepared.info.version or ''}".strip(), "answers -info")
        else:
            why = "it is for another machine" if contents.pythons else f"no CPython {contents.python} is here"
            clock.step("verify", "", f"not asked: {why}")
        check_budgets(temporary, size, options)
        if options.check:
            from .verify.reproducible import build_again

            build_again(prepared, options, temporary)
            clock.step("check", "", "built twice, the same bytes")
        _replace(temporary, prepared.target)
    cache.put("made", prepared.inputs, digest.encode())
    artifact = Artifact(
        prepared.target,
        prepared.info,
        digest,
        size,
        contents.facts,
        start=start,
        warnings=(*prepared.warnings, *missing_here(prepared.resolution, cache)),
    )
    clock.step("built", str(prepared.target), f"{_kilo(size)}  sha256 {digest[:8]}…")
    return artifact


class _Aside(threading.Thread):
    """A thread that gives its result; concurrent.futures would import logging for it."""

    def __init__(self, work: Callable[[], tuple[writer.Compiled, list[Wheel]]]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._result: tuple[writer.Compiled, list[Wheel]] = {}, []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # raised where the result is asked for
            self._error = error

    def result(self) -> tuple[writer.Compiled, list[Wheel]]:
        if self._error is not None:
            raise self._error
        return self._result


def _records(prepared: Prepared) -> dict[str, bytes]:
    """Return the lock and the bill of materials that the artefact carries."""
    from .package.sbom import LOCK, SBOM, bill_of_materials

    facts, resolution = prepared.contents.facts, prepared.resolution
    bill = bill_of_materials(
        prepared.info,
        resolution,
        requires_python=prepared.contents.python,
        source_digest=str(facts["source"]),
        commit=str(facts["commit"]) if facts["commit"] else None,
        pex=pex_version(),
    )
    records = {SBOM: bill.encode()}
    if resolution and resolution.lock:
        records[LOCK] = resolution.lock.encode()
    return records


def _wheels(prepared: Prepared, cache: Cache) -> list[Wheel]:
    """Return the wheels compiled for the Pythons they were chosen for."""
    contents, resolution = prepared.contents, prepared.resolution
    if resolution is None or contents.targets is None:
        return []
    from .package.zip_safe import compile_wheels

    pythons = {minor: path for minor, path in contents.pythons.items() if minor in contents.targets}
    return compile_wheels([(one.wheel, one.sha256) for one in resolution.distributions], pythons, cache)


def _base_arguments(prepared: Prepared) -> tuple[list[Path], list[str], list[str]]:
    if prepared.resolution is None:
        return [], [], []
    from .resolve.target import this_target

    resolution = prepared.resolution
    # Left to itself pex keeps only what fits the Python it runs on.
    local = resolution.targets == (this_target(),)
    flags = [] if local else [f"--complete-platform={target.pex}" for target in resolution.targets]
    return [one.wheel for one in resolution.distributions], resolution.pinned, flags


def _for_here(prepared: Prepared) -> bool:
    """Tell whether one of the wheels for several targets is for a Python of this machine, so that pex's boot starts."""
    from .resolve.target import this_platform

    here = this_platform()
    return prepared.resolution is not None and any(
        (one.platform.system, one.platform.machine, one.platform.library) == (here.system, here.machine, here.library)
        and one.platform.version <= here.version
        and one.python[1] in prepared.contents.pythons
        for one in prepared.resolution.targets
    )


def _bundled(prepared: Prepared) -> str:
    runtime = sum(len(data) for _, data in runtime_files())
    author = sum(file.size for file in prepared.contents.files)
    count = len(prepared.resolution.distributions) if prepared.resolution else 0
    more = f", {count} distribution{'s' * (count != 1)}" if count else ""
    return f"runtime {_kilo(runtime)}, logic {_kilo(author)}{more}"


def _kilo(size: int) -> str:
    return f"{max(1, round(size / 1000))} KB"


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a new file in the target's folder; whatever happens, it is gone afterwards."""
    prefix = f".{target.name[:100]}-"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear(target.parent, prefix)
        number, temporary = create(target.parent, prefix, ".new")
        os.close(number)
    except OSError as error:
        raise BuildError(
            f"cannot write to {target.parent}: {error.strerror}",
            code="E136",
            place=Place(target.parent),
            fix="choose another folder with --dirout",
        ) from error
    try:
        with temporary.open("rb") as held:
            with contextlib.suppress(OSError):  # not every file system has locks
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield temporary
    except OSError as error:
        raise BuildError(
            f"cannot write {target}: {error.strerror}", code="E136", place=Place(target), fix="is the disk full?"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _clear(folder: Path, prefix: str) -> None:
    """Remove what killed builds left: a live one holds a lock on its file."""
    left = re.compile(re.escape(prefix) + r"[0-9a-f]{16}\.new")
    with contextlib.suppress(OSError):
        for path in [path for path in folder.iterdir() if left.fullmatch(path.name)]:
            with contextlib.suppress(OSError), open_regular(path) as file:
                if time.time() - os.fstat(file.fileno()).st_mtime > UNLOCKED:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()


def _replace(temporary: Path, target: Path) -> None:
    try:
        temporary.replace(target)
    except OSError as error:
        raise BuildError(
            f"cannot replace {target}: {error.strerror}", code="E136", place=Place(target), fix="remove it by hand"
        ) from error


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
