"""`effe-tool build --scie` as a user has it, and every command that the how-to shows; `tests.science` stands in."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from effetool.builder.resolve.target import this_platform
from tests import science

from .conftest import Run

PAGE = Path(__file__).parents[2] / "docs/how-to/run-without-python.md"
MINOR = sys.version_info[1]
HERE = this_platform().name
OTHER = "linux-x86_64" if HERE == "linux-aarch64" else "linux-aarch64"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HERE not in science.TRIPLES, reason=f"there is no stand-in for {HERE}"),
]
DEAD = {"https_proxy": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin"}


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return science.fill_mirror(tmp_path_factory.mktemp("mirror"), tuple({9, 10, 11, 12, 13, MINOR}), (HERE, OTHER))


@pytest.fixture
def effe(effe_tool: Run, tmp_path: Path) -> Path:
    assert effe_tool("new", "hello").returncode == 0
    block = f'# /// script\n# requires-python = "==3.{MINOR}.*"\n# ///\n'
    logic = tmp_path / "hello/logic.py"
    logic.write_text(block + re.sub(r"# /// script\n.*?# ///\n", "", logic.read_text(), flags=re.DOTALL))
    return tmp_path / "hello"


def test_the_executable_is_what_stdout_names(effe_tool: Run, effe: Path, mirror: Path, tmp_path: Path) -> None:
    done = effe_tool("build", "--scie", "eager", "--scie-assets", mirror)
    assert (done.returncode, done.stdout) == (0, "./hello-1.0\n"), done.stderr
    line = next(line for line in done.stderr.splitlines() if line.split()[0] == "scie")
    assert re.search(rf"hello-1\.0  CPython 3\.{MINOR} inside  {HERE}  [\d.]+ MB  sha256 [0-9a-f]{{8}}…", line), line
    answer = subprocess.run(
        [tmp_path / "hello-1.0", "-info"], env={"PATH": "/usr/bin:/bin", "SCIE_BASE": str(tmp_path / "base")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(answer.stdout)["name"] == "hello"
    again = effe_tool("build", "--scie", "eager", "--scie-assets", mirror)
    assert again.stdout == "./hello-1.0\n" and again.stderr.count("its inputs are unchanged") == 2


def test_json(effe_tool: Run, effe: Path, mirror: Path) -> None:
    flags = ("--scie", "eager", "--scie-assets", mirror, "--platform", HERE, "--platform", OTHER)
    told = json.loads(effe_tool("build", "--json", *flags).stdout)
    assert told["path"] == "hello-1.0.pex"
    assert [(one["path"], one["platform"], one["python"], one["fresh"]) for one in told["scies"]] == [
        (f"hello-1.0-{name}", name, f"3.{MINOR}", False) for name in (HERE, OTHER)
    ]
    assert all(len(one["sha256"]) == 64 and one["size"] > 0 for one in told["scies"])
    assert json.loads(effe_tool("build", "--json").stdout)["scies"] == []


def test_a_directory_lists_executables(effe_tool: Run, effe: Path, mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "effes").mkdir()
    effe.rename(tmp_path / "effes/hello")
    done = effe_tool("build", "effes", "--scie", "eager", "--scie-assets", mirror, "-j", "2")
    assert done.stdout == "out/hello-1.0\n" and re.search(r"hello +1\.0 +out/hello-1\.0 +[\d.]+ MB", done.stderr)


def test_failures(effe_tool: Run, effe: Path, tmp_path: Path) -> None:
    done = effe_tool("build", "--scie", "eager", env=DEAD)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error[E147]: `science` is not on PATH and cannot be fetched: " in done.stderr
    assert "  fix: put `science` on PATH; where there is no network, fill a mirror" in done.stderr
    assert sorted(path.name for path in tmp_path.glob("*hello-1.0*")) == ["hello-1.0.pex"]
    told = json.loads(effe_tool("build", "--scie", "eager", "--json", env=DEAD).stdout)
    assert told["error"]["code"] == "E147" and told["error"]["fix"]
    assert effe_tool("build", "--scie", "eager", "--offline").returncode == 1
    assert effe_tool("build", "--scie", "soon").returncode == 2
    assert effe_tool("build", "--scie").returncode == 2


def test_the_how_to(effe_tool: Run, effe: Path, mirror: Path, tmp_path: Path) -> None:
    """Its commands need the network or a mirror, so the page's own test cannot type them; here is a mirror."""
    shown = [
        shlex.split(line)
        for block in re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
        for line in block.splitlines()
        if line.startswith("effe-tool ")
    ]
    assert len(shown) >= 3
    shutil.copytree(mirror, tmp_path / "scie-assets")
    for command in shown:
        assets = () if "--scie-assets" in command else ("--scie-assets", "scie-assets")
        done = effe_tool(*command[1:], *assets)
        assert done.returncode == 0, (command, done.stderr)
