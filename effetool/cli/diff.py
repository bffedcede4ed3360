"""`effe-tool diff`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Console, plain
from .options import command

if TYPE_CHECKING:
    from ..builder.audit.compare import Difference


@command
def diff(
    console: Console,
    first: Annotated[Path, typer.Argument(help="A .pex built by effe-tool.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Another.", show_default=False)],
) -> None:
    """Show in what two built files differ. INFO, files, dependencies, what made them; exit 1 when they differ."""
    import dataclasses

    from ..builder.audit.compare import compare

    found = compare(first, second)
    console.document(
        {
            "identical": found.identical,
            "differences": [dataclasses.asdict(difference) for difference in found.differences],
        }
    )
    for difference in found.differences:
        console.result(line(difference, console.verbose))
    if found.identical:
        console.write(f"identical: sha256 {found.first.artifact.digest}")
    elif not found.differences:
        console.write("the same inputs, and other bytes: effe-tool build --check tells which")
    if not found.identical:
        raise typer.Exit(1)


def line(difference: Difference, verbose: bool) -> str:
    before, after = (_shown(value, verbose) for value in (difference.before, difference.after))
    sign = "+" if difference.before is None else "-" if difference.after is None else "~"
    change = after if difference.before is None else before if difference.after is None else f"{before} → {after}"
    return f"{sign} {difference.kind} {plain(difference.name)}  {change}"


def _shown(value: str | None, verbose: bool) -> str:
    text = plain(value or "")
    return text if verbose else re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", text)
