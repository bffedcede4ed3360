"""`effe-tool deploy compose`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import Json, Quiet, Traceback, Verbose, reporting
from .options import Images, Paths, Port, Registry, Variables, show


def compose(
    paths: Paths = None,
    image: Images = None,
    registry: Registry = "",
    env: Variables = None,
    port: Port = 8101,
    host: Annotated[
        str, typer.Option("--host", help="The address the ports are open at; empty: every one.")
    ] = "127.0.0.1",
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Print a Compose file. docker compose and podman-compose take it."""
    with reporting(quiet, verbose, json, traceback) as console:
        from ...deploy import find_effes
        from ...deploy.compose import Options
        from ...deploy.compose import compose as render
        from ...deploy.inputs import pairs

        effes = find_effes(paths or [])
        options = Options(pairs("--image", image or []), registry, pairs("--env", env or []), port, host)
        show(render(effes, options), console)
