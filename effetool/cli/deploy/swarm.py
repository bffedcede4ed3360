"""`effe-tool deploy swarm`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import Json, Quiet, Traceback, Verbose, reporting
from .options import Images, Paths, Port, Registry, Variables, show


def swarm(
    paths: Paths = None,
    image: Images = None,
    registry: Registry = "",
    env: Variables = None,
    port: Port = 8101,
    replicas: Annotated[int, typer.Option("--replicas", min=1, help="How many of each effe.")] = 2,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Print a stack for a Docker swarm. docker stack deploy takes it."""
    with reporting(quiet, verbose, json, traceback) as console:
        from ...deploy import find_effes
        from ...deploy.compose import Options
        from ...deploy.compose import swarm as render
        from ...deploy.inputs import pairs

        effes = find_effes(paths or [])
        images, variables = pairs("--image", image or []), pairs("--env", env or [])
        show(render(effes, Options(images, registry, variables, port, replicas=replicas)), console)
