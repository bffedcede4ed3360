"""INFO of many effes → a Compose file for one machine, or a stack for a Docker swarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import DeployError
from ..templating.render import render_template, templates_root
from .effes import Effe
from .inputs import check_images, check_variables, image_of, variables_of
from .sizing import ADMIN, PORT, STOP, USER, numbers

__all__ = ["Options", "compose", "swarm"]

# Threads: one for each run, the server's few, and room for what the author starts.
THREADS = 64


@dataclass(frozen=True)
class Options:
    """What is not in INFO.

    Attributes:
        images: the image of an effe, by its name; `name:version` for others.
        registry: what stands before `name:version`.
        env: values of variables that INFO declares.
        port: the first effe's port on the machine; each next one has one more.
        host: the address the ports are open at.
        replicas: how many of each effe a swarm runs.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    registry: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = 8101
    host: str = "127.0.0.1"
    replicas: int = 2


def compose(effes: Sequence[Effe], options: Options) -> str:
    """Return a Compose file (compose-spec).

    Raises:
        InfoError: E117–E119.
        DeployError: E420 a name, image or number that does not fit, E422 a variable.
    """
    return _rendered("compose", "compose.yaml", effes, options)


def swarm(effes: Sequence[Effe], options: Options) -> str:
    """Return a stack (Compose file format 3.9, which `docker stack deploy` takes).

    Raises: as `compose`.
    """
    return _rendered("swarm", "stack.yaml", effes, options)


def _rendered(target: str, file: str, effes: Sequence[Effe], options: Options) -> str:
    check_images(effes, options.images)
    check_variables(effes, options.env)
    last = options.port + len(effes) - 1
    if not 1 <= options.port <= last <= 65535:
        raise DeployError(
            f"--port {options.port}: {len(effes)} effes take ports up to {last}", code="E420", fix="--port 8101"
        )
    secrets = sorted({secret for effe in effes for secret in effe.conventions.secrets})
    return render_template(
        templates_root() / "deploy" / target,
        {
            "effes": [_values(effe, options, options.port + number, target) for number, effe in enumerate(effes)],
            "secrets": secrets,
            "user": USER,
            "port": PORT,
            "admin": ADMIN,
            "stop": STOP,
            "replicas": options.replicas,
        },
    )[file]


def _values(effe: Effe, options: Options, port: int, target: str) -> dict[str, object]:
    said = effe.conventions
    counted = numbers(said)
    return {
        "name": effe.name,
        "image": image_of(effe, options.images, options.registry),
        "numbers": counted,
        "memory": said.memory,
        "pids": counted.concurrency + THREADS,
        "published": port,
        "address": f"{options.host}:{port}" if options.host else str(port),
        "variables": [
            (name, _value(effe, name, value, target)) for name, value in variables_of(effe, options.env).items()
        ],
        "secrets": list(said.secrets),
        "schedule": said.schedule,
    }


def _value(effe: Effe, name: str, value: str | None, target: str) -> str:
    """Return a value as it is read: `$` doubled, `{{` quoted for a swarm's templates; one to be given is asked for."""
    if value is None:
        return f"${{{name}:?{effe.name} needs {name}}}"
    return (value.replace("{{", '{{"{{"}}') if target == "swarm" else value).replace("$", "$$")
