"""A build with compiled wheels for another Python or machine: it ends, and what it made starts where it should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from effetool.builder import Options, Step, build
from effetool.builder.audit.inspect import inspect, other_machine
from effetool.builder.audit.rebuild import replay
from effetool.builder.interpreters import find_pythons
from effetool.builder.resolve.target import this_platform
from effetool.cli.inspect import _wheel
from effetool.deploy import Effe
from effetool.effe.artifact import Artifact
from effetool.up.built import NotBuilt, check_machines
from tests.served import serve

from .shelf import Shelf, make_effe, make_wheel

MACHINE = os.uname().machine
OTHER = "aarch64" if MACHINE == "x86_64" else "x86_64"
HERE = sys.version_info[1]
PYTHONS = find_pythons()
PROGRAMS = "/usr/local/bin:/usr/bin:/bin"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the wheels are for Linux"),
]


def native(shelf: Shelf, minor: int, platform: str) -> None:
    files = {"alpha/__init__.py": "", "alpha/fast.so": "no module, but it has to be a file"}
    make_wheel(shelf.folder, "alpha", tag=f"cp3{minor}-cp3{minor}-{platform}", files=files)


def made(folder: Path, **options: object) -> tuple[Artifact, str]:
    """Build an effe that imports alpha; returns what was made, and what the step `verify` said."""
    steps: list[Step] = []
    project = make_effe(folder / "effe", "alpha", python=None, imports="import alpha")
    artifact = build(project, Options(out=folder / "made.pex", **options), steps.append)  # type: ignore[arg-type]
    return artifact, next(step.detail for step in steps if step.stage == "verify")


@pytest.mark.parametrize("kind", ["manylinux_2_17", "musllinux_1_1"])
def test_for_one_other_machine(shelf: Shelf, tmp_path: Path, kind: str) -> None:
    """It answers -info on any, is the same when it is built again, and serves on that machine alone."""
    native(shelf, HERE, f"{kind}_{OTHER}")
    platform = f"linux-{OTHER}" + ("-musl" if kind.startswith("musl") else "")
    artifact, said = made(tmp_path, platforms=(platform,))
    assert said == "answers -info" and replay(artifact.path).identical
    assert other_machine(artifact) == platform
    with pytest.raises(NotBuilt) as caught:
        check_machines([Effe(artifact.info, artifact=artifact)])
    assert caught.value.errors[0][1].message == f"this file is for {platform}, this machine is {this_platform().name}"
    environ = {"PATH": f"{Path(sys.executable).parent}:{PROGRAMS}", "HOME": str(tmp_path)}
    command = [artifact.path, "-port", "0"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{artifact.path}: this file is for {platform}, this machine is {this_platform().name}\n"


def test_for_several_other_machines(shelf: Shelf, tmp_path: Path) -> None:
    """Only pex's boot chooses among their wheels, and it takes none of them here: the file is not asked."""
    native(shelf, HERE, f"manylinux_2_17_{OTHER}")
    native(shelf, HERE, f"musllinux_1_1_{OTHER}")
    _, said = made(tmp_path, platforms=(f"linux-{OTHER}", f"linux-{OTHER}-musl"))
    assert said == "not asked: it is for another machine"


def test_for_this_machine_among_others(shelf: Shelf, tmp_path: Path) -> None:
    for machine in (MACHINE, OTHER):
        native(shelf, HERE, f"manylinux_2_17_{machine}")
    artifact, said = made(tmp_path, platforms=(f"linux-{MACHINE}", f"linux-{OTHER}"))
    assert other_machine(artifact) is None
    assert said == "answers -info"
    shown = [_wheel(one, found) for found in [inspect(artifact.path).distributions] for one in found]
    assert sorted(shown) == sorted(
        f"alpha 1.0  cp3{HERE}-cp3{HERE}-manylinux_2_17_{machine}" for machine in (MACHINE, OTHER)
    )


@pytest.mark.skipif(len(PYTHONS) < 2, reason="needs another Python")
@pytest.mark.parametrize("several", [False, True])
def test_for_another_python_that_is_not_on_path(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    """The build knows where pyenv and uv keep theirs; one Python alone starts straight."""
    others = sorted(minor for minor in PYTHONS if minor != HERE)[-2:]
    for minor in others:
        native(shelf, minor, f"manylinux_2_17_{MACHINE}")
    monkeypatch.setenv("PATH", PROGRAMS)
    python = f">=3.{others[0]},<=3.{others[-1]}.99,!=3.{HERE}.*" if several else f"3.{others[-1]}"
    artifact, said = made(tmp_path, python=python)
    assert said == "answers -info" and other_machine(artifact) is None
    if not several:
        environ = {**os.environ, "PATH": f"{PYTHONS[others[-1]].parent}:{PROGRAMS}", "HOME": str(tmp_path)}
        with serve([artifact.path], tmp_path, tmp_path / "log", env=environ) as server:
            assert server.request("GET", "/").status == 200
