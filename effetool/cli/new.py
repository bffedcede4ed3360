"""`effe-tool new`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from ..console import Console, time_text
from .options import Json, Quiet, Traceback, Verbose, reporting


def complete_template(incomplete: str) -> list[tuple[str, str]]:
    """Return the template names that begin so, for the shell."""
    from ..render import list_templates

    return [(t.name, t.description) for t in list_templates() if t.name.startswith(incomplete)]


def new(
    name: Annotated[
        str | None,
        typer.Argument(help="hello: a directory; hello.py: one file; `.`: this directory.", show_default=False),
    ] = None,
    template: Annotated[
        str, typer.Option("--template", "-t", help="What to start from.", autocompletion=complete_template)
    ] = "hello",
    version: Annotated[str, typer.Option("--version", help="The version in INFO.")] = "1.0",
    doc: Annotated[str | None, typer.Option("--doc", help="One line on what it does.", show_default=False)] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be written.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Start a new effe from a template."""
    began = time.perf_counter()
    with reporting(quiet, verbose, json, traceback) as console:
        from .. import scaffold
        from ..errors import UsageError

        if list_:
            _list(console)
            return
        if not name:
            raise UsageError("what is the new effe called?", code="E001", fix="effe-tool new hello")
        options = scaffold.NewOptions(Path(name), template=template, version=version, doc=doc, force=force)
        made = scaffold.plan(options) if dry_run else scaffold.new(options)
        path = made.path
        console.document({"path": str(path), "name": made.name, "files": list(made.files), "written": not dry_run})
        if made.single:
            console.result(str(path))
        else:
            console.files(f"{path}/", {file: made.purpose(file) for file in made.files})
        if dry_run:
            console.write("nothing written (--dry-run)")
            return
        console.write(f"created {path} in {time_text(time.perf_counter() - began)}")
        # From where the user stands: `build` finds one effe below by itself, a single file is named.
        where = f" {shlex.quote(str(path))}" if made.single or len(path.parts) > 1 else ""
        pex = f"./{made.name}-{version}.pex"
        console.next(
            [
                (f"effe-tool build{where} && {pex} -port 8080", ""),
                (f"effe-tool dev {shlex.quote(str(path))}", "reload on save"),
            ]
        )


def _list(console: Console) -> None:
    from ..render import list_templates

    found = list_templates()
    console.document({"templates": [{"name": t.name, "description": t.description} for t in found]})
    width = max(len(t.name) for t in found) + 2
    for template in found:
        console.result(f"{template.name:<{width}}{template.description}")
