"""effe-tool in an environment of its own: an effe's dependencies are in another one, made once and found again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from effetool.builder.interpreters import find_uv
from tests.develop.conftest import Dev
from tests.served import serve

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# Not among what the tool or pytest needs.
LOGIC = """# /// script
# requires-python = ">=3.9"
# dependencies = ["tomli-w==1.2.0"]
# ///
import tomli_w

INFO = {"name": "hello", "version": "1.0"}


def run(context, error, response, request):
    response.write(tomli_w.dumps({"hello": "there"}))
"""
SAID = 'hello = "there"\n'


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tool as `uv tool install` installs it, from this checkout: neither pytest nor tomli-w beside it."""
    uv = find_uv()
    assert uv is not None
    folder = tmp_path_factory.mktemp("tool")
    environ = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    subprocess.run([uv, "tool", "install", "-q", ROOT], env={**os.environ, **environ}, check=True)
    (folder / "bin" / "uv").symlink_to(uv)
    python = folder / "tools" / "effe-tool" / "bin" / "python"
    assert subprocess.run([python, "-c", "import pytest"], capture_output=True).returncode == 1
    return folder / "bin" / "effe-tool"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def hello(installed: Path, tmp_path: Path, environment: dict[str, str], cache: Path):
    (tmp_path / "logic.py").write_text(LOGIC)
    (tmp_path / "test_logic.py").write_text(f"def test_it(effe):\n    assert effe.get('/').text == {SAID!r}\n")
    environment["XDG_CACHE_HOME"] = str(cache)
    environment["PATH"] = f"{installed.parent}{os.pathsep}{os.environ['PATH']}"
    del environment["HOME"]  # uv's own cache of what it fetched
    return tmp_path


def environments(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "effe-tool" / "environments").iterdir())


def test_test(installed: Path, hello: Path, environment: dict[str, str], cache: Path) -> None:
    """pytest, the plugin and the dependency are there; the second time nothing is installed."""
    done = subprocess.run([installed, "test"], cwd=hello, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    assert "installing pytest>=7, tomli-w==1.2.0" in done.stderr
    made = environments(cache)
    done = subprocess.run([installed, "test"], cwd=hello, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and "installing" not in done.stderr
    assert environments(cache) == made


def test_invoke(installed: Path, hello: Path, environment: dict[str, str]) -> None:
    """One request."""
    done = subprocess.run(
        [installed, "invoke"], cwd=hello, env=environment, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout) == (0, SAID), done.stderr


def test_run(installed: Path, hello: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """The production runtime, with workers too: each is started anew."""
    for flags in ([], ["-workers", "2"]):
        with serve([installed, "run", hello, *flags], tmp_path, tmp_path / "log", env=environment) as served:
            assert served.request("GET", "/").text == SAID


def test_dev(installed: Path, hello: Path, environment: dict[str, str]) -> None:
    """A save that declares another dependency is served with it."""
    running = Dev(".", "-port", "0", cwd=hello, environ=environment, tool=[installed])
    try:
        running.ready()
        assert running.get() == (200, SAID)
        other = LOGIC.replace('1.2.0"', '1.2.0", "iniconfig"').replace("import tomli_w", "import iniconfig, tomli_w")
        (hello / "logic.py").write_text(other.replace('"there"', "iniconfig.__name__"))
        running.wait("reloaded")
        assert running.get() == (200, 'hello = "iniconfig"\n')
    finally:
        running.kill()


def test_a_dependency_that_cannot_be_had(installed: Path, hello: Path, environment: dict[str, str]) -> None:
    """E140 at its line, with the resolver's words, from each command."""
    (hello / "logic.py").write_text(LOGIC.replace("==1.2.0", "==0.0.0.1"))
    for command in ("test", "invoke", "run"):
        done = subprocess.run(
            [installed, command, "."], cwd=hello, env=environment, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 1 and "error[E140]" in done.stderr, done.stderr
        assert "logic.py:3" in done.stderr and "Traceback" not in done.stderr
