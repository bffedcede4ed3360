"""`effe-tool run`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from .reporting import reporting

# The runtime parses its own flags, in Go's syntax: nothing of them is typer's.
command_settings = {
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": ["--help"]}
}


def run(
    path: Annotated[Path | None, typer.Argument(help="A .py file, a directory or a .pex.", show_default=False)] = None,
    flags: Annotated[
        list[str] | None, typer.Argument(help="Flags of the running effe, such as -port 8080.", show_default=False)
    ] = None,
) -> None:
    """Run an effe as it is in production, without a build."""
    words = list(flags or [])
    if path is not None and str(path).startswith("-"):  # effe-tool run -port 8080
        words.insert(0, str(path))
        path = None
    with reporting() as console:
        if path is None and words:
            _check(words)
        if path is not None and path.is_file() and path.suffix != ".py":
            os.execv(path.resolve(), [str(path), *words])
        from ..builder.environment import environment_of
        from ..effe.project import find_one

        project = find_one(path)
        _ = project.contract, project.conventions
        python = environment_of(project, console.write).python
        os.execv(python, [python, "-m", "effetool.runtime", str(project.logic), *words])


def _check(words: list[str]) -> None:
    """Refuse, before an effe is looked for, what stands where the path belongs and is none of its flags."""
    from ..errors import UsageError
    from ..runtime.flags import FlagError, parse

    try:
        behind = parse(words, {}).path
    except FlagError as error:
        raise UsageError(str(error), code="E001", fix="effe-tool run PATH -help") from None
    if behind is not None:
        words.remove(behind)
        fix = shlex.join(["effe-tool", "run", behind, *words])
        raise UsageError("the path stands before the flags of the effe", code="E001", fix=fix)


run.command_settings = command_settings  # type: ignore[attr-defined]
