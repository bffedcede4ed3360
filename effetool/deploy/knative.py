"""INFO of many effes → Knative manifests: a Service each, its domains, its schedule."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DeployError
from ..templating.render import render_template, templates_root
from .cluster import Options, check, values
from .effes import Effe
from .sizing import CONTEXTS_TARGET

__all__ = ["manifests"]


def manifests(effes: Sequence[Effe], options: Options) -> str:
    """Return the manifests of all effes as YAML documents.

    Knative routes by host: a Service has its own, `host` in INFO adds others, `route` has no place here.

    Raises:
        InfoError: E117–E119.
        DeployError: E420 a name, image, host or number that Knative does not take, E422 a variable.
    """
    check(effes, options)
    return "".join(_document(effe, options) for effe in effes)


def _document(effe: Effe, options: Options) -> str:
    given = {**values(effe, options), "target": int(100 * CONTEXTS_TARGET)}
    hosts = given["hosts"]
    assert isinstance(hosts, list)
    wild = next((host for host in hosts if host.startswith("*")), None)
    if wild is not None:
        raise DeployError(
            f"{effe.name}: Knative maps one name, not {wild}",
            code="E420",
            place=effe.info.place_of("host"),
            fix="list the names in INFO",
        )
    return render_template(templates_root() / "deploy" / "knative", given)["effe.yaml"]
