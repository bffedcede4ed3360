"""Write what an artefact is made of as a CycloneDX bill of materials.

The same artefact gives the same bill: no clock, no random serial number, everything sorted.

Source: CycloneDX 1.6 (ECMA-424), JSON; package URLs of type pypi.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from ... import __version__
from ...effe.info import Info

if TYPE_CHECKING:
    from ..requirements.requirement import Requirement
    from ..resolve.resolution import Distribution, Resolution

SBOM = "__effe__/sbom.cdx.json"
LOCK = "__effe__/pylock.toml"


def bill_of_materials(
    info: Info,
    resolution: Resolution | None,
    *,
    requires_python: str,
    source_digest: str,
    commit: str | None = None,
    pex: str | None = None,
) -> str:
    """Return the bill as JSON text.

    Args:
        info: the effe's own name and version.
        resolution: its dependencies, None when it has none.
        requires_python: the Pythons it serves.
        source_digest: SHA-256 of the author's files, hexadecimal.
        commit: the commit they are of, None where the tree is not clean.
        pex: the version of pex that made the base.
    """
    name, version = info.name or "effe", info.version or source_digest[:12]
    root = f"effe:{name}@{version}"
    runtime = f"pkg:pypi/effe-tool@{__version__}#effetool/runtime"
    distributions = resolution.distributions if resolution else ()
    refs = {id(one): _reference(one) for one in distributions}
    direct = _answers(resolution.declaration.requirements, resolution, refs) if resolution else []
    components = [
        {
            "type": "library",
            "bom-ref": runtime,
            "name": "effetool.runtime",
            "version": __version__,
            "description": "the server inside every artefact of effe-tool",
            "licenses": [{"license": {"id": "MIT"}}],
            "purl": runtime,
        },
        *(_component(one, refs[id(one)]) for one in distributions),
    ]
    graph = [
        {"ref": root, "dependsOn": sorted({runtime, *direct})},
        {"ref": runtime},
        *(
            {"ref": refs[id(one)], "dependsOn": sorted(set(_answers(one.metadata.requirements, resolution, refs, one)))}
            for one in distributions
            if resolution
        ),
    ]
    facts = {"requires-python": requires_python}
    if resolution:
        facts["declaration"] = resolution.declaration.origin
    tools = {"effe-tool": __version__}
    if commit:
        facts["commit"] = commit
    if pex:
        tools["pex"] = pex
    bill: dict[str, object] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "tools": {
                "components": [
                    {"type": "application", "name": tool, "version": number} for tool, number in sorted(tools.items())
                ]
            },
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": name,
                "version": version,
                **({"description": info.doc} if info.doc else {}),
                "hashes": [{"alg": "SHA-256", "content": source_digest}],
            },
            "properties": [{"name": f"effe-tool:{key}", "value": value} for key, value in sorted(facts.items())],
        },
        "components": components,
        "dependencies": graph,
    }
    # A serial number names one bill: the same content has the same one (RFC 9562, version 5).
    bill["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True)).urn
    return json.dumps(bill, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _reference(one: Distribution) -> str:
    return f"{_purl(one)}?file_name={quote(one.wheel.name, safe='')}"


def _purl(one: Distribution) -> str:
    return f"pkg:pypi/{one.name}@{quote(one.version, safe='')}"


def _component(one: Distribution, reference: str) -> dict[str, object]:
    said = one.metadata
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": reference,
        "name": one.name,
        "version": one.version,
        "purl": _purl(one),
        "hashes": [{"alg": "SHA-256", "content": one.sha256}],
    }
    if said.summary:
        component["description"] = said.summary
    if said.licence:
        component["licenses"] = [{"expression": said.licence} if said.spdx else {"license": {"name": said.licence}}]
    return component


def _answers(
    requirements: Sequence[Requirement],
    resolution: Resolution,
    refs: dict[int, str],
    asking: Distribution | None = None,
) -> list[str]:
    """Return the references of the wheels that answer requirements, on the targets the asking wheel is for."""
    found = []
    for requirement in requirements:
        for one in resolution.distributions:
            if one.name != requirement.name:
                continue
            targets = set(one.targets) & set(asking.targets if asking else resolution.targets)
            # An extra's dependency is there only when somebody asked for the extra: then it is among the wheels.
            extras = frozenset(asking.metadata.extras) if asking else frozenset()
            if any(requirement.applies(target.environment, extras | {""}) for target in targets):
                found.append(refs[id(one)])
    return found
