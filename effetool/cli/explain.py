"""`effe-tool explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Json, Quiet, Traceback, Verbose, reporting


def explain(
    code: Annotated[str | None, typer.Argument(help="Such as E112.", show_default=False)] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Tell more about an error code; without one, list them."""
    with reporting(quiet, verbose, json, traceback) as console:
        from ..error_codes import CODES, explain

        if code is None:
            console.document({"codes": [{"code": key, "title": entry.title} for key, entry in CODES.items()]})
            for key, entry in CODES.items():
                console.result(f"{key}  {entry.title}")
            return
        entry = explain(code)
        console.document({"code": code.upper(), "title": entry.title, "text": entry.text})
        console.result(f"{code.upper()}: {entry.title}\n\n{entry.text}")
