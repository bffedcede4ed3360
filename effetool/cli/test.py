"""`effe-tool test`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .console import Console
from .options import Source, command


@command
def test(
    console: Console,
    path: Source = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="After `--`: arguments of pytest, such as -k name.", show_default=False)
    ] = None,
    pex: Annotated[
        Path | None, typer.Option("--pex", help="Run the same tests against this built file.", show_default=False)
    ] = None,
) -> None:
    """Run an effe's tests, with what it declares installed.

    The tests run by pytest from the effe's directory, and use effetool.testing.
    """
    from ..builder.environment import environment_of
    from ..effe.project import find_all
    from ..errors import EffeToolError, UsageError
    from ..testing.session import run_tests

    words = list(arguments or [])
    if path is not None and (str(path).startswith("-") or "::" in str(path)):
        words.insert(0, str(path))  # `effe-tool test -- -k name`
        path = None
    projects = find_all(path)
    if pex is not None and len(projects) > 1:
        raise UsageError("--pex takes one effe", code="E151", fix=f"name one: {projects[0].path}")
    if pex is not None and not pex.is_file():
        raise UsageError(f"no such file: {pex}", code="E001", fix="effe-tool build")
    if pex is not None and not os.access(pex, os.X_OK):
        raise UsageError(f"{pex} is not executable", code="E001", fix=f"is it a built effe? chmod +x {pex}")
    several = len(projects) > 1
    extra = ["-v"] if console.verbose else ["-q"] if console.quiet else []
    documents: list[dict[str, object]] = []
    failed: list[str] = []
    for project in projects:
        if several:
            console.write(str(project.path))
        try:
            where = environment_of(project, console.write, ["pytest>=7"])
            tested = run_tests(
                project, where.python, own=where.own, pex=pex, arguments=[*extra, *words], aside=console.json
            )
        except EffeToolError as error:
            if not several:
                raise
            if not console.json:
                console.error(error, about=str(project.path))
            documents.append({"path": str(project.path), "passed": False, "error": error.as_dict()})
        else:
            documents.append({"path": str(project.path), "passed": tested.code == 0, **tested.counts})
        if not documents[-1]["passed"]:
            failed.append(str(project.path))
    console.document({"effes": documents})
    if several:
        told = f"{len(failed)} failed: {', '.join(failed)}" if failed else "all passed"
        console.write(f"{len(projects)} effes, {told}")
    if failed:
        raise typer.Exit(1)
