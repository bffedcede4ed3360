"""What Kubernetes and Knative have in common: what is not in INFO, and what a manifest's template is given."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..effe.info import shown
from ..errors import DeployError
from .effes import Effe
from .inputs import check_images, check_variables, image_of, variables_of
from .schedule import cron
from .sizing import ADMIN, PORT, USER, numbers

__all__ = ["Options", "check", "object_name", "values"]

# RFC 1123 section 2.1, as Kubernetes has it for names and namespaces.
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
# Kubernetes' label values.
VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
UNITS = {1 << 30: "Gi", 1 << 20: "Mi"}


@dataclass(frozen=True)
class Options:
    """What is not in INFO.

    Attributes:
        images: the image of an effe, by its name; `name:version` for others.
        registry: what stands before `name:version`, such as `registry.example.org/team`.
        namespace: where the objects belong, None for the one kubectl is set to.
        gateway: the Gateway that the routes attach to, `name` or `namespace/name`.
        ingress: the class of Ingresses to write instead of HTTPRoutes.
        minimum, maximum: how many pods.
        custom_metrics: scale by the runtime's own metrics besides.
        monitoring: the namespace that may read metrics.
        env: values of variables that INFO declares.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    registry: str = ""
    namespace: str | None = None
    gateway: str = "gateway"
    ingress: str | None = None
    minimum: int = 2
    maximum: int = 10
    custom_metrics: bool = False
    monitoring: str = "monitoring"
    env: Mapping[str, str] = field(default_factory=dict)


def object_name(effe: Effe) -> str:
    """Return the effe's name as Kubernetes takes it: `_` becomes `-`."""
    return effe.name.replace("_", "-")


def check(effes: Sequence[Effe], options: Options) -> None:
    """Check names and numbers: a schema of Kubernetes would pass `Hello_World` and 99999.

    Raises:
        InfoError: E117–E119.
        DeployError: E420 what Kubernetes does not take, E422 a variable.
    """
    gateway = options.gateway.split("/")
    for flag, words in (
        ("--namespace", [options.namespace] if options.namespace is not None else []),
        ("--gateway", gateway if len(gateway) < 3 else [options.gateway]),
        ("--ingress", [options.ingress] if options.ingress is not None else []),
        ("--monitoring", [options.monitoring]),
    ):
        for word in words:
            if not LABEL.match(word):
                near = re.sub(r"[^a-z0-9-]+", "-", word.lower()).strip("-")[:63].strip("-")
                raise DeployError(
                    f"{flag}: {shown(word)} is not a name in Kubernetes: at most 63 of a-z, 0-9 and `-`",
                    code="E420",
                    fix=f"{flag} {near or 'name'}",
                )
    low, high = options.minimum, options.maximum
    if not 0 <= low <= high or high < 1:
        raise DeployError(
            f"--min {low} --max {high}: there is no number between them",
            code="E420",
            fix=f"--min {max(0, min(low, high))} --max {max(low, high, 1)}",
        )
    check_images(effes, options.images)
    check_variables(effes, options.env)
    names: dict[str, Effe] = {}
    for effe in effes:
        if names.setdefault(object_name(effe), effe) is not effe:
            raise DeployError(
                f"two effes are called {object_name(effe)} in Kubernetes, which takes no `_`",
                code="E420",
                place=effe.place,
                fix="give one of them another name in INFO",
            )


def values(effe: Effe, options: Options) -> dict[str, object]:
    """Return what the templates of both platforms are given."""
    said = effe.conventions
    name = object_name(effe)
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "effe-tool"}
    version = version_label(effe.version)
    if version:
        labels["app.kubernetes.io/version"] = version
    env = variables_of(effe, options.env)
    given = {key: value for key, value in env.items() if value is not None}
    return {
        "name": name,
        "namespace": options.namespace,
        "labels": labels,
        "image": image_of(effe, options.images, options.registry),
        "numbers": numbers(said),
        "memory": memory_text(said.memory),
        "user": USER,
        "port": PORT,
        "admin": ADMIN,
        "env": list(env),
        "given": given,
        "config_digest": hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16],
        "secrets": list(said.secrets),
        "secret_items": [{"key": secret, "path": secret} for secret in said.secrets],
        "hosts": list(said.hosts),
        "minimum": options.minimum,
        "maximum": options.maximum,
        "schedule": cron(said.schedule) if said.schedule else None,
    }


def version_label(version: str) -> str | None:
    """Return the version as a label's value, None when nothing of it fits."""
    near = version[:63].strip("._-")
    return near if VALUE.match(near) else None


def memory_text(memory: int | None) -> str | None:
    """Return bytes as a Kubernetes quantity."""
    if memory is None:
        return None
    unit = next(unit for unit in UNITS if memory % unit == 0)
    return f"{memory // unit}{UNITS[unit]}"
