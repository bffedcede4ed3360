"""The table "To add X, touch Y" of docs/ARCHITECTURE.md: each row is done in a copy of the tree, and works there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.served import serve

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
EFFE = '''
"""probe: answer with what was asked."""
INFO = {"name": "probe", "version": "1.0"}
def run(context, error, response, request):
    if "own" in request.query:
        response.headers[request.query["own"]] = "mine"
    response.status = 200 if request.path == "/work" or request.method == "GET" else 404
    response.write(request.path)
'''


@dataclass
class Copy:
    """A copy of the tree, in which additions are made."""

    root: Path

    def run(self, *words: str | Path, code: int = 0) -> str:
        """Run Python there with these arguments; return what it prints on both streams."""
        done = subprocess.run(
            [sys.executable, *words], cwd=self.root.parent, env=self.environ(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def environ(self) -> dict[str, str]:
        cache = str(self.root.parent / "cache")
        return {**os.environ, "PYTHONPATH": str(self.root), "XDG_CACHE_HOME": cache, "NO_COLOR": "1", "COLUMNS": "100"}

    def tool(self, *words: str | Path, code: int = 0) -> str:
        return self.run("-m", "effetool", *words, code=code)

    @property
    def effe(self) -> Path:
        path = self.root.parent / "probe.py"
        path.write_text(EFFE)
        return path

    @property
    def serving(self) -> list[str | Path]:
        return [sys.executable, "-m", "effetool.runtime", self.effe]


# A file, and its new text: all of a new file, or pairs of a text that is in it and what it becomes.
Edits = dict[str, "str | list[tuple[str, str]]"]
FLAG: Edits = {
    "effetool/runtime/flags.py": [
        (
            '    ("workers", _workers,',
            '    ("call-path", _text, "PATH", "/", "where -call posts", "Most have one."),\n    ("workers", _workers,',
        ),
        ("    admin: str | None\n", "    admin: str | None\n    call_path: str\n"),
    ],
    "effetool/runtime/healthcheck.py": [
        ('_status(channel, "/", "POST"', '_status(channel, settings.call_path, "POST"')
    ],
}
REQUEST: Edits = {
    # CVE-2016-5385: CGI hands the field on as HTTP_PROXY.
    "effetool/runtime/http/parser.py": [
        ('_FRAMING = r"[cCtTeEhH](?i:', '_FRAMING = r"[cCtTeEhHpP](?i:roxy|'),
        (
            "    head.expects = False\n    if",
            '    if "\\nproxy:" in low:\n        raise HTTPError(400, "no Proxy")\n    head.expects = False\n    if',
        ),
    ],
}
FORBIDDEN: Edits = {"effetool/runtime/http/headers.py": [('"trailer"))', '"trailer", "alt-svc"))')]}
SENT: Edits = {
    "effetool/runtime/http/headers.py": [('"date", "x-request-id"))', '"date", "x-request-id", "x-frame-options"))')],
    "effetool/runtime/http/head.py": [
        ("date: bool = True)", "date: bool = True, frame: bool = True)"),
        ("usual = server and date", "usual = server and date and frame"),
        ("        if usual:\n", '        line += b"X-Frame-Options: DENY\\r\\n" * frame\n        if usual:\n'),
    ],
    "effetool/runtime/contract/response.py": [
        ("server = date = kind = True", "server = date = kind = frame = True"),
        (
            "                        date = False\n",
            "                        date = False\n"
            '                    elif key == "x-frame-options":\n                        frame = False\n',
        ),
        ("self._status, server, date)", "self._status, server, date, frame)"),
    ],
}
TARGET: Edits = {
    "effetool/cli/deploy/__init__.py": [('"systemd")', '"systemd", "nomad")')],
    "effetool/cli/deploy/nomad.py": """
from __future__ import annotations

from ..console import Console
from ..options import command
from .options import Paths, show


@command
def nomad(console: Console, paths: Paths = None) -> None:
    "Print jobs for Nomad."
    from ...deploy import find_effes
    from ...deploy.nomad import jobs

    show(jobs(find_effes(paths or [])), console)
""",
    "effetool/deploy/nomad.py": """
from __future__ import annotations

from collections.abc import Sequence

from ..templating.render import render_template, templates_root
from .effes import Effe


def jobs(effes: Sequence[Effe]) -> str:
    names = [effe.name for effe in effes]
    return render_template(templates_root() / "deploy" / "nomad", {"names": names})["effes.nomad"]
""",
    "templates/deploy/nomad/effes.nomad.jinja": '{% for name in names %}\njob "{{ name }}" {}\n{% endfor %}\n',
}
TEMPLATE: Edits = {
    "templates/effe/ping/logic.py.jinja": """{# answers pong #}
INFO = {"name": {{ name | tojson }}, "version": "1.0"}


def run(context, error, response, request):
    response.write("pong")
""",
}
CODE: Edits = {
    "effetool/error_codes.py": [
        (
            '    "E110": Entry(',
            '    "E102": Entry("a long line", "A line is too long to be read by a person."),\n    "E110": Entry(',
        )
    ],
    "effetool/effe/project.py": [
        (
            "def find_all(path: Path | None = None) -> list[Project]:\n",
            "def find_all(path: Path | None = None) -> list[Project]:\n"
            '    if path is not None and path.suffix == ".long":\n'
            '        raise SourceError("a long line", code="E102", fix="break it")\n',
        )
    ],
}


OUTPUT: Edits = {
    "effetool/cli/build.py": [
        (
            "    lock: Annotated[",
            '    tar: Annotated[bool, typer.Option("--tar", help="Make a tar too.")] = False,\n    lock: Annotated[',
        ),
        ("        lock=lock,\n", "        tar=tar,\n        lock=lock,\n"),
    ],
    "effetool/builder/options.py": [("    lock: bool = False\n", "    tar: bool = False\n    lock: bool = False\n")],
    "effetool/builder/build.py": [
        (
            "    if options.scie is None:\n",
            "    if options.tar:\n        from .outputs.some import make_tar\n\n        make_tar(artifact)\n"
            "    if options.scie is None:\n",
        )
    ],
    "effetool/builder/outputs/some.py": """
from __future__ import annotations

import tarfile

from ...effe.artifact import Artifact


def make_tar(artifact: Artifact) -> None:
    with tarfile.open(artifact.path.with_suffix(".tar"), "w") as tar:
        tar.add(artifact.path, artifact.path.name)
""",
}


def output(copy: Copy) -> None:
    copy.tool("build", "--tar", copy.effe)
    with tarfile.open(copy.root.parent / "probe-1.0.tar") as tar:
        assert tar.getnames() == ["probe-1.0.pex"]


def flag(copy: Copy) -> None:
    assert "  -call-path PATH" in copy.run("-m", "effetool.runtime", copy.effe, "-help")
    with serve(copy.serving, copy.root, copy.root / "log", copy.environ()) as served:
        call = ["-m", "effetool.runtime", copy.effe, "-call", "-port", str(served.port)]
        assert "404" in copy.run(*call, code=1)
        assert copy.run(*call, "-call-path", "/work") == ""


def request(copy: Copy) -> None:
    with serve(copy.serving, copy.root, copy.root / "log", copy.environ()) as served:
        assert served.request("GET", "/", None).status == 200
        assert served.request("GET", "/", None, {"Proxy": "evil"}).status == 400
        assert served.request("GET", "/", None, {"X-Proxy": "fine"}).status == 200


def forbidden(copy: Copy) -> None:
    with serve(copy.serving, copy.root, copy.root / "log", copy.environ()) as served:
        assert served.request("GET", "/?own=Alt-Used").headers["Alt-Used"] == "mine"
        answer = served.request("GET", "/?own=Alt-Svc")
        assert answer.status == 500 and "Alt-Svc" not in answer.headers


def sent(copy: Copy) -> None:
    with serve(copy.serving, copy.root, copy.root / "log", copy.environ()) as served:
        assert served.request("GET", "/").headers.get_all("X-Frame-Options") == ["DENY"]
        assert served.request("GET", "/?own=X-Other").headers.get_all("X-Frame-Options") == ["DENY"]
        assert served.request("GET", "/?own=x-frame-options").headers.get_all("X-Frame-Options") == ["mine"]


def target(copy: Copy) -> None:
    assert 'job "probe" {}' in copy.tool("deploy", "nomad", copy.effe)
    assert "nomad" in copy.tool("deploy", "--help")


def template(copy: Copy) -> None:
    assert re.search(r"ping +answers pong", copy.tool("new", "--list"))
    copy.tool("new", "sample", "-t", "ping")
    assert "pong" in (copy.root.parent / "sample" / "logic.py").read_text()


def code(copy: Copy) -> None:
    assert "E102" in copy.tool("build", "x.long", code=1)
    assert "too long to be read" in copy.tool("explain", "E102")


ADDITIONS: dict[str, tuple[Edits, Callable[[Copy], None]]] = {
    "a flag of a running effe": (FLAG, flag),
    "a rule for a request header": (REQUEST, request),
    "a response header that authors may not set": (FORBIDDEN, forbidden),
    "a response header that the server sends, unless the author does": (SENT, sent),
    "an output of build": (OUTPUT, output),
    "a deploy target": (TARGET, target),
    "a template": (TEMPLATE, template),
    "an error code": (CODE, code),
}


def rows() -> dict[str, tuple[int, list[str]]]:
    """Return the table: how many files, and those that are named, with a pattern for NAME."""
    table = PAGE.partition("| to add | files | what to write |")[2].partition("\n\n")[0]
    found = {}
    for line in table.splitlines()[2:]:
        name, count, text = (cell.strip() for cell in line.strip("|").split(" | "))
        found[name] = int(count), re.findall(r"`((?:effetool|templates)/[\w./]+)`", text)
    return found


def test_every_row_is_carried_out() -> None:
    assert [*rows()] == [*ADDITIONS]


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_touches_the_files_of_its_row(name: str) -> None:
    """As many as the row says, and each one that it names."""
    edits, _ = ADDITIONS[name]
    count, named = rows()[name]
    assert len(edits) == count
    for pattern in named:
        words = re.escape(pattern).replace("NAME", r"\w+")
        assert any(re.match(words, path) for path in edits), pattern
    for path, text in edits.items():
        assert (ROOT / path).exists() == isinstance(text, list), path


@pytest.mark.parametrize("name", ADDITIONS)
def test_the_addition_works(name: str, tmp_path: Path) -> None:
    edits, works = ADDITIONS[name]
    copy = Copy(tmp_path / "tree")
    for part in ("effetool", "templates"):
        shutil.copytree(ROOT / part, copy.root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy.root)
    with pytest.raises((AssertionError, OSError)):
        works(copy)  # not before it is there
    for path, text in edits.items():
        file = copy.root / path
        if isinstance(text, str):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            continue
        changed = file.read_text()
        for old, new in text:
            assert changed.count(old) == 1, f"{path} has {old!r} {changed.count(old)} times: change it here too"
            changed = changed.replace(old, new)
        file.write_text(changed)
    works(copy)
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=copy.root, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout
