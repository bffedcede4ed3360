"""`effe-tool inspect`, `diff` and `info` of a built file, as a user sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from effetool.builder.audit.compare import Difference
from effetool.cli.diff import line
from effetool.cli.inspect import _drawn

RUN = "def run(context, error, response, request):\n    pass\n"


@pytest.fixture
def two(effe_tool, tmp_path: Path) -> tuple[Path, Path]:
    """Two versions of one effe, built."""
    for version in ("1.0", "1.1"):
        (tmp_path / "hello.py").write_text(f'INFO = {{"name": "hello", "version": "{version}"}}\n{RUN}')
        assert effe_tool("build", "-q", "hello.py").returncode == 0
    return tmp_path / "hello-1.0.pex", tmp_path / "hello-1.1.pex"


@pytest.mark.slow
def test_what_is_inside_and_in_what_two_differ(effe_tool, two: tuple[Path, Path]) -> None:
    """A tree, one JSON document, the bill alone; differences line by line with exit 1."""
    first, second = (path.name for path in two)
    tree = effe_tool("inspect", first)
    assert tree.returncode == 0 and tree.stderr == ""
    assert tree.stdout.startswith("hello-1.0.pex\n├── hello 1.0\n")
    assert "├── dependencies  none\n├── lock  none\n├── SBOM  CycloneDX, 1 components\n" in tree.stdout
    document = json.loads(effe_tool("inspect", first, "--json").stdout)
    assert document["info"] == {"name": "hello", "version": "1.0"} and document["requires_python"] == ">=3.9"
    assert json.loads(effe_tool("inspect", first, "--sbom").stdout) == document["sbom"]
    assert json.loads(effe_tool("inspect", first, "--sbom", "--json").stdout) == document["sbom"]
    lock = effe_tool("inspect", first, "--lock")
    assert (lock.stdout, lock.stderr) == ("", "it has no lock: there are no dependencies\n")
    assert json.loads(effe_tool("inspect", first, "--lock", "--json").stdout) == {"lock": None}
    assert effe_tool("info", first).stdout == '{"name": "hello", "version": "1.0"}\n'
    different = effe_tool("diff", first, second)
    assert different.returncode == 1
    lines = different.stdout.splitlines()
    assert lines[0] == "~ info version  1.0 → 1.1" and lines[1].startswith("~ file hello.py  ") and len(lines) == 2
    same = effe_tool("diff", first, first)
    assert (same.returncode, same.stdout) == (0, "") and same.stderr.startswith("identical: sha256 ")


@pytest.mark.slow
def test_what_does_not_start_here_is_shown_all_the_same(effe_tool, tmp_path: Path) -> None:
    """Built for a Python that nobody has: everything but how long a start takes."""
    (tmp_path / "hello.py").write_text('INFO = {"name": "hello", "version": "1.0"}\ndef run(c, e, r, q): ...\n')
    built = effe_tool("build", "--python", "3.15", "hello.py")
    assert "not asked: no CPython ==3.15.* is here" in built.stderr, built.stderr
    shown = effe_tool("inspect", "hello-1.0.pex")
    assert shown.returncode == 0 and "├── Python ==3.15.*  does not start here\n" in shown.stdout, shown.stderr
    assert json.loads(effe_tool("inspect", "hello-1.0.pex", "--json").stdout)["info_seconds"] is None


def test_a_digest_is_short_unless_all_is_asked_for() -> None:
    told = Difference("dependency", "alpha", f"1.0 (sha256 {'a' * 64})", f"1.0 (sha256 {'b' * 64})")
    assert line(told, False) == f"~ dependency alpha  1.0 (sha256 {'a' * 12}) → 1.0 (sha256 {'b' * 12})"
    assert "b" * 64 in line(told, True)


def test_no_name_inside_reaches_the_terminal_as_it_is() -> None:
    assert [*_drawn("a\x1b[1m", [("b\x9b2J", [("c\u202e", [])])])] == [
        "a\\x1b[1m",
        "└── b\\x9b2J",
        "    └── c\\u202e",
    ]


def test_what_is_no_artefact(effe_tool, tmp_path: Path) -> None:
    """E131 with the path, for every command that reads one."""
    (tmp_path / "x.pex").write_text("no zip")
    for words in (("inspect", "x.pex"), ("diff", "x.pex", "x.pex"), ("info", "x.pex")):
        done = effe_tool(*words)
        assert done.returncode == 1 and done.stderr.startswith("error[E131]: x.pex is no .pex of effe-tool"), words
    (tmp_path / "hello").mkdir()
    assert "fix: effe-tool build hello, then name the .pex\n" in effe_tool("inspect", "hello").stderr
