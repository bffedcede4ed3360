"""`effe-tool explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import Console
from .options import command


@command
def explain(
    console: Console,
    code: Annotated[str | None, typer.Argument(help="Such as E112.", show_default=False)] = None,
) -> None:
    """Tell more about an error code; without one, list them."""
    from ..error_codes import CODES, explain

    if code is None:
        console.document({"codes": [{"code": key, "title": entry.title} for key, entry in CODES.items()]})
        for key, entry in CODES.items():
            console.result(f"{key}  {entry.title}")
        return
    entry = explain(code)
    console.document({"code": code.upper(), "title": entry.title, "text": entry.text})
    console.result(f"{code.upper()}: {entry.title}\n\n{entry.text}")
