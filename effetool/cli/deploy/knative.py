"""`effe-tool deploy knative`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console import Console
from ..options import command
from .options import Images, Namespace, Paths, Registry, Variables, show, without_value


@command
def knative(
    console: Console,
    paths: Paths = None,
    image: Images = None,
    registry: Registry = "",
    namespace: Namespace = None,
    env: Variables = None,
    minimum: Annotated[int, typer.Option("--min", help="The fewest instances of each effe; 0: none when idle.")] = 0,
    maximum: Annotated[int, typer.Option("--max", help="The most instances of each effe.")] = 10,
) -> None:
    """Print manifests for Knative: kubectl apply -f - takes them."""
    from ...deploy import find_effes
    from ...deploy.cluster import Options
    from ...deploy.inputs import pairs
    from ...deploy.knative import manifests

    effes = find_effes(paths or [])
    options = Options(
        images=pairs("--image", image or []),
        registry=registry,
        namespace=namespace,
        minimum=minimum,
        maximum=maximum,
        env=pairs("--env", env or []),
    )
    show(manifests(effes, options), console, without_value(effes, options.env))
