"""The wheel and the sdist hold what they should, and what is installed from them works."""

from __future__ import annotations

import email.parser
import importlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from effetool import __version__
from tests.docs.shell import free_port
from tests.docs.test_pages import copy_checkout
from tests.served import serve

ROOT = Path(__file__).parents[1]
STEM = f"effe_tool-{__version__}"
UV = Path(sys.executable).with_name("uv")
# What an installation must not take from the environment that runs the tests.
OUTSIDE = ("PYTEST_", "COV_", "COVERAGE", "VIRTUAL_ENV", "PYTHONPATH", "EFFE", "PORT", "MAKE", "MFLAGS")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of somebody else: a fresh HOME, the user's package index."""
    home.mkdir(exist_ok=True)
    for name in (".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml"):
        if (Path.home() / name).exists():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path.home() / name, home / name)
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OUTSIDE)}
    return {"UV_CACHE_DIR": str(caches / "uv"), **kept, "HOME": str(home), **more}


def call(*command: str | Path, cwd: Path, env: dict[str, str] | None = None, **more: object) -> str:
    """Run a command that must succeed; returns its stdout."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def tracked(*paths: str) -> set[str]:
    """Return the files of the repository below `paths`."""
    listed = call("git", "ls-files", "-z", "--", *paths, cwd=ROOT)
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel built from it."""
    tree = tmp_path_factory.mktemp("tree")
    copy_checkout(tree)
    out = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=tree)
    return out


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    return dist / f"{STEM}-py3-none-any.whl"


@pytest.mark.slow
def test_wheel_holds_the_package_and_the_templates(wheel: Path) -> None:
    """The package, the templates inside it, the metadata and the licence: nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    expected = tracked("effetool")
    expected |= {f"effetool/{name}" for name in tracked("templates")}
    expected |= {f"{STEM}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    expected |= {f"{STEM}.dist-info/licenses/LICENSE"}
    assert sorted(names) == sorted(expected)
    assert "effetool/py.typed" in names
    assert "effetool/runtime/__main__.py" in names
    assert "effetool/templates/effe/hello/logic.py.jinja" in names


def test_templates_are_templates() -> None:
    """Every file of templates/ ends in .jinja, so that none is taken for a module or collected as a test."""
    assert [name for name in tracked("templates") if not name.endswith(".jinja")] == []


@pytest.mark.slow
def test_sdist_holds_what_builds_and_tests_it(dist: Path) -> None:
    """The sources, the tests, the pages and the benchmarks; nothing that was built, nothing of an editor."""
    with tarfile.open(dist / f"{STEM}.tar.gz") as archive:
        names = {name.removeprefix(f"{STEM}/") for name in archive.getnames()}
    expected = tracked("effetool", "templates", "tests", "docs", "benchmarks")
    expected |= {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}
    expected |= {"Makefile", ".gitignore", "PKG-INFO"}
    assert sorted(names) == sorted(expected)


def test_metadata(wheel: Path) -> None:
    """The version is the package's, the four libraries are required, `effe-tool` is the only script."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.parser.Parser().parsestr(archive.read(f"{STEM}.dist-info/METADATA").decode())
        scripts = archive.read(f"{STEM}.dist-info/entry_points.txt").decode()
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    required = {re.split(r"[^\w.-]", line)[0] for line in metadata.get_all("Requires-Dist", [])}
    assert required == {"typer", "jinja2", "pex", "rich"}
    assert "effe-tool = effetool.__main__:main" in scripts


def test_every_dependency_has_its_reason() -> None:
    """docs/explanation/dependencies.md says why each one is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs/explanation/dependencies.md").read_text().lower()
    assert [name for line in project["dependencies"] if (name := re.split(r"[^\w.-]", line)[0]) not in page] == []


def test_the_changelog_knows_the_version() -> None:
    """Keep a Changelog: an Unreleased section first, the package's version below or about to be."""
    sections = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert sections[0] == "Unreleased"
    assert len(sections) == 1 or sections[1] == __version__


def three_lines(bin_: Path, tmp_path: Path, env: dict[str, str]) -> None:
    """Do the README's three lines in an empty directory."""
    here = tmp_path / "here"
    here.mkdir()
    call(bin_ / "effe-tool", "new", "hello", cwd=here, env=env)
    call(bin_ / "effe-tool", "build", cwd=here, env=env)
    with serve([here / "hello-1.0.pex"], here, tmp_path / "log") as served:
        answer = served.request("GET", "/")
    assert (answer.status, answer.text[:17]) == (200, "Hello from Effe: ")


@pytest.mark.slow
def test_installed_wheel_does_the_three_lines(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, with the templates from the wheel."""
    env = environment(tmp_path / "home")
    call(UV, "venv", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path, env=env)
    call(UV, "pip", "install", "--python", tmp_path / "venv/bin/python", wheel, cwd=tmp_path, env=env)
    three_lines(tmp_path / "venv/bin", tmp_path, env)


@pytest.mark.slow
def test_editable_install_does_the_three_lines(tmp_path: Path) -> None:
    """With the templates of the checkout, in a path with a space."""
    env = environment(tmp_path / "home")
    checkout = tmp_path / "my checkout"
    copy_checkout(checkout)
    call(UV, "venv", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path, env=env)
    call(UV, "pip", "install", "--python", tmp_path / "venv/bin/python", "--editable", checkout, cwd=tmp_path, env=env)
    three_lines(tmp_path / "venv/bin", tmp_path, env)


@pytest.mark.slow
def test_uv_tool_install_does_the_three_lines(wheel: Path, tmp_path: Path) -> None:
    """As a tool of uv's, whose environment holds no pip."""
    env = environment(tmp_path / "home", UV_TOOL_DIR=str(tmp_path / "tools"), UV_TOOL_BIN_DIR=str(tmp_path / "bin"))
    call(UV, "tool", "install", "--python", sys.executable, wheel, cwd=tmp_path, env=env)
    three_lines(tmp_path / "bin", tmp_path, env)


EFFE = """# /// script
# dependencies = ["idna"]
# ///
import idna
INFO = {"name": "hello", "version": "1.0"}
def run(context, error, response, request):
    response.write(idna.decode("xn--bcher-kva"))
"""
TEST = """import logic
from effetool.testing import Client
def test_a_word():
    with Client(logic) as client:
        assert client.get("/").text == "b\\u00fccher"
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_pipx_install_and_an_effe_with_a_dependency(wheel: Path, tmp_path: Path) -> None:
    """The real pipx: its environment holds neither pytest nor what the effe declares, and the commands have both."""
    env = environment(tmp_path / "home", PIPX_HOME=str(tmp_path / "pipx"), PIPX_BIN_DIR=str(tmp_path / "bin"))
    call(UV, "tool", "run", "pipx", "install", "--python", sys.executable, wheel, cwd=tmp_path, env=env)
    tool, here = tmp_path / "bin" / "effe-tool", tmp_path / "here"
    here.mkdir()
    call(tool, "new", "hello", cwd=here, env=env)
    (here / "hello" / "logic.py").write_text(EFFE)
    (here / "hello" / "tests" / "test_logic.py").write_text(TEST)
    assert "1 passed" in call(tool, "test", "-q", "hello", cwd=here, env=env)
    with serve([tool, "dev", "-q", "hello"], here, tmp_path / "dev.log", env) as served:
        assert served.request("GET", "/").text == "b\u00fccher"
    call(tool, "build", cwd=here, env=env)
    with serve([here / "hello-1.0.pex"], here, tmp_path / "log") as served:
        assert served.request("GET", "/").text == "b\u00fccher"


def python_for_all() -> str | None:
    """Return a Python ≥ 3.11 with venv that any user may run: root's own may stand where nobody else can read."""
    for name in ("/usr/bin/python3", "/usr/local/bin/python3", sys.executable):
        ask = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
        try:
            if subprocess.run([name, "-c", ask], capture_output=True, check=False, **as_nobody()).returncode == 0:
                return name
        except OSError:
            continue
    return None


def as_nobody() -> dict[str, object]:
    """Return what subprocess needs to run something without rights, where the tests run as root."""
    return {"user": 65534, "group": 65534, "extra_groups": ()} if os.getuid() == 0 else {}


def make(checkout: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=checkout, env=env, capture_output=True, text=True, check=False, **as_nobody()
    )  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def clone() -> Iterator[Path]:
    """A clean checkout in a path with a space, of a user without rights."""
    # Not below pytest's own directory: every other session of pytest closes that to other users again.
    base = Path(tempfile.mkdtemp(prefix="a place "))
    base.chmod(0o755)
    copy_checkout(base / "effe tool")
    if os.getuid() == 0:
        for path in (base, *base.rglob("*")):
            os.chown(path, 65534, 65534)
    yield base / "effe tool"
    shutil.rmtree(base, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_make_demo_on_a_clean_checkout(clone: Path, tmp_path: Path) -> None:
    """Nothing but Python, make and curl: it installs, makes, builds, runs, asks, and says where the tool is."""
    python = python_for_all()
    if python is None:
        pytest.skip("no Python 3.11 or newer with venv that a plain user may run; tests/parts.sh installs it")
    env = environment(clone.parent / "home")
    if os.getuid() == 0:
        for path in ((clone.parent / "home"), *(clone.parent / "home").rglob("*")):
            os.chown(path, 65534, 65534)
    port = str(free_port())
    done = make(clone, env, "demo", f"PORT={port}", f"PYTHON={python}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^Hello from Effe: \d+$", done.stdout, re.M), done.stdout
    tool = re.search(r"^It works\. effe-tool: (.+)$", done.stdout, re.M)
    assert tool is not None
    assert tool[1] == f"{clone}/.venv/bin/effe-tool"
    assert call(tool[1], "--version", cwd=tmp_path) == f"effe-tool {__version__}\n"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("#!/bin/sh\necho 3.10\n", "error: effe-tool needs Python 3.11 or newer; here it is: 3.10\n"),
        ("#!/bin/sh\nexit 127\n", "error: effe-tool needs Python 3.11 or newer; here it is: none\n"),
        ('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) echo 3.12;; esac\n', "it has no venv module\n"),
    ],
)
def test_make_demo_without_a_fit_python(tmp_path: Path, script: str, told: str) -> None:
    """Too old, none, or without venv: one line that says it, one to type, nothing made."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / "python"
    python.write_text(script)
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={python}"],
        cwd=tmp_path,
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert told in done.stderr
    assert "  fix: apt-get install" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_demo_with_a_busy_port(tmp_path: Path) -> None:
    """The port is looked at first: nothing is made, the fix names another one."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            ["bash", ROOT / "docs/demo.sh", tmp_path / "demo", str(port)],
            env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"error: port {port} is taken\n  fix: make demo PORT={port + 1}\n"
    assert not (tmp_path / "demo").exists()


def test_no_private_method_of_the_standard_library_is_overridden() -> None:
    """Another release may call another one: what stood in it is silently gone then."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "effetool").rglob("*.py"))
        if path.name != "__main__.py" and "templates" not in path.parts
    ]
    found = []
    for name in names:
        module = importlib.import_module(name.removesuffix(".__init__"))
        for kind in vars(module).values():
            if not isinstance(kind, type) or kind.__module__ != module.__name__:
                continue
            for base in kind.__mro__[1:]:
                if base.__module__.partition(".")[0] not in sys.stdlib_module_names - {"builtins", "enum", "typing"}:
                    continue
                own = {key for key in vars(kind) if key.startswith("_") and not key.startswith("__")}
                found += [f"{kind.__qualname__}.{key}" for key in own & vars(base).keys() if callable(vars(base)[key])]
    assert len(names) > 150
    assert found == []
