"""`effe-tool deploy kubernetes`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import Console
from ..options import Json, Quiet, Traceback, Verbose, reporting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...deploy import Effe
    from ...errors import EffeToolError

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Effes, .pex files, or directories of either; none: those here.", show_default=False),
]
Images = Annotated[
    list[str] | None,
    typer.Option("--image", help="An effe's image, NAME=REFERENCE, best with its digest.", show_default=False),
]
Registry = Annotated[
    str, typer.Option("--registry", help="What stands before name:version of the images.", show_default=False)
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace; none: kubectl's own.", show_default=False)
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", help="A value for a variable that INFO declares, NAME=VALUE.", show_default=False),
]


def kubernetes(
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
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Print manifests for Kubernetes: kubectl apply -f - takes them."""
    with reporting(quiet, verbose, json, traceback) as console:
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


def show(text: str, console: Console, warned: Sequence[EffeToolError] = ()) -> None:
    """Print what a command made: on stdout, or in the document."""
    console.document({"configuration": text, "warnings": [warning.as_dict() for warning in warned]})
    console.result(text.rstrip("\n"))
    for warning in warned:
        console.warning(warning)


def write(dirout: Path, files: Mapping[str, str], console: Console, warned: Sequence[EffeToolError] = ()) -> None:
    """Write what a command made, all of it or nothing."""
    from ...templating.writing import write_all

    paths = write_all(dirout, files)
    console.document({"files": [str(path) for path in paths], "warnings": [warning.as_dict() for warning in warned]})
    for path in paths:
        console.result(str(path))
    for warning in warned:
        console.warning(warning)


def without_value(effes: Sequence[Effe], env: Mapping[str, str]) -> list[EffeToolError]:
    """Return the warning of variables without a value: the effe will not start without them."""
    from ...deploy.inputs import missing_variables
    from ...errors import DeployError

    lacking = missing_variables(effes, env)
    if not lacking:
        return []
    name = lacking[0].partition(": ")[2]
    return [DeployError(f"without a value: {', '.join(lacking)}", code="E422", fix=f"--env {name}=VALUE")]
