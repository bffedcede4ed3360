"""`effe-tool deploy systemd`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console import Console
from ..options import command
from .options import Paths, Port, Variables, show, without_value, write


@command
def systemd(
    console: Console,
    paths: Paths = None,
    env: Variables = None,
    port: Port = 8101,
    host: Annotated[
        str, typer.Option("--host", help="The address the sockets listen at; empty: every one.")
    ] = "127.0.0.1",
    prefix: Annotated[str, typer.Option("--prefix", help="The directory with the built files.")] = "/opt/effe",
    etc: Annotated[
        str, typer.Option("--etc", help="The directory with NAME.env, and secrets as NAME/SECRET.")
    ] = "/etc/effe",
    idle: Annotated[
        str,
        typer.Option("--idle-exit", help="End after so long without a request; 0: never."),
    ] = "5m",
    dirout: Annotated[
        Path | None, typer.Option("--dirout", help="Write the units to this directory.", show_default=False)
    ] = None,
) -> None:
    """Print systemd units. A hardened service, started by its socket, and a timer for a schedule."""
    from ...deploy import find_effes
    from ...deploy.inputs import pairs
    from ...deploy.systemd import Options, units

    effes = find_effes(paths or [])
    variables = pairs("--env", env or [])
    files = units(effes, Options(variables, port, host, prefix, etc, idle))
    warned = without_value(effes, variables)
    if dirout is None:
        show("\n".join(f"# /etc/systemd/system/{name}\n{text}" for name, text in files.items()), console, warned)
    else:
        write(dirout, files, console, warned)
