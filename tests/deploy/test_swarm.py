"""The emitted stack runs: a Docker engine of its own takes it, updates it, and takes a bad version back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from effetool.deploy import find_effes
from effetool.deploy.compose import Options, swarm
from tests.image.conftest import shared, small  # noqa: F401 - fixtures
from tests.parts import need

pytestmark = [pytest.mark.container, pytest.mark.slow]

SECONDS = 60.0
SECRET = "not for everybody"
HOSTILE = ["{{ 7 }}", 'a"b: # c', "line\n---\nx: y", "$HOME ${HOME} $$", "yes"]
INFO = {
    "name": "mail",
    "version": "1.0",
    "env": {"REGION": None, **{f"A{number}": text for number, text in enumerate(HOSTILE)}},
    "secrets": ["API_KEY"],
    "memory": "64MiB",
    "schedule": "*/5 * * * *",
}
MAIL = f"""
import os
INFO = {INFO!r}
def run(context, error, response, request):
    response.json([os.environ["REGION"], len(os.environ["API_KEY"]), [os.environ[f"A{{n}}"] for n in range(5)]])
"""
ASK = "import urllib.request as u; print(u.urlopen('http://localhost:8080/', timeout=10).read().decode())"
# The engine's network, processes, mounts and /run are its own: nothing is left of it when its init is killed.
BOOT = """
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
ip link set lo up
exec dockerd --host unix://$1/socket --data-root $1/data --exec-root /run/docker --pidfile /run/docker.pid \
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent $2
"""


class Engine:
    """A Docker engine in namespaces of its own, the only node of its swarm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ, "DOCKER_HOST": f"unix://{folder}/socket", "DOCKER_CONFIG": str(folder / "client"),
        }  # fmt: skip
        self.environment.pop("DOCKER_CONTEXT", None)

    def docker(self, *words: str, check: bool = True, **given: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", *words], env={**self.environment, **given}, capture_output=True, text=True, timeout=SECONDS
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def deploy(self, text: str, **given: str) -> None:
        (self.folder / "stack.yaml").write_text(text)
        self.docker("stack", "deploy", "-c", str(self.folder / "stack.yaml"), "effes", **given)

    def healthy(self) -> list[str]:
        """Return the containers that are well, the newest first."""
        return self.docker("ps", "-q", "-f", "name=effes_mail", "-f", "health=healthy").stdout.split()

    def updated(self, state: str) -> None:
        """Wait for the end of an update; there is always a container that is well."""
        deadline = time.monotonic() + SECONDS
        while self.docker("service", "inspect", "effes_mail", "--format", "{{.UpdateStatus.State}}").stdout != state:
            assert self.healthy(), "nobody is there to answer"
            assert time.monotonic() < deadline, self.docker("service", "ps", "--no-trunc", "effes_mail").stdout
            time.sleep(0.2)

    def ask(self) -> object:
        """Ask the newest container, from inside: whether ports of a swarm work depends on modules of the kernel."""
        container = self.healthy()[0]
        python = self.docker("inspect", container, "--format", "{{index .Config.Entrypoint 0}}").stdout.strip()
        return json.loads(self.docker("exec", container, python, "-c", ASK).stdout)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """The engine, answering; it has neither images nor a swarm yet."""
    need("dockerd", "docker", "iptables", "unshare")
    if os.geteuid() != 0:
        assert "CI" not in os.environ, "a Docker engine can only be started by root"
        pytest.skip("a Docker engine can only be started by root")
    folder = Path(tempfile.mkdtemp(prefix="effe-"))  # a socket's path ends at 108 bytes
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", BOOT, "sh"]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([*command, str(folder), folder.name], stdout=output, stderr=output)
    made = Engine(folder)
    try:
        deadline = time.monotonic() + SECONDS
        while made.docker("version", check=False).returncode:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield made
    finally:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), 9)
        process.wait(SECONDS)
        for group in (*Path("/sys/fs/cgroup").glob(f"*/{folder.name}"), Path("/sys/fs/cgroup") / folder.name):
            for path, _, _ in os.walk(group, topdown=False):
                Path(path).rmdir()
        shutil.rmtree(folder)


def test_a_swarm_runs_the_stack(engine: Engine, small: Path, tmp_path: Path) -> None:  # noqa: F811
    """Variables, secret and limits arrive; the schedule's line calls; the new version comes before the old one goes."""
    (tmp_path / "logic.py").write_text(MAIL)
    for words in (["build", "--out", "mail.pex"], ["image", "mail.pex", "--output", "mail.tar"]):
        command = [sys.executable, "-m", "effetool", *words, "-q"]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "XDG_CACHE_HOME": str(small)}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    assert engine.docker("load", "-i", str(tmp_path / "mail.tar")).stdout == "Loaded image: mail:1.0\n"
    (tmp_path / "key").write_text(SECRET)
    engine.docker("secret", "create", "API_KEY", str(tmp_path / "key"))

    text = swarm(find_effes([tmp_path / "mail.pex"]), Options(replicas=1))
    for slow, quick in (('"30s"}', '"1s"}'), ("    deploy:", '    healthcheck: {"interval": "1s"}\n    deploy:')):
        assert slow in text
        text = text.replace(slow, quick)
    with pytest.raises(AssertionError, match="mail needs REGION"):
        engine.deploy(text, REGION="")
    engine.deploy(text, REGION="eu")
    deadline = time.monotonic() + SECONDS
    while not engine.healthy():
        assert time.monotonic() < deadline, engine.docker("service", "ps", "--no-trunc", "effes_mail").stdout
        time.sleep(0.1)
    assert engine.ask() == ["eu", len(SECRET), HOSTILE]
    (found,) = json.loads(engine.docker("inspect", engine.healthy()[0]).stdout)
    limits = found["HostConfig"]
    assert (limits["Memory"], limits["ReadonlyRootfs"], limits["CapDrop"]) == (64 << 20, True, ["ALL"])
    assert SECRET not in json.dumps(found)

    (line,) = (line for line in text.splitlines() if line.startswith("#   */5 "))
    words = line.replace("-host mail", "-host tasks.mail").split()  # its own name needs the kernel's ip_vs
    engine.docker(*words[words.index("docker") + 1 :])

    engine.deploy(text, REGION="us")
    engine.updated("completed\n")
    assert engine.ask() == ["us", len(SECRET), HOSTILE]
    engine.deploy(text.replace('EFFE_GRACE: "30s"', 'EFFE_GRACE: "never"'), REGION="asia")
    engine.updated("rollback_completed\n")
    assert engine.ask() == ["us", len(SECRET), HOSTILE]
