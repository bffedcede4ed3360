"""The ways through an engine: a Containerfile that podman builds, an archive that it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .container import CONFINED, running

pytestmark = pytest.mark.container


def config(podman: dict[str, str], image: str) -> dict[str, object]:
    done = subprocess.run(["podman", "inspect", image], env=podman, check=True, capture_output=True)
    (found,) = json.loads(done.stdout)
    kept = ("User", "Entrypoint", "WorkingDir", "StopSignal", "ExposedPorts", "Labels")
    config = {name: found["Config"].get(name) for name in kept}
    config["Labels"] = {name: value for name, value in config["Labels"].items() if "buildah" not in name}
    return {**config, "Healthcheck": {**found["Healthcheck"], "Test": found["Healthcheck"]["Test"][1:]}}


def test_an_engine_builds_the_same_image(
    podman: dict[str, str], native: Path, small: Path, loaded: str, tmp_path: Path
) -> None:
    """What --engine makes from the Containerfile has the settings of what is made without it, and runs as confined."""
    environment = {**podman, "XDG_CACHE_HOME": str(small)}
    command = [sys.executable, "-m", "effetool", "image", str(native), "--engine", "podman", "-t", "probe:engine", "-q"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "probe:engine\n"), done.stderr
    ours, theirs = config(podman, loaded), config(podman, "probe:engine")
    assert theirs == ours
    with running(podman, "probe:engine", *CONFINED) as container:
        assert json.loads(container.get()[1])["uid"] == 65532
        assert container.get("/dependency")[0] == 200
        container.podman("healthcheck", "run", container.name)


def test_what_an_engine_says_is_passed_on(podman: dict[str, str], pex: Path, small: Path, tmp_path: Path) -> None:
    """A storage that podman refuses: E401 with podman's own last line."""
    storage = tmp_path / "storage.conf"
    places = "".join(f'{name} = "{tmp_path / name}"\n' for name in ("graphroot", "runroot"))
    storage.write_text(f'[storage]\ndriver = "paper"\n{places}')
    environment = {**podman, "XDG_CACHE_HOME": str(small), "CONTAINERS_STORAGE_CONF": str(storage)}
    command = [sys.executable, "-m", "effetool", "image", str(pex), "--engine", "podman"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "error[E401]: podman load failed" in done.stderr
    assert "paper" in done.stderr
