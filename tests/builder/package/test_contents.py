"""effetool.builder.package.contents: the whole runtime travels in an artefact, and what changes in the tool makes one
stale.

With a copy of the tool that has a package inside its runtime: the real one may have none, or lose it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import effetool
from effetool.builder.package.contents import HOUSE, runtime_files
from tests.served import serve

TIMEOUT = 120
LOGIC = """# /// script
# requires-python = ">=3.9"
# ///
INFO = {"name": "far", "version": "1.0"}
def run(context, error, response, request):
    from effetool.runtime.some.room import word
    response.write(word.WORD)
"""
# What `tool` is asked: build it, say whether the old file was taken, and print it all at once.
PROGRAM = """
import sys
from pathlib import Path
from effetool.builder import Options, build
from effetool.effe.project import find_one
made = build(find_one(Path(sys.argv[1])), Options(dirout=Path(sys.argv[2])))
print(made.fresh, made.path)
"""


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    """A copy of the tool, with a package in a package inside its runtime."""
    copy = tmp_path / "tool"
    shutil.copytree(
        Path(effetool.__file__).parent, copy / "effetool", ignore=shutil.ignore_patterns("__pycache__", "*.so")
    )
    room = copy / "effetool/runtime/some/room"
    room.mkdir(parents=True)
    for folder in (room.parent, room):
        (folder / "__init__.py").write_text('"""A room."""\n')
    (room / "word.py").write_text('WORD = "one"\n')
    (room / "__pycache__").mkdir()
    (room / "__pycache__/word.cpython-311.pyc").write_bytes(b"")
    return copy


def built(tool: Path, effe: Path, out: Path) -> tuple[bool, Path]:
    environ = {**os.environ, "PYTHONPATH": str(tool), "XDG_CACHE_HOME": str(tool / "cache")}
    command = [sys.executable, "-B", "-c", PROGRAM, effe, out]
    done = subprocess.run(command, env=environ, cwd=tool, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    fresh, _, path = done.stdout.strip().partition(" ")
    return fresh == "True", Path(path)


def answer(artifact: Path, folder: Path) -> str:
    with serve([artifact, "-host", "127.0.0.1"], folder, folder / "log") as server:
        return server.request("GET", "/").text


def test_every_file_of_the_runtime_travels() -> None:
    names = {name for name, _ in runtime_files()}
    code = {f"effetool/{path.relative_to(HOUSE).as_posix()}" for path in (HOUSE / "runtime").rglob("*.py")}
    assert names == code | {"effetool/__init__.py", "effetool/py.typed"}


@pytest.mark.slow
def test_a_package_inside_the_runtime_travels_and_makes_an_artefact_stale(tool: Path, tmp_path: Path) -> None:
    effe, out = tmp_path / "effe", tmp_path / "out"
    effe.mkdir()
    (effe / "logic.py").write_text(LOGIC)
    fresh, made = built(tool, effe, out)
    assert not fresh and answer(made, tmp_path) == "one"
    with zipfile.ZipFile(made) as archive:
        inside = {name for name in archive.namelist() if name.startswith("effetool/runtime/some/")}
    assert {name for name in inside if not name.endswith("/")} == {
        "effetool/runtime/some/__init__.py", "effetool/runtime/some/room/__init__.py",
        "effetool/runtime/some/room/word.py",
    }  # fmt: skip
    assert built(tool, effe, out)[0], "nothing changed"
    (tool / "effetool/runtime/some/room/word.py").write_text('WORD = "two"\n')
    assert not built(tool, effe, out)[0] and answer(made, tmp_path) == "two"


@pytest.mark.slow
def test_a_package_inside_the_builder_makes_an_artefact_stale(tool: Path, tmp_path: Path) -> None:
    effe, out = tmp_path / "effe", tmp_path / "out"
    effe.mkdir()
    (effe / "logic.py").write_text(LOGIC)
    room = tool / "effetool/builder/some"
    room.mkdir()
    (room / "__init__.py").write_text('"""A room."""\n')
    (room / "step.py").write_text("ONE = 1\n")
    assert [built(tool, effe, out)[0], built(tool, effe, out)[0]] == [False, True]
    (room / "step.py").write_text("ONE = 2\n")
    assert not built(tool, effe, out)[0]
