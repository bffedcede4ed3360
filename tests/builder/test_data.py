"""Ways to find data beside an effe's modules × ways to run the effe: the answers are alike in all of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from effetool.builder import Options, build
from effetool.effe.artifact import Artifact
from effetool.effe.project import find_one
from tests.image.conftest import podman, shared, small  # noqa: F401
from tests.image.container import CONFINED, running
from tests.served import SECONDS, serve

# None of the effe's own files may say `__file__`: what a framework does with its name must not depend on it.
FILE = '"__fi" "le__"'
STANDARD = {
    "attribute": f"open(os.path.join(os.path.dirname(vars(sys.modules[__name__])[{FILE}]), 'beside.txt')).read()",
    "inspect": "open(os.path.join(os.path.dirname(inspect.getfile(run)), 'beside.txt')).read()",
    "package": "open(os.path.join(pack.__path__[0], 'words.txt')).read()",
    "spec": "open(os.path.join(os.path.dirname(importlib.util.find_spec('pack').origin), 'words.txt')).read()",
    "pkgutil": "pkgutil.get_data('pack', 'words.txt').decode()",
    "pkgutil of the logic": "pkgutil.get_data(__name__, 'beside.txt').decode()",
    "resources": "(importlib.resources.files('pack') / 'words.txt').read_text()",
    "resources as a path": "open(importlib.resources.files('pack') / 'words.txt').read()",
    "resources as a file": "as_file()",
    "resources of a folder": "(importlib.resources.files('plain') / 'more.txt').read_text()",
    "resources of a namespace": "(importlib.resources.files('named') / 'more.txt').read_text()",
    "a module made beside": "pack.sub.WORDS",
}
REAL = {
    "flask": "app.test_client().get('/').text",
    "flask's static file": "app.test_client().get('/static/style.css').text",
    "jinja2.PackageLoader": "packaged('pack').get_template('page.html').render(name='x')",
    "jinja2.PackageLoader of the logic": "packaged(__name__).get_template('page.html').render(name='x')",
    "a child": "child('-c', 'import flask; print(flask.__name__)')",
    "a child's module": "child('-m', 'flask', '--version').partition(' ')[0]",
    "jinja2.FileSystemLoader": "filed().get_template('page.html').render(name='x')",
}
LOGIC = """# /// script
# requires-python = ">=3.9"
# dependencies = [{dependencies}]
# ///
import importlib.resources, importlib.util, inspect, json, os, pkgutil, sys, traceback
import named.module, pack, pack.sub
{imports}
INFO = {{"name": "probe", "version": "1.0"}}
def as_file():
    with importlib.resources.as_file(importlib.resources.files("pack") / "words.txt") as path:
        return path.read_text()
WAYS = {ways!r}
def run(context, error, response, request):
    found = {{}}
    for name, way in WAYS.items():
        try:
            found[name] = eval(way, globals())
        except Exception as failure:
            found[name] = repr(failure)
    response.json(found)
"""
FLASK = """
import flask, jinja2
app = flask.Flask(__name__)
@app.route("/")
def page():
    return flask.render_template("page.html", name="x")
def packaged(name):
    return jinja2.Environment(loader=jinja2.PackageLoader(name))
def child(*words):
    import subprocess
    return subprocess.run([sys.executable, *words], cwd="/", check=True, capture_output=True, text=True).stdout
def filed():
    folder = os.path.dirname(inspect.getfile(run))
    return jinja2.Environment(loader=jinja2.FileSystemLoader(os.path.join(folder, "templates")))
"""
FILES = {
    "beside.txt": "beside", "pack/__init__.py": "", "pack/words.txt": "words", "plain/more.txt": "more",
    "named/module.py": "", "named/more.txt": "named",
    "pack/sub.py": 'import pkgutil\nWORDS = pkgutil.get_data("pack", "words.txt").decode()\n',
    "templates/page.html": "page {{ name }}", "pack/templates/page.html": "packed {{ name }}",
    "static/style.css": "style",
}  # fmt: skip
EXPECTED = {
    "attribute": "beside",
    "inspect": "beside",
    "package": "words",
    "spec": "words",
    "pkgutil": "words",
    "pkgutil of the logic": "beside",
    "resources": "words",
    "resources as a path": "words",
    "resources as a file": "words",
    "resources of a folder": "more",
    "resources of a namespace": "named",
    "a module made beside": "words",
    "flask": "page x",
    "flask's static file": "style",
    "jinja2.PackageLoader": "packed x",
    "jinja2.PackageLoader of the logic": "page x",
    "a child": "flask\n",
    "a child's module": "Python",
    "jinja2.FileSystemLoader": "page x",
}
TOOL = [sys.executable, "-m", "effetool"]


def write_effe(root: Path, *, real: bool) -> Path:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    dependencies = '"flask"' if real else ""
    ways = {**STANDARD, **REAL} if real else STANDARD
    (root / "logic.py").write_text(LOGIC.format(dependencies=dependencies, imports=FLASK if real else "", ways=ways))
    return root


def by_run(effe: Path, artifact: Artifact, tmp_path: Path) -> str:
    with serve([*TOOL, "run", effe], tmp_path, tmp_path / "log") as server:
        return server.request("GET", "/").text


def by_dev(effe: Path, artifact: Artifact, tmp_path: Path) -> str:
    with serve([*TOOL, "dev", effe], tmp_path, tmp_path / "log") as server:
        return server.request("GET", "/").text


def by_test(effe: Path, artifact: Artifact, tmp_path: Path) -> str:
    told = tmp_path / "told"
    (effe / "test_logic.py").write_text(f"def test_it(effe):\n    open({str(told)!r}, 'w').write(effe.get('/').text)\n")
    done = subprocess.run([*TOOL, "test", effe], capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    return told.read_text()


def by_pex(effe: Path, artifact: Artifact, tmp_path: Path, **variables: str) -> str:
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / "cache"), **variables}
    elsewhere = tmp_path / "elsewhere"  # the artefact alone, not beside its source
    elsewhere.mkdir()
    with serve([artifact.path, "-host", "127.0.0.1"], elsewhere, tmp_path / "log", environment) as server:
        return server.request("GET", "/").text


def by_source(effe: Path, artifact: Artifact, tmp_path: Path) -> str:
    """By a Python that it was not compiled for."""
    whole = artifact.path.read_bytes()
    head, rest = whole[:4096], whole[4096:]
    changed = re.sub(rb"(?m)^  \d+\) o=\d+ n=\d+ h=\d+ c=\d+ ;;$", lambda m: b" " * len(m[0]), head)
    assert changed != head
    path = tmp_path / "probe.pex"
    path.write_bytes(changed + rest)
    path.chmod(0o755)
    from dataclasses import replace

    return by_pex(effe, replace(artifact, path=path), tmp_path)


def by_pex_boot(effe: Path, artifact: Artifact, tmp_path: Path) -> str:
    """By pex's own boot, which unpacks the whole file."""
    return by_pex(effe, artifact, tmp_path, PEX_UNZIP="1", PEX_ROOT=str(tmp_path / "pex"))


WAYS: list[Callable[[Path, Artifact, Path], str]] = [by_run, by_dev, by_test, by_pex, by_source, by_pex_boot]


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artifact]:
    root = tmp_path_factory.mktemp("standard")
    effe = write_effe(root / "effe", real=False)
    return effe, build(find_one(effe), Options(dirout=root))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artifact]:
    root = tmp_path_factory.mktemp("real")
    effe = write_effe(root / "effe", real=True)
    return effe, build(find_one(effe), Options(dirout=root))


def expected(ways: dict[str, str]) -> dict[str, str]:
    return {name: EXPECTED[name] for name in ways}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_standard_ways(
    standard: tuple[Path, Artifact], way: Callable[[Path, Artifact, Path], str], tmp_path: Path
) -> None:
    assert json.loads(way(*standard, tmp_path)) == expected(STANDARD)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_flask_and_jinja(
    real: tuple[Path, Artifact], way: Callable[[Path, Artifact, Path], str], tmp_path: Path
) -> None:
    found, wanted = json.loads(way(*real, tmp_path)), expected({**STANDARD, **REAL})
    if way is by_pex_boot:  # pex itself gives a child nothing
        for name in ("a child", "a child's module"):
            assert "CalledProcessError" in found.pop(name) and wanted.pop(name)
    assert found == wanted


@pytest.mark.container
def test_in_an_image(real: tuple[Path, Artifact], small: Path, podman: dict[str, str]) -> None:  # noqa: F811
    done = subprocess.run(
        [*TOOL, "image", real[1].path, "--load", "-q"],
        capture_output=True, text=True, env={**podman, "XDG_CACHE_HOME": str(small)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with running(podman, done.stdout.strip(), *CONFINED) as container:
        status, body = container.get()
    assert status == 200 and json.loads(body) == expected({**STANDARD, **REAL})
