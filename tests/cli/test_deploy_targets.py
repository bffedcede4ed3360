"""`effe-tool deploy kubernetes`, `knative`, `compose`, `swarm`, `systemd`: text on stdout, words on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

MAIL = """
INFO = {"name": "mail", "version": "1.0", "env": {"LANGUAGE": "en", "REGION": None}, "secrets": ["API_KEY"]}
def run(context, error, response, request):
    print(file=response)
"""


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    (tmp_path / "mail.py").write_text(MAIL)
    return tmp_path


def test_stdout_is_what_kubectl_takes(effe_tool, mail: Path) -> None:
    """Nothing else is there; a variable without a value is a warning."""
    done = effe_tool("deploy", "kubernetes", "mail.py", "--registry", "registry.example.org", "--namespace", "test")
    assert done.returncode == 0
    documents = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert documents[0]["kind"] == "ConfigMap"
    assert 'image: "registry.example.org/mail:1.0"' in done.stdout
    assert done.stderr == "warning[E422]: without a value: mail: REGION\n  fix: --env REGION=VALUE\n"
    assert effe_tool("deploy", "kubernetes", "mail.py", "-e", "REGION=eu").stderr == ""


def test_json_is_one_document(effe_tool, mail: Path) -> None:
    """The manifests in it; errors too."""
    document = json.loads(effe_tool("deploy", "knative", "--json", "-e", "REGION=eu", "mail.py").stdout)
    assert "serving.knative.dev/v1" in document["configuration"] and document["warnings"] == []
    for words in (("knative",), ("kubernetes", "--dirout", "k"), ("systemd",)):
        document = json.loads(effe_tool("deploy", *words, "--json", "mail.py").stdout)
        assert [warning["message"] for warning in document["warnings"]] == ["without a value: mail: REGION"]
    done = effe_tool("deploy", "kubernetes", "--json", "-e", "API_KEY=hunter2")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "E422"
    assert "hunter2" not in done.stdout + done.stderr


def test_a_kustomization_keeps_its_overlay(effe_tool, mail: Path) -> None:
    """The base is written anew, what stands in overlays/ is its owner's."""
    arguments = ("deploy", "kubernetes", "mail.py", "--dirout", "k", "-e", "REGION=eu")
    done = effe_tool(*arguments)
    assert done.stdout.split() == [
        "k/base/kustomization.yaml",
        "k/base/mail.yaml",
        "k/overlays/production/kustomization.yaml",
    ]
    assert done.stderr.endswith("kubectl apply -k k/overlays/production\n")
    overlay = mail / "k" / "overlays" / "production" / "kustomization.yaml"
    overlay.write_text("# mine\n")
    (mail / "k" / "base" / "mail.yaml").write_text("")
    done = effe_tool(*arguments)
    assert "kept k/overlays/production/kustomization.yaml\n" in done.stderr
    assert overlay.read_text() == "# mine\n"
    assert (mail / "k" / "base" / "mail.yaml").read_text()


def test_two_effes_at_one_place(effe_tool, mail: Path) -> None:
    """E411, and nothing on stdout."""
    (mail / "post.py").write_text(MAIL.replace('"mail"', '"post"').replace('"1.0"', '"1.0", "route": "/mail"'))
    done = effe_tool("deploy", "kubernetes", ".")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error[E411]: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--env", "REGION"], "error[E422]: --env REGION: it takes NAME=VALUE"),
        (["--image", "=x"], "error[E422]: --image =x: it takes NAME=VALUE"),
        (["--namespace", "A_B"], 'error[E420]: --namespace: "A_B" is not a name in Kubernetes'),
    ],
)
def test_what_is_refused(effe_tool, mail: Path, arguments: list[str], said: str) -> None:
    """A wrong flag: its error, and nothing on stdout."""
    done = effe_tool("deploy", "kubernetes", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(said)


def test_compose_and_swarm(effe_tool, mail: Path) -> None:
    """A file on stdout; what is to be given is asked for when it starts."""
    for target, port in (("compose", "127.0.0.1:9000:8080"), ("swarm", "")):
        done = effe_tool("deploy", target, "mail.py", "--port", "9000", "--image", "mail=registry.example.org/m:2")
        assert (done.returncode, done.stderr) == (0, "")
        service = yaml.safe_load(done.stdout)["services"]["mail"]
        assert service["image"] == "registry.example.org/m:2"
        assert service["environment"]["REGION"] == "${REGION:?mail needs REGION}"
        assert port in str(service["ports"])


def test_systemd(effe_tool, mail: Path) -> None:
    """Each unit below the path it belongs to, or in files of their names."""
    done = effe_tool("deploy", "systemd", "mail.py", "-e", "REGION=eu")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# /etc/systemd/system/effe-mail.service\n[Unit]\n")
    assert "\n# /etc/systemd/system/effe-mail.socket\n[Unit]\n" in done.stdout
    done = effe_tool("deploy", "systemd", "mail.py", "--dirout", "units")
    assert sorted(done.stdout.split()) == ["units/effe-mail.service", "units/effe-mail.socket"]
    assert "without a value: mail: REGION" in done.stderr
