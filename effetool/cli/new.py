"""`effe-tool new`."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ..errors import EffeToolError, UsageError
from .console import Console, time_text
from .options import command


def complete_template(incomplete: str) -> list[tuple[str, str]]:
    """Return the template names that begin so, for the shell."""
    from ..templating.catalog import list_templates

    return [(t.name, t.description.partition(":")[0]) for t in list_templates() if t.name.startswith(incomplete)]


@command
def new(
    console: Console,
    name: Annotated[
        str | None,
        typer.Argument(help="hello: a directory; hello.py: one file; `.`: this directory.", show_default=False),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            "-t",
            help="A name, ./DIR or git+https://…@TAG. [default: hello]",
            autocompletion=complete_template,
        ),
    ] = None,
    version: Annotated[str, typer.Option("--version", help="The version in INFO.")] = "1.0",
    doc: Annotated[str | None, typer.Option("--doc", help="One line on what it does.", show_default=False)] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be written.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    vscode: Annotated[bool, typer.Option("--vscode", help="Write .vscode/launch.json too.")] = False,
) -> None:
    """Start a new effe from a template."""
    began = time.perf_counter()
    from ..templating import scaffold

    if list_:
        _list(console)
        return
    if not name:
        if console.quiet or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("what is the new effe called?", code="E001", fix="effe-tool new hello")
        name, template = _ask(console, template)
        began = time.perf_counter()  # not what was spent thinking
        told = [("--version", version, "1.0"), ("-t", template, "hello"), ("--doc", doc, None)]
        words = [word for flag, value, default in told if value != default for word in (flag, str(value))]
        words += [flag for flag, on in (("--vscode", vscode), ("--force", force), ("-n", dry_run)) if on]
        console.write(f"same as:  {shlex.join(['effe-tool', 'new', name, *words])}")
    template = "hello" if template is None else template
    options = scaffold.NewOptions(Path(name), template, version, doc, force, vscode)
    made = scaffold.plan(options, console.write) if dry_run else scaffold.new(options, console.write)
    path = made.path
    console.document({"path": str(path), "name": made.name, "files": list(made.files), "written": not dry_run})
    shown = {file: made.purpose(file) for file in made.files if not (made.single and file == path.name)}
    console.files(str(path) if made.single else f"{path}/", shown)
    if dry_run:
        console.write("nothing written (--dry-run)")
        return
    console.write(f"created {path} in {time_text(time.perf_counter() - began)}")
    # From where the user stands: `build` finds one effe below by itself, a single file is named.
    where = f" {shlex.quote(str(path))}" if made.single or len(path.parts) > 1 else ""
    debugger = f" --debugpy {scaffold.DEBUG_PORT}" if vscode else ""
    pex = f"./{made.name}-{version}.pex"
    console.next(
        [
            (f"effe-tool build{where} && {pex} -port 8080", ""),
            (f"effe-tool dev {shlex.quote(str(path))}{debugger}", "reload on save"),
        ]
    )


def _ask(console: Console, template: str | None) -> tuple[str, str]:
    """Ask for what was not given, until it is fit."""
    from ..templating.catalog import find_template, list_templates
    from ..templating.scaffold import check_new_name

    name = _answer(console, "name", "hello", lambda text: check_new_name(Path(text).name.removesuffix(".py")))
    if template is None:
        for one in list_templates():
            console.write(f"  {one.name:<8}  {one.description}")
        template = _answer(console, "template", "hello", find_template)
    return name, template


def _answer(console: Console, question: str, default: str, check: Callable[[str], object]) -> str:
    while True:
        text: str = typer.prompt(question, default=default, err=True)
        try:
            check(text)
        except EffeToolError as error:
            console.error(error)
        else:
            return text


def _list(console: Console) -> None:
    from ..templating.catalog import list_templates

    found = list_templates()
    console.document({"templates": [{"name": t.name, "description": t.description} for t in found]})
    width = max(len(t.name) for t in found) + 2
    for template in found:
        console.result(f"{template.name:<{width}}{template.description}")
