"""What can go wrong, as values a command can draw: message, place, fix.

    EffeToolError            exit 1: E002, a defect of the tool
    ├── UsageError           exit 2, the command line itself: E001 E115 E143 E144 E147 E151 E153 E202 E304
    ├── SourceError          the author's file does not parse, or there is no effe: E101 E150 E152
    ├── InfoError            INFO: E110–E119
    ├── ContractError        `run` and its neighbours: E120–E122
    ├── DependencyError      what the effe needs and cannot have: E140–E146 E148 E163
    ├── BuildError           a build that fails: E130–E139 E147 E160–E162
    ├── ScaffoldError        `new`: E201 E203–E206
    ├── ServeError           a server or its port: E301 E308–E310
    ├── EngineError          a container engine: E401
    ├── ImageError           an image, its base, its reference, a registry: E130 E402–E409
    └── DeployError          effes that do not fit together, or a proxy that refuses: E410–E416 E420–E422

Operations raise these and never print; `effetool.cli` catches them in one place and `effetool.cli.console` draws
them. `effetool.error_codes` holds a paragraph for each code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "BuildError",
    "ContractError",
    "DependencyError",
    "DeployError",
    "EffeToolError",
    "EngineError",
    "ImageError",
    "InfoError",
    "Place",
    "ScaffoldError",
    "ServeError",
    "SourceError",
    "UsageError",
]


@dataclass(frozen=True)
class Place:
    """Where in a file an error is: lines and columns count from 1, as editors do.

    `text` is the source line, for the caret; it is left out where there is no line to show.
    """

    file: Path
    line: int | None = None
    column: int | None = None
    text: str | None = None

    def __str__(self) -> str:
        parts = [str(self.file)]
        if self.line is not None:
            parts.append(str(self.line))
            if self.column is not None:
                parts.append(str(self.column))
        return ":".join(parts)


class EffeToolError(Exception):
    """Base of all that a user can set right.

    Args:
        message: what is wrong, one sentence without a full stop.
        code: such as `"E120"`; `effe-tool explain E120` tells more.
        fix: what to type or to change, in words that can be typed.
        place: where it is.
        notes: further lines, such as the last lines of another program's output.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        code: str,
        fix: str | None = None,
        place: Place | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fix = fix
        self.place = place
        self.notes = notes

    def as_dict(self) -> dict[str, object]:
        """Return the error as the `--json` document holds it."""
        place = self.place
        return {
            "code": self.code,
            "message": self.message,
            "file": str(place.file) if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
            "fix": self.fix,
        }


class UsageError(EffeToolError):
    """The command line is wrong: exit 2."""

    exit_code = 2


class SourceError(EffeToolError):
    """The author's file cannot be read as Python, or there is no effe at the path."""


class InfoError(EffeToolError):
    """INFO is missing, malformed or unfit."""


class ContractError(EffeToolError):
    """The module does not have the functions an effe has."""


class DependencyError(EffeToolError):
    """A dependency is not declared, not to be found or not to be had for the platform."""


class BuildError(EffeToolError):
    """The artefact cannot be made."""


class ScaffoldError(EffeToolError):
    """`new` cannot write what was asked."""


class ServeError(EffeToolError):
    """A server cannot listen or start."""


class EngineError(EffeToolError):
    """No container engine, or one that refuses."""


class ImageError(EffeToolError):
    """An image cannot be made of this, or a registry refuses it."""


class DeployError(EffeToolError):
    """Effes that do not fit together, or a proxy that is not there or refuses."""
