"""`effe-tool test`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json, Quiet, Source, Traceback, Verbose, reporting


def test(
    path: Source = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="After `--`: arguments of pytest, such as -k name.", show_default=False)
    ] = None,
    pex: Annotated[
        Path | None, typer.Option("--pex", help="Run the same tests against this built file.", show_default=False)
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Run an effe's tests, with what it declares installed.

    The tests run by pytest from the effe's directory, and use effetool.testing.
    """
    with reporting(quiet, verbose, json, traceback) as console:
        from ..errors import UsageError
        from ..project import find_all
        from ..testing.session import run_tests
        from .environment import environment_of

        words = list(arguments or [])
        if path is not None and (str(path).startswith("-") or "::" in str(path)):
            words.insert(0, str(path))  # `effe-tool test -- -k name`
            path = None
        projects = find_all(path)
        if pex is not None and len(projects) > 1:
            raise UsageError("--pex takes one effe", code="E151", fix=f"name one: {projects[0].path}")
        if pex is not None and not pex.is_file():
            raise UsageError(f"no such file: {pex}", code="E001", fix="effe-tool build")
        failed = False
        for project in projects:
            if len(projects) > 1:
                console.write(str(project.path))
            where = environment_of(project, console, ["pytest>=7"])
            extra = ["-q"] if quiet else ["-v"] if verbose else []
            failed |= bool(run_tests(project, where.python, own=where.own, pex=pex, arguments=[*extra, *words]))
        if failed:
            raise typer.Exit(1)
