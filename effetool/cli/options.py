"""The flags that every command has, and those that the commands of the author's loop share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from .reporting import reporting

__all__ = ["EnvFile", "Source", "command"]

Source = Annotated[Path | None, typer.Argument(help="A .py file or a directory.", show_default=False)]
EnvFile = Annotated[
    Path | None, typer.Option("--env-file", help="Its variables and secrets, NAME=value.", show_default=False)
]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Add the flags that every command has. The function gets the console they ask for as its first argument."""

    @wraps(function)
    def run(quiet: bool, verbose: bool, json: bool, traceback: bool, **flags: Any) -> None:
        with reporting(quiet, verbose, json, traceback) as console:
            function(console, **flags)

    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    common = inspect.signature(_common, eval_str=True).parameters.values()
    run.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]
    return run


def _common(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result and errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, errors too.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show the traceback of an error.")] = False,
) -> None:
    """Declare the flags of every command."""
