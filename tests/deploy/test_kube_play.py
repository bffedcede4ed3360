"""The emitted Deployment runs: podman plays it, with its ConfigMap, its secrets and its limits."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from effetool.deploy import find_effes
from effetool.deploy.cluster import Options
from effetool.deploy.kubernetes import manifests
from tests.docs.shell import free_port
from tests.image.conftest import alone, podman, shared, small  # noqa: F401 - fixtures

from .cluster import documents, only

pytestmark = [pytest.mark.container, pytest.mark.slow]

SECONDS = 60.0
SECRET = base64.b64encode(b"not for everybody").decode()  # podman 4.3 hands out the data of a Secret as it stands
MAIL = """
import os, pathlib, time
INFO = {
    "name": "mail", "version": "1.0", "memory": "64MiB", "concurrency": 8,
    "env": {"LANGUAGE": "en", "REGION": None}, "secrets": ["API_KEY"],
}
def run(context, error, response, request):
    if request.path == "/slow":
        response.write("begun ")
        response.flush()
        time.sleep(2)
        return response.write("ended") and None
    if request.path == "/exit":
        os._exit(3)
    if request.path == "/raise":
        raise ValueError(os.environ["API_KEY"])
    pathlib.Path("/tmp/scratch").write_text("written")
    try:
        pathlib.Path("/app/scratch").write_text("written")
    except OSError as refused:
        told = refused.strerror
    response.json([os.environ["LANGUAGE"], os.environ["REGION"], len(os.environ["API_KEY"]), told, os.getpid()])
"""


class Pod:
    """What podman made of a manifest."""

    def __init__(
        self, environment: dict[str, str], manifest: Path, ports: dict[str, int], probes: list[dict[str, str]]
    ) -> None:
        self.environment, self.manifest, self.probes = environment, manifest, probes
        self.port, self.admin = ports["http"], ports["admin"]
        self.name = "mail-pod-0-effe"

    def podman(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(["podman", *words], env=self.environment, capture_output=True, text=True, timeout=SECONDS)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def get(self, path: str = "/", port: int | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ready(self) -> None:
        """Wait until every probe is content."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                if {self.get(probe["path"], self.admin)[0] for probe in self.probes} == {200}:
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, self.podman("logs", self.name, check=False)
            time.sleep(0.05)

    def state(self) -> dict[str, Any]:
        (found,) = json.loads(self.podman("inspect", self.name))
        return found


@pytest.fixture(scope="module")
def image(shared: Path, small: Path, podman: dict[str, str]) -> Path:  # noqa: F811
    """The source of an effe whose image podman has."""
    source = shared / "played" / "logic.py"
    with alone(shared / "played.lock"):
        if not source.exists():
            source.parent.mkdir()
            source.write_text(MAIL)
            # The secret is there while it is built: nothing of it may be taken along.
            environment = {**podman, "XDG_CACHE_HOME": str(small), "API_KEY": SECRET}
            pex = str(shared / "mail.pex")
            for words in (["build", str(source), "--out", pex], ["image", pex, "--load"]):
                command = [sys.executable, "-m", "effetool", *words, "-q"]
                done = subprocess.run(command, env=environment, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
    return source


@pytest.fixture
def pod(image: Path, podman: dict[str, str], tmp_path: Path) -> Iterator[Pod]:  # noqa: F811
    """The manifest as it is printed, but for what podman 4.3 cannot do.

    It publishes no port of a pod on the machine's own network, and asks probes by a curl inside the image: the ports
    are free ones of this machine, and the test asks the probes itself, as the kubelet would.
    """
    numbers = {"8080": free_port(), "9090": free_port()}
    text = manifests(find_effes([image]), Options(images={"mail": "localhost/mail:1.0"}, env={"REGION": "eu"}))
    assert SECRET not in text
    for number, free in numbers.items():
        text = text.replace(number, str(free))
    objects = documents(text)
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container.pop("ports")}
    probes = [container.pop(name)["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mail"}, "data": {"API_KEY": SECRET}})
    path = tmp_path / "mail.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    playing = Pod(podman, path, ports, probes)
    try:
        playing.podman("kube", "play", "--network", "host", str(path))
        playing.ready()
        yield playing
    finally:
        playing.podman("kube", "down", str(path), check=False)
        playing.podman("pod", "rm", "-f", "-t", "0", "mail-pod-0", check=False)


def test_it_answers_confined(pod: Pod) -> None:
    """Variables from the ConfigMap, the secret from its file, a read-only root, limits; the secret in no record."""
    status, body = pod.get()
    assert (status, json.loads(body)) == (200, ["en", "eu", len(SECRET), "Read-only file system", 1])
    assert pod.get("/raise")[0] == 500
    assert pod.get("/info", pod.admin)[0] == 200
    assert "effe_contexts_in_use" in pod.get("/metrics", pod.admin)[1]
    found = pod.state()
    assert found["HostConfig"]["Memory"] == 64 << 20
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["EffectiveCaps"] in (None, [])
    log = pod.podman("logs", pod.name)
    assert "ValueError: ***" in log
    for text in (log, json.dumps(found), pod.get("/info", pod.admin)[1], pod.get("/metrics", pod.admin)[1]):
        assert SECRET not in text


def test_it_drains(pod: Pod) -> None:
    """SIGTERM: what is in flight is answered whole, and the exit status is 0."""
    answers: list[tuple[int, str]] = []
    flying = [threading.Thread(target=lambda: answers.append(pod.get("/slow"))) for _ in range(4)]
    for thread in flying:
        thread.start()
    deadline = time.monotonic() + SECONDS
    while "effe_contexts_in_use 4" not in pod.get("/metrics", pod.admin)[1]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pod.podman("stop", "-t", "40", pod.name)
    for thread in flying:
        thread.join(SECONDS)
    assert answers == [(200, "begun ended")] * 4
    assert pod.state()["State"]["ExitCode"] == 0


def test_it_is_started_again(pod: Pod) -> None:
    """A process that dies is replaced, as a Deployment's is."""
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        pod.get("/exit")
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if pod.get()[0] == 200:
                break
        except (OSError, http.client.HTTPException):
            pass
        assert time.monotonic() < deadline, pod.podman("logs", pod.name, check=False)
        time.sleep(0.1)
    assert pod.state()["RestartCount"] >= 1


def test_the_schedules_job_calls_it(pod: Pod) -> None:
    """What the CronJob's container runs: the effe's own image, which sends POST / to the Service."""
    where = ("-host", "127.0.0.1", "-port", str(pod.port))
    pod.podman("run", "--rm", "--network", "host", "localhost/mail:1.0", "-call", *where)


def test_the_secret_is_not_in_the_image(image: Path, podman: dict[str, str], tmp_path: Path) -> None:  # noqa: F811
    """Nor in the .pex: both were made where it stood in the environment."""
    with zipfile.ZipFile(image.parent.with_name("mail.pex")) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert b"API_KEY" in content
    assert SECRET.encode() not in content
    saved = tmp_path / "mail.tar"
    subprocess.run(
        ["podman", "save", "-o", str(saved), "localhost/mail:1.0"], env=podman, check=True, capture_output=True
    )
    layers = saved.read_bytes()  # docker's archive holds its layers uncompressed
    assert b"API_KEY" in layers
    assert SECRET.encode() not in layers
