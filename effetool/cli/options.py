"""The flags that every command has, and those that the commands of the author's loop share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .reporting import reporting

__all__ = ["EnvFile", "Json", "Quiet", "Source", "Traceback", "Verbose", "reporting"]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, errors too.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show the traceback of an error.")]

Source = Annotated[Path | None, typer.Argument(help="A .py file or a directory.", show_default=False)]
EnvFile = Annotated[
    Path | None, typer.Option("--env-file", help="Its variables and secrets, NAME=value.", show_default=False)
]
