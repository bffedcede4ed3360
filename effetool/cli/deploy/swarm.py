"""`effe-tool deploy swarm`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console import Console
from ..options import command
from .options import Images, Paths, Port, Registry, Variables, show


@command
def swarm(
    console: Console,
    paths: Paths = None,
    image: Images = None,
    registry: Registry = "",
    env: Variables = None,
    port: Port = 8101,
    replicas: Annotated[int, typer.Option("--replicas", min=1, help="How many of each effe.")] = 2,
) -> None:
    """Print a stack for a Docker swarm. docker stack deploy takes it."""
    from ...deploy import find_effes
    from ...deploy.compose import Options
    from ...deploy.compose import swarm as render
    from ...deploy.inputs import pairs

    effes = find_effes(paths or [])
    images, variables = pairs("--image", image or []), pairs("--env", env or [])
    show(render(effes, Options(images, registry, variables, port, replicas=replicas)), console)
