"""`effe-tool build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import Console, size_text, time_text
from .options import Json, Quiet, Traceback, Verbose, reporting

if TYPE_CHECKING:
    from ..artifact import Artifact
    from ..builder import Options, Result, Step
    from ..project import Project


def build(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Effes, or directories of them; none: this one, or those just below.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write, for one effe.", show_default=False)
    ] = None,
    dirout: Annotated[
        Path | None,
        typer.Option("--dirout", help="The directory to write to. [default: . for one effe, out/ for a directory]"),
    ] = None,
    python: Annotated[
        str | None, typer.Option("--python", help='The Pythons it shall run on, such as ">=3.9".', show_default=False)
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option("--platform", help="A target such as linux-aarch64; may be repeated.", show_default=False),
    ] = None,
    lock: Annotated[bool, typer.Option("--lock", help="Write what was resolved to pylock.toml.")] = False,
    locked: Annotated[bool, typer.Option("--locked", help="Refuse what differs from the lock.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse an effe without name or version.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Build twice, differently, and compare the bytes.")] = False,
    import_info: Annotated[bool, typer.Option("--import-info", help="Run the module to read a computed INFO.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build although nothing changed.")] = False,
    max_start: Annotated[
        float | None, typer.Option("--max-start", help="Fail when it takes more ms to start.", show_default=False)
    ] = None,
    max_size: Annotated[
        float | None, typer.Option("--max-size", help="Fail when it is larger, in MB.", show_default=False)
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="How many at once.", show_default="the cores")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Build an effe to one executable file, or every effe of a directory."""
    with reporting(quiet, verbose, json, traceback) as console:
        from ..builder import Options

        options = Options(
            out=out,
            dirout=dirout,
            python=python,
            platforms=tuple(platform or ()),
            lock=lock,
            locked=locked,
            offline=offline,
            strict=strict,
            check=check,
            import_info=import_info,
            fresh=not rebuild,
            max_start=max_start,
            max_size=None if max_size is None else int(max_size * 1_000_000),
            jobs=jobs,
        )
        projects, top = _find(paths or [], options)
        if len(projects) == 1 and top is None:
            _one(projects[0], options, console)
        else:
            _many(projects, top, options, console)


def _find(paths: list[Path], options: Options) -> tuple[list[Project], Path | None]:
    """Return the effes at `paths` and, when they are all of one directory that was named, that directory."""
    from ..errors import UsageError
    from ..project import find_all, open_project

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

    artifact = build_effe(project, options, lambda step: _step(step, console))
    _unnamed(artifact, console)
    console.document(_described(artifact))
    console.result(_typed(artifact.path))


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
    console.table([_row(result) for result in results], ("effe", "version", "file", "size", "time"))
    for result in results:
        if result.artifact is not None:
            _unnamed(result.artifact, console)
            console.result(_typed(result.artifact.path))
    if not failed:
        return
    if not console.json:
        for result, error in failed:
            console.error(error, about=str(result.project.path))
    console.write(f"{len(failed)} of {len(results)} failed")
    raise typer.Exit(1)


def _step(step: Step, console: Console) -> None:
    console.stage(step.stage, "  ".join(part for part in (step.subject, step.detail) if part), step.seconds)


def _row(result: Result) -> tuple[str, str, str, str, str]:
    taken = time_text(result.seconds)
    artifact = result.artifact
    if artifact is None:
        return result.project.path.name, "-", "failed", "", taken
    return (
        artifact.name,
        artifact.version or "-",
        str(artifact.path),
        size_text(artifact.size),
        "fresh" if artifact.fresh else taken,
    )


def _unnamed(artifact: Artifact, console: Console) -> None:
    if artifact.info.problem is not None:
        console.warning(artifact.info.problem)


def _described(artifact: Artifact) -> dict[str, object]:
    return {
        "path": str(artifact.path),
        "name": artifact.info.name,
        "version": artifact.version,
        "size": artifact.size,
        "sha256": artifact.digest,
        "fresh": artifact.fresh,
    }


def _typed(path: Path) -> str:
    """Return a path as it is typed to run it."""
    text = str(path)
    return text if "/" in text else f"./{text}"
