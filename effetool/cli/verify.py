"""`effe-tool verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Console, plain
from .options import command

if TYPE_CHECKING:
    from ..builder import Step


@command
def verify(
    console: Console,
    path: Annotated[Path, typer.Argument(help="A .pex built by effe-tool.", show_default=False)],
    source: Annotated[
        Path | None,
        typer.Option("--source", "-s", help="The effe it was built from. [default: the files inside the .pex]"),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network.")] = False,
) -> None:
    """Build a file again from its own records and compare every byte. Exit 1 when one differs."""
    import dataclasses

    from ..builder.audit.rebuild import replay
    from .builds import show_step
    from .diff import line

    def progress(step: Step) -> None:
        if console.verbose:
            show_step(step, console)

    found = replay(path, source, offline=offline, progress=progress)
    console.document(
        {
            "identical": found.identical,
            "sha256": found.artifact.digest,
            "source": str(source) if source is not None else None,
            "commit": found.commit,
            "difference": found.difference,
            "differences": [dataclasses.asdict(one) for one in found.differences],
        }
    )
    of = str(source) if source is not None else "the files inside it"
    if found.identical:
        console.result(f"{path}: the same as built from {of}")
        return
    told = f"differs from what {of} give{'s' * (source is not None)}, first in {found.difference}"
    console.result(plain(f"{path}: {told}"))
    for one in found.differences:
        console.result(line(one, console.verbose))
    raise typer.Exit(1)
