"""The build that is typed a hundred times a day, without typer: importing that takes longer than all the rest.

`build`, paths and the flags below, nothing else; any other command line is left to typer, and help and errors with it.
"""

from __future__ import annotations

import os
from pathlib import Path

from .commands import COMMANDS, COMPLETING
from .reporting import reporting

__all__ = ["build"]

FLAGS = {"-q": "quiet", "--quiet": "quiet", "-v": "verbose", "--verbose": "verbose", "--json": "json"}


def build(arguments: list[str]) -> bool:
    """Build when `arguments` are a plain build, and tell whether they were. Raises SystemExit when it fails."""
    if not arguments or arguments[0] not in ("build", *COMMANDS["build"]) or COMPLETING in os.environ:
        return False
    paths, flags = [], {}
    for word in arguments[1:]:
        if word in FLAGS:
            flags[FLAGS[word]] = True
        elif word.startswith("-"):
            return False
        else:
            paths.append(Path(word))
    with reporting(**flags) as console:
        from ..builder import Options
        from .builds import build_paths

        build_paths(paths, Options(), console)
    return True
