"""What the deploy targets share: their arguments, and how they print or write what they made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import Console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...deploy import Effe
    from ...errors import EffeToolError

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Effes, .pex files, or directories of either; none: those here.", show_default=False),
]
Images = Annotated[
    list[str] | None,
    typer.Option("--image", help="An effe's image, NAME=REFERENCE, best with its digest.", show_default=False),
]
Registry = Annotated[
    str, typer.Option("--registry", help="What stands before name:version of the images.", show_default=False)
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace; none: kubectl's own.", show_default=False)
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", help="A value for a variable that INFO declares, NAME=VALUE.", show_default=False),
]
Port = Annotated[int, typer.Option("--port", "-p", help="The first effe's port; each next one has one more.")]


def show(text: str, console: Console, warned: Sequence[EffeToolError] = ()) -> None:
    """Print what a command made: on stdout, or in the document."""
    console.document({"configuration": text, "warnings": [warning.as_dict() for warning in warned]})
    console.result(text.rstrip("\n"))
    for warning in warned:
        console.warning(warning)


def write(dirout: Path, files: Mapping[str, str], console: Console, warned: Sequence[EffeToolError] = ()) -> None:
    """Write what a command made, all of it or nothing."""
    from ...templating.writing import write_all

    paths = write_all(dirout, files)
    console.document({"files": [str(path) for path in paths], "warnings": [warning.as_dict() for warning in warned]})
    for path in paths:
        console.result(str(path))
    for warning in warned:
        console.warning(warning)


def without_value(effes: Sequence[Effe], env: Mapping[str, str]) -> list[EffeToolError]:
    """Return the warning of variables without a value: the effe will not start without them."""
    from ...deploy.inputs import missing_variables
    from ...errors import DeployError

    missing = missing_variables(effes, env)
    if not missing:
        return []
    name = missing[0].partition(": ")[2]
    return [DeployError(f"without a value: {', '.join(missing)}", code="E422", fix=f"--env {name}=VALUE")]
