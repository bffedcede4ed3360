"""One effe to one artefact: check → resolve → base → bundle → verify → replace."""

from __future__ import annotations

from pathlib import Path

from ..effe.artifact import Artifact
from ..effe.project import Project
from .options import Options
from .package.contents import Prepared
from .prepare import find_fresh, prepare
from .progress import Clock, Progress, quiet
from .store.cache import Cache
from .store.files import cache_folder

__all__ = ["build", "finish", "prepare"]


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
        BuildError: E131–E139, E147.
    """
    options = options or Options()
    cache = Cache(cache_folder())
    return finish(prepare(project, options, progress, folder), options, progress, cache)


def finish(prepared: Prepared, options: Options, progress: Progress, cache: Cache) -> Artifact:
    """Make the artefact of what was prepared, or find it made."""
    clock = Clock(progress)
    if options.fresh and not options.check and (artifact := find_fresh(prepared, cache)) is not None:
        clock.step("fresh", str(prepared.target), "its inputs are unchanged")
        if options.max_size is not None or options.max_start is not None:
            from .verify.budgets import check_budgets

            check_budgets(artifact.path, artifact.size, options)
    else:
        from .assemble import make  # subprocess, zip and pex: not for an artefact that is there

        artifact = make(prepared, options, clock, cache)
    if options.scie is None:
        return artifact
    from .outputs.scie import add_interpreter

    return add_interpreter(prepared, artifact, options, clock, cache)
