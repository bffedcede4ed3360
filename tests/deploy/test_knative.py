"""effetool.deploy.knative: manifests, held against the models of Knative."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from effetool.deploy.cluster import Options
from effetool.deploy.knative import manifests
from effetool.errors import DeployError
from effetool.runtime.flags import parse

from .cluster import FULL, documents, effes, only, validate
from .test_kubernetes import restricted


@pytest.mark.slow
@pytest.mark.parametrize(("info", "minimum"), [({}, 0), (FULL, 2)], ids=["plain", "all"])
def test_every_object_is_valid(info: dict[str, Any], minimum: int, tmp_path: Path) -> None:
    """Against the models of the custom resources and Kubernetes' schema of a ConfigMap."""
    objects = documents(manifests(effes(tmp_path, info), Options(minimum=minimum, env={}, namespace="production")))
    validate(objects)
    kinds = [one["kind"] for one in objects]
    assert kinds == (["ConfigMap", "Service", "DomainMapping", "DomainMapping", "PingSource"] if info else ["Service"])
    template = only(objects, "Service")["spec"]["template"]
    assert template["metadata"]["annotations"]["autoscaling.knative.dev/min-scale"] == str(minimum)
    assert restricted(template["spec"]) == []
    # Knative takes no securityContext of the pod, and one port.
    assert "securityContext" not in template["spec"]
    (container,) = template["spec"]["containers"]
    assert len(container["ports"]) == 1


def test_numbers_agree(tmp_path: Path) -> None:
    """As many requests at once as the runtime takes; the runtime's own time-out comes first."""
    spec = only(documents(manifests(effes(tmp_path, FULL), Options())), "Service")["spec"]["template"]["spec"]
    told = {one["name"]: one["value"] for one in spec["containers"][0]["env"] if "value" in one}
    settings = parse([], told)
    assert spec["containerConcurrency"] == settings.concurrency == FULL["concurrency"]
    assert settings.timeout < spec["responseStartTimeoutSeconds"] <= spec["timeoutSeconds"]


def test_a_wildcard_is_refused(tmp_path: Path) -> None:
    """A DomainMapping is of one name."""
    with pytest.raises(DeployError, match=r"Knative maps one name, not \*\.example\.org") as caught:
        manifests(effes(tmp_path, {"host": "*.example.org"}), Options())
    assert caught.value.code == "E420"
