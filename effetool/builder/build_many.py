"""Many effes at once: outputs compared before anything is built, errors collected, one result each."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..effe.artifact import Artifact
from ..effe.project import Project
from ..errors import BuildError, EffeToolError, Place
from .build import finish, prepare
from .options import Options
from .package.contents import Prepared
from .progress import Progress, Step, quiet
from .store.cache import Cache
from .store.files import cache_folder

__all__ = ["Result", "build_many"]

DIROUT = Path("out")


@dataclass(frozen=True)
class Result:
    """What became of one effe: an artefact or an error, and the seconds it took."""

    project: Project
    artifact: Artifact | None
    error: EffeToolError | None
    seconds: float


class _Stopped(Exception):
    """Another thread was told to stop: Ctrl-C."""


def build_many(
    projects: Sequence[Project],
    options: Options | None = None,
    progress: Callable[[Project, Step], None] | None = None,
    top: Path | None = None,
    done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Build every effe, going on after a failure, and return a result for each in the order given.

    Args:
        projects: the effes.
        options: how; `options.jobs` of them are built at once.
        progress: told each step, from several threads at once.
        top: the directory they were found in: its folders are mirrored below `options.dirout` or `out/`. None writes
            all of them to `options.dirout` or the working directory.
        done: told each result when it is there, from several threads at once.

    Raises:
        BuildError: E130 when two effes would be the same file; nothing is built then.
        KeyboardInterrupt: on Ctrl-C, when what was begun has been cleaned up.
    """
    from concurrent.futures import ThreadPoolExecutor

    options = options or Options()
    cache = Cache(cache_folder())
    stop = threading.Event()
    spent: dict[Project, float] = {}

    def steps(project: Project) -> Progress:
        def told(step: Step) -> None:
            if stop.is_set():
                raise _Stopped
            (progress or (lambda project, step: quiet(step)))(project, step)

        return told

    def first(project: Project) -> Prepared | EffeToolError:
        begun = time.perf_counter()
        try:
            return prepare(project, options, steps(project), folder_for(project, options, top))
        except EffeToolError as error:
            return error
        finally:
            spent[project] = time.perf_counter() - begun

    def second(project: Project, prepared: Prepared | EffeToolError) -> Result:
        begun = time.perf_counter()
        artifact = error = None
        if isinstance(prepared, EffeToolError):
            error = prepared
        else:
            try:
                artifact = finish(prepared, options, steps(project), cache)
            except EffeToolError as failure:
                error = failure
        result = Result(project, artifact, error, spent[project] + time.perf_counter() - begun)
        done(result)
        return result

    pool = ThreadPoolExecutor(max_workers=max(1, options.jobs or _cores()))
    try:
        prepared = list(pool.map(first, projects))
        _refuse_clashes([one for one in prepared if isinstance(one, Prepared)])
        return list(pool.map(second, projects, prepared))
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def folder_for(project: Project, options: Options, top: Path | None) -> Path:
    """Return where the artefact of an effe goes: below `top` folders are mirrored."""
    if top is None:
        return options.dirout or Path()
    above = project.path.parent if project.path != top else top
    inside = above.resolve().relative_to(top.resolve()) if above.resolve().is_relative_to(top.resolve()) else Path()
    return (options.dirout or DIROUT) / inside


def _refuse_clashes(prepared: Sequence[Prepared]) -> None:
    seen: dict[str, Prepared] = {}
    for one in prepared:
        # Case does not count on every file system.
        other = seen.setdefault(str(one.target.absolute()).casefold(), one)
        if other is not one:
            raise BuildError(
                f"{other.project.path} and {one.project.path} would both be {one.target}",
                code="E130",
                place=one.info.place or Place(one.project.logic),
                fix="give one of them another name or version in INFO",
            )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
