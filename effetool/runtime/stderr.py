"""Write the one line that says why an effe cannot start, whatever state stderr is in."""

from __future__ import annotations

import os
import sys


def program() -> str:
    """Return the name of this program as its user typed it, without its folder."""
    name = os.path.basename(sys.argv[0])
    return "effe" if name == "__main__.py" else name


def fail(message: str, code: int) -> int:
    """Write `message` on stderr in the name of the program and return the exit code."""
    try:
        print(f"{program()}: {message}", file=sys.stderr, flush=True)
    except OSError:  # full: only the exit code is left to tell
        discard(2)
    return code


def discard(descriptor: int) -> None:
    """Send what is left in a stream's buffer to /dev/null: else Python fails again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
