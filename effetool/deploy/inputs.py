"""What every target reads from INFO and the command line: the image of an effe, and its variables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..effe.info import shown
from ..errors import DeployError
from .effes import Effe

__all__ = ["check_images", "check_variables", "image_of", "missing_variables", "pairs", "variables_of"]

# What the distribution specification's grammar of a reference is made of; the registry has the last word.
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}(?:@sha256:[0-9a-f]{64})?\Z")


def pairs(flag: str, words: Sequence[str]) -> dict[str, str]:
    """Return the `NAME=VALUE` words of a flag.

    Raises:
        DeployError: E422 when one has no `=`.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise DeployError(f"{flag} {word}: it takes NAME=VALUE", code="E422", fix=f"{flag} {name or 'NAME'}=VALUE")
        found[name] = value
    return found


def image_of(effe: Effe, images: Mapping[str, str], registry: str) -> str:
    """Return the effe's image: the one that was named, else `registry/name:version`, named as `effe-tool image` does.

    Raises:
        DeployError: E420 when it is not a reference.
    """
    image = images.get(effe.name) or "/".join(
        part for part in (registry.rstrip("/"), f"{effe.name.replace('_', '-')}:{effe.version}") if part
    )
    if not REFERENCE.match(image):
        raise DeployError(
            f"{shown(image)} is not a reference of an image", code="E420", fix=f"--image {effe.name}={effe.name}:1.0"
        )
    return image


def check_images(effes: Sequence[Effe], images: Mapping[str, str]) -> None:
    """Refuse an image for an effe that is not there: DeployError E420."""
    for name, image in images.items():
        if name not in {effe.name for effe in effes}:
            raise DeployError(f"--image {name}: no such effe", code="E420", fix=f"--image {effes[0].name}={image}")


def variables_of(effe: Effe, given: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables of an effe except its secrets: name → value, None without one."""
    said = effe.conventions
    return {name: given.get(name, default) for name, default in said.env.items() if name not in said.secrets}


def missing_variables(effes: Sequence[Effe], given: Mapping[str, str]) -> list[str]:
    """Return the variables without a value, each as `effe: NAME`."""
    return [
        f"{effe.name}: {name}" for effe in effes for name, value in variables_of(effe, given).items() if value is None
    ]


def check_variables(effes: Sequence[Effe], given: Mapping[str, str]) -> None:
    """Refuse a value for a secret, which would stand in plain text, and for what no effe declares.

    Raises:
        InfoError: E117–E119.
        DeployError: E422.
    """
    said = [effe.conventions for effe in effes]
    for name in given:
        if any(name in one.secrets for one in said):
            raise DeployError(
                f"--env {name}: a secret does not belong into a configuration",
                code="E422",
                fix=f"leave it out: {name} is read from a secret of the platform",
            )
        if not any(name in one.env for one in said):
            raise DeployError(
                f"--env {name}: no effe declares it",
                code="E422",
                place=effes[0].info.place,
                fix=f'add "env": ["{name}"] to INFO',
            )
