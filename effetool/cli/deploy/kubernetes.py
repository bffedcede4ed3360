"""`effe-tool deploy kubernetes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console import Console
from ..options import command
from .options import Images, Namespace, Paths, Registry, Variables, show, without_value, write


@command
def kubernetes(
    console: Console,
    paths: Paths = None,
    image: Images = None,
    registry: Registry = "",
    namespace: Namespace = None,
    env: Variables = None,
    gateway: Annotated[
        str, typer.Option("--gateway", help="The Gateway of the HTTPRoutes, NAME or NAMESPACE/NAME.")
    ] = "gateway",
    ingress: Annotated[
        str | None,
        typer.Option("--ingress", help="Ingresses of this class instead of HTTPRoutes.", show_default=False),
    ] = None,
    minimum: Annotated[int, typer.Option("--min", help="The fewest pods of each effe.")] = 2,
    maximum: Annotated[int, typer.Option("--max", help="The most pods of each effe.")] = 10,
    custom_metrics: Annotated[
        bool,
        typer.Option("--custom-metrics", help="Scale by effe_contexts_in_use too; needs a metrics adapter."),
    ] = False,
    monitoring: Annotated[
        str, typer.Option("--monitoring", help="The namespace that may read the metrics.")
    ] = "monitoring",
    dirout: Annotated[
        Path | None,
        typer.Option("--dirout", help="Write a Kustomize base and an overlay to this directory.", show_default=False),
    ] = None,
) -> None:
    """Print manifests for Kubernetes: kubectl apply -f - takes them."""
    from ...deploy import find_effes
    from ...deploy.cluster import Options
    from ...deploy.inputs import pairs
    from ...deploy.kubernetes import OVERLAYS, kustomization, manifests

    effes = find_effes(paths or [])
    options = Options(
        images=pairs("--image", image or []),
        registry=registry,
        namespace=namespace,
        gateway=gateway,
        ingress=ingress,
        minimum=minimum,
        maximum=maximum,
        custom_metrics=custom_metrics,
        monitoring=monitoring,
        env=pairs("--env", env or []),
    )
    warned = without_value(effes, options.env)
    if dirout is None:
        show(manifests(effes, options), console, warned)
    else:
        files = kustomization(effes, options)
        kept = {name for name in files if name.startswith(OVERLAYS) and (dirout / name).exists()}
        write(dirout, {name: text for name, text in files.items() if name not in kept}, console, warned)
        for name in sorted(kept):
            console.write(f"kept {dirout / name}")
        console.next([(f"kubectl apply -k {dirout}/overlays/production", "")])
