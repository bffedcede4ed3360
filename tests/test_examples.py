"""Each effe of docs/examples passes its own tests, is built, and answers as the libraries it stands on do."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.served import serve

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs/examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/logic.py"))
BIN = Path(sys.executable).parent


def built(name: str, tmp_path: Path, *flags: str) -> Path:
    """Build an example; returns its file."""
    command = [BIN / "effe-tool", "build", "-q", "--dirout", tmp_path, *flags, EXAMPLES / name]
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tmp_path / done.stdout.strip()


def test_there_are_examples() -> None:
    """The names below are those of the folder."""
    assert NAMES == ["markdown", "thumbnail", "typed"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_its_own_tests_pass(name: str, tmp_path: Path) -> None:
    """With plain pytest, in its directory."""
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(command, cwd=tmp_path / name, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.M)


@pytest.mark.slow
def test_markdown_renders_our_readme(tmp_path: Path) -> None:
    """The built file, asked over HTTP with the README of this project, answers what its libraries render directly."""
    from markdown_it import MarkdownIt
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    def coloured(code: str, language: str, attributes: str) -> str:
        try:
            return highlight(code, get_lexer_by_name(language), HtmlFormatter(nowrap=True))
        except ClassNotFound:
            return ""

    readme = (ROOT / "README.md").read_text()
    direct = MarkdownIt("commonmark", {"html": False, "highlight": coloured})
    expected = direct.enable(["table", "strikethrough"]).render(readme)
    assert '<span class="k">def</span>' in expected  # there is an effe in it, highlighted
    with serve([built("markdown", tmp_path)], tmp_path, tmp_path / "log") as served:
        for _ in range(2):  # a context that was used answers as a new one
            answer = served.request("POST", "/", readme.encode())
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.text == expected
        assert served.request("GET", "/").text == HtmlFormatter(nowrap=True).get_style_defs("code") + "\n"
        assert served.request("POST", "/", b"\xff").status == 400


@pytest.mark.slow
def test_thumbnail_resizes_a_png(tmp_path: Path) -> None:
    """The built file holds Pillow's native code; its answer has the very pixels that Pillow makes here."""
    from PIL import Image

    picture = Image.radial_gradient("L").resize((300, 150)).convert("RGB")
    sent = io.BytesIO()
    picture.save(sent, "PNG")
    picture.thumbnail((64, 64))
    with serve([built("thumbnail", tmp_path)], tmp_path, tmp_path / "log") as served:
        answer = served.request("POST", "/?size=64", sent.getvalue())
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "image/png"
        with Image.open(io.BytesIO(answer.body)) as made:
            assert (made.format, made.size) == ("PNG", (64, 32))
            assert made.tobytes() == picture.tobytes()
        assert served.request("POST", "/", sent.getvalue()[:100]).status in (400, 415)


@pytest.mark.slow
def test_typed_answers_when_built(tmp_path: Path) -> None:
    """Type hints of effetool.runtime cost a built file nothing."""
    with serve([built("typed", tmp_path)], tmp_path, tmp_path / "log") as served:
        assert served.request("GET", "/?n=12").body == b'{"n":12,"square":144}'


RIGHT = """\
from __future__ import annotations
from effetool.runtime import Request, Response

def start() -> int:
    return 1

{run}
"""
CHECK = "import effe\nfrom effetool.runtime import Logic\n\nchecked: Logic = effe\n"
GOOD = [
    "def run(context: int, error: Exception | None, response: Response, request: Request) -> None: ...",
    "def run(c: int, e: BaseException | None, out: Response, into: Request) -> Exception | None: return None",
    "async def run(context: int, error: object, response: Response, request: Request) -> None: ...",
]
WRONG = [
    "def run(context: int, error: Exception | None, response: Response) -> None: ...",
    "def run(context: int, error: Exception | None, response: Response, request: Request) -> str: return ''",
    "def run(context: int, error: Exception | None, response: Request, request: Response) -> None: ...",
    "async def run(context: int, error: object, response: Response, request: Request) -> bytes: return b''",
    "def handler(context: int, error: object, response: Response, request: Request) -> None: ...",
]
CHECKERS = {
    "mypy": [sys.executable, "-m", "mypy", "--strict", "--no-incremental"],
    "pyright": [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_module_is_checked_against_logic(checker: str, tmp_path: Path) -> None:
    """Both checkers accept every right run, and refuse every wrong one at the line that says it is a Logic."""
    wrong = []
    for number, run in enumerate([*GOOD, *WRONG]):
        (tmp_path / f"effe{number}.py").write_text(RIGHT.format(run=run))
        (tmp_path / f"check{number}.py").write_text(CHECK.replace("effe\n", f"effe{number}\n"))
        if run in WRONG:
            wrong.append(f"check{number}.py:4")
    checks = sorted(path.name for path in tmp_path.glob("check*.py"))
    done = subprocess.run([*CHECKERS[checker], *checks], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    told = re.findall(r"(check\d\.py:4)(?::\d+)?(?: -|:) error", done.stdout)
    assert sorted(set(told)) == wrong, done.stdout
