"""`effe-tool doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Console, plain
from .options import command

STYLE = {"ok": "green", "note": "yellow", "broken": "red"}


@command
def doctor(
    console: Console,
    path: Annotated[
        Path | None, typer.Argument(help="Whose effes to look at: a .py file or a directory.", show_default=False)
    ] = None,
) -> None:
    """Look for what is broken on this machine and in the effes here. Exit 1 if something is."""
    from ..doctor import examine

    found = []
    for finding in examine(path):
        found.append(finding)
        if console.quiet and finding.state == "ok":
            continue
        code = f" [{finding.code}]" if finding.code else ""
        state = console.styled(f"{finding.state:<6}", STYLE[finding.state])
        console.result(f"{state}  {finding.kind:<8}  {plain(finding.message)}{code}")
        if finding.place is not None and finding.place.line is not None:
            console.result(f"{'':<18}at {plain(str(finding.place))}")
        if finding.fix:
            console.result(f"{'':<18}fix: {plain(finding.fix)}")
    broken = sum(finding.state == "broken" for finding in found)
    console.document({"findings": [finding.as_dict() for finding in found], "broken": broken})
    if broken:
        console.write(f"{broken} broken")
        raise typer.Exit(1)
    console.write("nothing is broken")
