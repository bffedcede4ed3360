"""What the loop has to say, and how an error goes to a child and comes back from one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import EffeToolError, Place, ServeError

__all__ = ["Event", "error_of", "fault_from"]


@dataclass(frozen=True)
class Event:
    """What the loop has to say: `kind` is ready, reloaded, broken, fault, warning, note or held."""

    kind: str
    text: str = ""
    seconds: float = 0.0
    error: EffeToolError | None = None
    files: tuple[str, ...] = field(default=())


def error_of(fault: dict[str, Any]) -> ServeError:
    """Make of a child's fault what a command draws."""
    place = None
    if fault.get("file"):
        file = os.path.relpath(fault["file"])
        shown = fault["file"] if file.startswith("..") else file
        place = Place(Path(shown), fault["line"], fault["column"], fault["text"])
    return ServeError(fault["message"], code=fault["code"], fix=fault["fix"], place=place)


def fault_from(error: EffeToolError) -> dict[str, Any]:
    """Make of an error the fault that a child is to serve."""
    fault = error.as_dict()
    fault["text"] = error.place.text if error.place else None
    fault["fix"] = (error.fix or "").replace("run the command again", "save") or None
    if fault["file"]:
        fault["file"] = os.path.abspath(str(fault["file"]))  # noqa: PTH100 - a str
    return fault
