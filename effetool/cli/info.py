"""`effe-tool info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Console, plain
from .options import command


@command
def info(
    console: Console,
    path: Annotated[Path | None, typer.Argument(help="A .py file, a directory or a .pex.", show_default=False)] = None,
) -> None:
    """Print INFO as JSON; runs none of the effe's code."""
    import sys

    from ..effe.conventions import conventions
    from ..effe.project import find_one

    if path is not None and path.is_file() and path.suffix == ".pex":
        from ..effe.artifact import read_artifact

        artifact = read_artifact(path)
        found = artifact.info
        if console.verbose:
            for key, value in artifact.facts.items():
                if isinstance(value, (str, int)) and key not in ("info", "inputs"):
                    console.detail(f"{key}: {value}")
    else:
        found = find_one(path).info
    conventions(found)  # what is wrong in it is better known here than at the build
    if found.problem is not None:
        if console.json:  # stdout is INFO as it is
            print(f"{found.problem.code}: {plain(found.problem.message)}", file=sys.stderr)
        console.warning(found.problem)
    sys.stdout.buffer.write(found.text.encode() + b"\n")  # JSON is UTF-8 (RFC 8259, 8.1), whatever the locale
    sys.stdout.buffer.flush()
