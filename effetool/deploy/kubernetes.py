"""INFO of many effes → Kubernetes manifests, as one stream of documents or as a Kustomize base with an overlay."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DeployError
from ..templating.render import render_template, templates_root
from .cluster import Options, check, object_name, values
from .effes import Effe
from .inputs import image_of
from .routing import routing_table

__all__ = ["OVERLAYS", "kustomization", "manifests"]

CRONJOB = 52  # characters: a job's name is longer by 11 than its CronJob's
OVERLAYS = "overlays/"  # what of a kustomization is its owner's, once it is there


def manifests(effes: Sequence[Effe], options: Options) -> str:
    """Return the manifests of all effes as YAML documents.

    Raises:
        InfoError: E117–E119.
        DeployError: E411 two effes at one place, E420 a name, image or number that Kubernetes does not take,
            E421 an Ingress that cannot strip, E422 a variable.
    """
    return "".join(_documents(effes, options).values())


def kustomization(effes: Sequence[Effe], options: Options) -> dict[str, str]:
    """Return a Kustomize base and an overlay on it: text by path.

    Raises: as `manifests`.
    """
    documents = _documents(effes, options)
    frame = render_template(
        templates_root() / "deploy" / "kustomize",
        {
            "files": [f"{name}.yaml" for name in documents],
            "images": [_image_parts(image_of(effe, options.images, options.registry)) for effe in effes],
            "namespace": options.namespace,
            "deployments": list(documents),
            "minimum": options.minimum,
            "maximum": options.maximum,
        },
    )
    return dict(sorted({**frame, **{f"base/{name}.yaml": text for name, text in documents.items()}}.items()))


def _documents(effes: Sequence[Effe], options: Options) -> dict[str, str]:
    check(effes, options)
    routing_table(effes)  # two effes at one place: E411
    if options.minimum < 1:
        raise DeployError(
            "--min 0: a HorizontalPodAutoscaler keeps one pod",
            code="E420",
            fix="--min 1, or effe-tool deploy knative, which scales to none",
        )
    template = templates_root() / "deploy" / "kubernetes"
    return {
        object_name(effe): render_template(template, {**values(effe, options), **_own_values(effe, options)})[
            "effe.yaml"
        ]
        for effe in effes
    }


def _own_values(effe: Effe, options: Options) -> dict[str, object]:
    said = effe.conventions
    name = object_name(effe)
    if said.schedule and len(name) > CRONJOB:
        raise DeployError(
            f"{name} is {len(name)} characters long, a CronJob's name takes {CRONJOB}",
            code="E420",
            place=effe.info.place_of("name"),
            fix="give it a shorter name in INFO",
        )
    stripped = [route for route in said.routes if route != "/"] if said.strip else []
    if options.ingress and stripped:
        raise DeployError(
            f"{effe.name}: an Ingress cannot take {stripped[0]} off the path",
            code="E421",
            place=effe.info.place_of("route" if "route" in effe.info.data else "name"),
            fix='give it a host of its own in INFO, or "strip": False, or use HTTPRoutes: leave out --ingress',
        )
    gateway_namespace, _, gateway = options.gateway.rpartition("/")
    return {
        "selector": {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "server"},
        "routes": list(said.routes),
        "strip": said.strip,
        "gateway": {"name": gateway, **({"namespace": gateway_namespace} if gateway_namespace else {})},
        "ingress": options.ingress,
        "custom_metrics": options.custom_metrics,
        "monitoring": options.monitoring,
    }


def _image_parts(image: str) -> dict[str, str]:
    """Return a reference as Kustomize's `images` has it."""
    name, _, digest = image.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # the colon of a port
        head, tag = name, "latest"
    return {"name": head, **({"digest": digest} if digest else {"newTag": tag})}
