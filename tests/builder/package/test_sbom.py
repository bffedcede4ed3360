"""The bill of materials, judged by CycloneDX's own validator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from effetool.builder.package.sbom import bill_of_materials
from effetool.builder.resolve.resolve import resolve

from ..shelf import Shelf, Wishes, make_effe, make_wheel


def assert_valid(text: str) -> None:
    """Hold a bill against CycloneDX's schema. Imported here: it takes a second, for each process of the tests."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_the_bill_is_valid_complete_and_the_same_each_time(shelf: Shelf, tmp_path: Path) -> None:
    """Valid against the schema; every wheel with its digest, licence and what it needs; no clock in it."""
    make_wheel(shelf.folder, "alpha", requires=["beta"], headers={"License-Expression": "MIT OR Apache-2.0"})
    make_wheel(shelf.folder, "beta", headers={"License": "Beta's own"})
    make_wheel(shelf.folder, "gamma", headers={"Classifier": "License :: OSI Approved :: BSD License"})
    project = make_effe(tmp_path / "effe", "alpha", "gamma")
    found = resolve(project, Wishes())

    def bill() -> str:
        return bill_of_materials(
            project.info, found, requires_python=">=3.9", source_digest="ab" * 32, commit="c" * 40, pex="2.105.2"
        )

    text = bill()
    assert_valid(text)
    assert text == bill()
    read = json.loads(text)
    components = {one["name"]: one for one in read["components"]}
    assert sorted(components) == ["alpha", "beta", "effetool.runtime", "gamma"]
    assert components["alpha"]["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    assert components["beta"]["licenses"] == [{"license": {"name": "Beta's own"}}]
    assert components["gamma"]["licenses"] == [{"license": {"name": "BSD License"}}]
    wheels = {one.name: one.sha256 for one in found.distributions}
    assert components["beta"]["hashes"] == [{"alg": "SHA-256", "content": wheels["beta"]}]
    graph = {one["ref"]: one["dependsOn"] for one in read["dependencies"] if "dependsOn" in one}
    refs = {name: one["bom-ref"] for name, one in components.items()}
    assert graph["effe:hello@1.0"] == sorted([refs["effetool.runtime"], refs["alpha"], refs["gamma"]])
    assert graph[refs["alpha"]] == [refs["beta"]]


@pytest.mark.parametrize("commit", [None, "d" * 40])
def test_without_dependencies(tmp_path: Path, commit: str | None) -> None:
    """An effe of its own has a bill too: itself and the runtime."""
    info = make_effe(tmp_path).info
    text = bill_of_materials(info, None, requires_python=">=3.9", source_digest="ab" * 32, commit=commit)
    assert_valid(text)
    assert (commit or "effe-tool:commit") in text or commit is None
