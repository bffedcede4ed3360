"""What `effe-tool build` does once its command line is read; does not use typer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .console import Console, size_text, time_text

if TYPE_CHECKING:
    from ..builder import Options, Result, Step
    from ..effe.artifact import Artifact
    from ..effe.project import Project

__all__ = ["build_paths", "show_step"]


def build_paths(paths: list[Path], options: Options, console: Console) -> None:
    """Build the effes at `paths` and print what came of it. Raises SystemExit when one of several failed."""
    _check(options)
    projects, top = _find(paths, options)
    if len(projects) == 1 and top is None:
        _one(projects[0], options, console)
    else:
        _many(projects, top, options, console)


def _check(options: Options) -> None:
    """Refuse two flags of which one would be passed over in silence."""
    from ..errors import UsageError

    if options.out is not None and options.dirout is not None:
        fix = f"--out {options.dirout / options.out}"
        raise UsageError("--out names the whole path, and --dirout a directory: give one of them", code="E001", fix=fix)
    if options.lock and options.locked:
        fix = "--lock writes the lock, --locked holds the build to it"
        raise UsageError("--lock and --locked contradict each other", code="E001", fix=fix)


def _find(paths: list[Path], options: Options) -> tuple[list[Project], Path | None]:
    """Return the effes at `paths` and, when they are all of one directory that was named, that directory."""
    from ..effe.project import find_all, open_project
    from ..errors import UsageError

    top = next((path for path in paths if path.is_dir() and open_project(path) is None), None)
    if top is not None and len(paths) > 1:
        raise UsageError(
            f"{top} is a directory of effes, and there are other paths", code="E001", fix=f"effe-tool build {top}"
        )
    found = [project for path in paths for project in find_all(path)] if paths else find_all()
    projects = list({project.logic.resolve(): project for project in found}.values())
    if options.out is not None and len(projects) > 1:
        raise UsageError(
            f"--out names one file, and there are {len(projects)} effes",
            code="E151",
            fix="name one effe, or give --dirout",
            notes=tuple(str(project.path) for project in projects[:20]),
        )
    return projects, top


def _one(project: Project, options: Options, console: Console) -> None:
    from ..builder import build as build_effe

    artifact = build_effe(project, options, lambda step: show_step(step, console))
    _warn(artifact, console)
    console.document(_described(artifact))
    for path in _asked(artifact):
        console.result(_typed(path))


def _many(projects: list[Project], top: Path | None, options: Options, console: Console) -> None:
    from ..builder import build_many

    with console.progress(len(projects)) as progress:
        results = build_many(projects, options, top=top, done=lambda result: progress.advance(str(result.project.path)))
    failed = [(result, result.error) for result in results if result.error is not None]
    console.document(
        {
            "artifacts": [_described(result.artifact) for result in results if result.artifact is not None],
            "errors": [error.as_dict() for _, error in failed],
        }
    )
    console.table([row for result in results for row in _rows(result)], ("effe", "version", "file", "size", "time"))
    for result in results:
        if result.artifact is not None:
            _warn(result.artifact, console)
            for path in _asked(result.artifact):
                console.result(_typed(path))
    if not failed:
        return
    if not console.json:
        for result, error in failed:
            console.error(error, about=str(result.project.path))
    console.write(f"{len(failed)} of {len(results)} failed")
    raise SystemExit(1)


def show_step(step: Step, console: Console) -> None:
    console.stage(step.stage, "  ".join(part for part in (step.subject, step.detail) if part), step.seconds)


def _rows(result: Result) -> list[tuple[str, str, str, str, str]]:
    taken = time_text(result.seconds)
    artifact = result.artifact
    if artifact is None:
        return [(result.project.path.name, "-", "failed", "", taken)]
    when = "fresh" if artifact.fresh else taken
    files = [(scie.path, scie.size) for scie in artifact.scies] or [(artifact.path, artifact.size)]
    return [(artifact.name, artifact.version or "-", str(path), size_text(size), when) for path, size in files]


def _asked(artifact: Artifact) -> list[Path]:
    """Return what was asked for: the executables, else the .pex."""
    return [scie.path for scie in artifact.scies] or [artifact.path]


def _warn(artifact: Artifact, console: Console) -> None:
    for warning in artifact.warnings:
        console.warning(warning)


def _described(artifact: Artifact) -> dict[str, object]:
    return {
        "path": str(artifact.path),
        "name": artifact.info.name,
        "version": artifact.version,
        "size": artifact.size,
        "sha256": artifact.digest,
        "fresh": artifact.fresh,
        "scies": [
            {
                "path": str(scie.path),
                "platform": scie.platform,
                "python": scie.python,
                "size": scie.size,
                "sha256": scie.digest,
                "fresh": scie.fresh,
            }
            for scie in artifact.scies
        ],
        "warnings": [warning.as_dict() for warning in artifact.warnings],
    }


def _typed(path: Path) -> str:
    """Return a path as it is typed to run it."""
    text = str(path)
    return text if "/" in text else f"./{text}"
