"""The traceback an author reads, of a running .pex and of a checkout: the author's frames, none of ours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from effetool.builder import Options, build
from effetool.effe.project import find_one
from tests.served import serve

TIMEOUT = 120
LOGIC = """# /// script
# requires-python = ">=3.9"
# ///
INFO = {"name": "broken", "version": "1.0"}
class Context:
    pass
def start():
    if BROKEN == "start":
        raise KeyError("start")
    return Context()
def run(context, error, response, request):
    if error:
        raise error  # with what lies between run and start in its middle
    if BROKEN == "run":
        raise KeyError("run")
def stop(context):
    if BROKEN == "stop":
        raise KeyError("stop")
BROKEN = """
ASYNC = re.sub(r"^def (\w+)", r"async def \1", LOGIC, flags=re.MULTILINE)
FRAME = re.compile(r'^  File "(.+)", line \d+', re.MULTILINE)


def command(form: str, effe: Path, out: Path) -> list[str | Path]:
    if form == "checkout":
        return [sys.executable, "-m", "effetool.runtime", effe / "logic.py"]
    return [build(find_one(effe), Options(dirout=out)).path]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pex", "checkout"])
@pytest.mark.parametrize("logic", [LOGIC, ASYNC], ids=["def", "async def"])
@pytest.mark.parametrize("where", ["start", "run", "stop"])
def test_only_the_authors_frames(form: str, logic: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "effe").mkdir()
    (tmp_path / "effe/logic.py").write_text(f"{logic}{where!r}\n")
    words = [*command(form, tmp_path / "effe", tmp_path / "out"), "-host", "127.0.0.1", "-log", "json"]
    with serve(words, tmp_path, tmp_path / "log") as server:
        server.request("GET", "/")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    (trace,) = [line["traceback"] for line in lines if "traceback" in line]
    frames = FRAME.findall(trace)
    assert {Path(path).name for path in frames} == {"logic.py"} and "handling" not in trace, trace


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pex", "checkout"])
def test_a_start_that_fails_names_the_authors_line(form: str, tmp_path: Path) -> None:
    (tmp_path / "effe").mkdir()
    (tmp_path / "effe/logic.py").write_text(f"{LOGIC}None\ndef init():\n    {{}}['url']\n")
    words: list[str | Path] = ["env", "EFFE_LOG=text"]
    words += command(form, tmp_path / "effe", tmp_path / "out")
    done = subprocess.run(
        [*words, "-port", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 1
    place = done.stderr.splitlines()[-2]
    assert re.fullmatch(r"  .*/logic\.py:\d+, in init", place) and "effetool" not in place, done.stderr
