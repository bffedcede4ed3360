"""The flags that every command has."""

from __future__ import annotations

from typing import Annotated

import typer

from .reporting import reporting

__all__ = ["Json", "Quiet", "Traceback", "Verbose", "reporting"]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, errors too.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show the traceback of an error.")]
