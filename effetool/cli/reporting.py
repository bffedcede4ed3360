"""The one place where a command's error becomes lines and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import EffeToolError
from .console import Console

__all__ = ["refused", "reporting"]


@contextmanager
def reporting(
    quiet: bool = False, verbose: bool = False, json: bool = False, traceback: bool = False
) -> Iterator[Console]:
    """Give a command its console; an EffeToolError is drawn and becomes the exit code."""
    console = Console(quiet=quiet, verbose=verbose, json=json, tracebacks=traceback)
    try:
        yield console
    except EffeToolError as error:
        console.error(error)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        raise
    except OSError as error:  # a disk that is full, a directory that went away: the system's word, and no traceback
        console.error(refused(error))
        raise SystemExit(1) from None


def refused(error: OSError) -> EffeToolError:
    """Return the system's refusal as an error of the tool."""
    what = f"{error.filename}: " if error.filename else ""
    return EffeToolError(f"{what}{error.strerror or error}", code="E002", fix="set that right, then run it again")
