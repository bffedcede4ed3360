"""`effe-tool deploy compose`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console import Console
from ..options import command
from .options import Images, Paths, Port, Registry, Variables, show


@command
def compose(
    console: Console,
    paths: Paths = None,
    image: Images = None,
    registry: Registry = "",
    env: Variables = None,
    port: Port = 8101,
    host: Annotated[
        str, typer.Option("--host", help="The address the ports are open at; empty: every one.")
    ] = "127.0.0.1",
) -> None:
    """Print a Compose file. docker compose and podman-compose take it."""
    from ...deploy import find_effes
    from ...deploy.compose import Options
    from ...deploy.compose import compose as render
    from ...deploy.inputs import pairs

    effes = find_effes(paths or [])
    options = Options(pairs("--image", image or []), registry, pairs("--env", env or []), port, host)
    show(render(effes, options), console)
