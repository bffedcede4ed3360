"""A container for a test: started on a free port of this machine, asked over HTTP, removed whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.shell import free_port

__all__ = ["CONFINED", "Container", "podman_alone", "podman_environment", "running"]

SECONDS = 60.0
# What Kubernetes' restricted profile asks for, and limits a small effe must live with.
CONFINED = (
    "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory", "64m", "--pids-limit", "64",
)  # fmt: skip


CONTAINERS_CONF = """\
[containers]
default_ulimits=["nofile=4096:4096","nproc=4096:4096"]
log_driver="k8s-file"
[engine]
cgroup_manager="cgroupfs"
events_logger="file"
runtime="runc"
"""


def podman_environment(root: Path) -> dict[str, str]:
    """The environment podman runs in as root of a machine without systemd, with its images and containers in `root`."""
    conf, storage = root / "containers.conf", root / "storage.conf"
    conf.write_text(CONTAINERS_CONF)
    # Without a mount of its own below `root`: that would outlive the run, and nobody could remove the directory.
    storage.write_text(
        f'[storage]\ndriver="overlay"\nrunroot="{root}/run"\ngraphroot="{root}/graph"\n'
        '[storage.options.overlay]\nskip_mount_home="true"\n'
    )
    return {**os.environ, "CONTAINERS_CONF": str(conf), "CONTAINERS_STORAGE_CONF": str(storage)}


@contextlib.contextmanager
def podman_alone(root: Path) -> Iterator[dict[str, str]]:
    """Give that environment, and remove the containers that are left in the end: they would hold `root` mounted."""
    environment = podman_environment(root)
    try:
        yield environment
    finally:
        if shutil.which("podman"):
            subprocess.run(
                ["podman", "rm", "-f", "-a", "-t", "0"], env=environment, capture_output=True, timeout=SECONDS
            )


@dataclass
class Container:
    """A container that answers on `port`."""

    name: str
    port: int
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def podman(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(["podman", *words], env=self.environment, capture_output=True, text=True, timeout=SECONDS)
        assert not check or done.returncode == 0, done.stderr
        return done

    def get(self, path: str = "/") -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def state(self) -> dict[str, object]:
        (found,) = json.loads(self.podman("inspect", self.name).stdout)
        return found["State"]

    def log(self) -> str:
        done = self.podman("logs", self.name, check=False)
        return done.stdout + done.stderr


@contextlib.contextmanager
def running(environment: Mapping[str, str], image: str, *options: str) -> Iterator[Container]:
    """Run an image on this machine's network and wait until its port answers.

    Raises:
        AssertionError: it ended, with what it logged.
    """
    port = free_port()
    container = Container(f"effe-test-{port}", port, environment)
    words = ("run", "-d", "--name", container.name, "--network", "host", "-e", f"EFFE_PORT={port}")
    try:
        container.podman(*words, *options, image)
        deadline = time.monotonic() + SECONDS
        while '"message":"probe 1.0 is ready"' not in (log := container.log()):
            assert container.state()["Status"] == "running" and time.monotonic() < deadline, log
            time.sleep(0.05)
        yield container
    finally:
        container.podman("rm", "-f", "-t", "0", container.name, check=False)
