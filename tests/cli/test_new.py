"""`effe-tool new`: an effe from a template, all of it or nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest


def tree(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_new_writes_four_files_and_says_what_next(effe_tool, tmp_path):
    """The path on stdout, the rest on stderr."""
    made = effe_tool("new", "hello")
    assert (made.returncode, made.stdout) == (0, "hello/\n")
    assert tree(tmp_path / "hello") == [".gitignore", "README.md", "logic.py", "tests/test_logic.py"]
    assert "next:  effe-tool build && ./hello-1.0.pex -port 8080" in made.stderr


def test_its_own_tests_pass(effe_tool, tmp_path):
    """With plain pytest, warnings as errors."""
    effe_tool("new", "hello")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path / "hello",
        capture_output=True,
        text=True,
        timeout=120,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
    )
    assert ran.returncode == 0 and "2 passed" in ran.stdout, ran.stdout


def test_an_existing_file_is_refused_and_kept(effe_tool, tmp_path):
    """E201 lists them; nothing is touched; --force replaces those and leaves the rest."""
    effe_tool("new", "hello")
    (tmp_path / "hello/logic.py").write_text("mine\n")
    (tmp_path / "hello/other.py").write_text("mine too\n")
    refused = effe_tool("new", "hello")
    assert refused.returncode == 1 and "error[E201]: hello/ already has " in refused.stderr
    assert "logic.py" in refused.stderr and "--force" in refused.stderr
    assert (tmp_path / "hello/logic.py").read_text() == "mine\n"
    assert effe_tool("new", "hello", "--force").returncode == 0
    assert (tmp_path / "hello/logic.py").read_text() != "mine\n"
    assert (tmp_path / "hello/other.py").read_text() == "mine too\n"


@pytest.mark.parametrize(
    "name", ["Hello", "1st", "a b", "up/../B", "json", "class", "x" * 64, "-x", "caf\u00e9", "a\x1b[31m"]
)
def test_a_name_with_no_place_is_refused(effe_tool, tmp_path, name):
    """E115, exit 2, a name that fits; control characters never reach the terminal."""
    made = effe_tool("new", "--", name)
    assert made.returncode == 2 and "error[E115]" in made.stderr and "fix: effe-tool new " in made.stderr
    assert "\x1b" not in made.stderr
    assert tree(tmp_path) == []


def test_dry_run_writes_nothing(effe_tool, tmp_path):
    """--dry-run shows the tree."""
    made = effe_tool("new", "hello", "-n", "--json")
    assert made.returncode == 0 and json.loads(made.stdout)["written"] is False
    assert tree(tmp_path) == []


def test_this_directory_and_one_file(effe_tool, tmp_path):
    """`.` fills the directory one is in; NAME.py is one file."""
    (tmp_path / "here").mkdir()
    assert effe_tool("new", ".", cwd=tmp_path / "here").returncode == 0
    assert '"name": "here"' in (tmp_path / "here/logic.py").read_text()
    assert effe_tool("new", "one.py").stdout == "one.py\n"
    assert tree(tmp_path) == [
        "here/.gitignore",
        "here/README.md",
        "here/logic.py",
        "here/tests/test_logic.py",
        "one.py",
    ]


def test_no_such_template(effe_tool, tmp_path):
    """E202 names the nearest."""
    made = effe_tool("new", "x", "-t", "helo")
    assert made.returncode == 1 and "error[E202]" in made.stderr and "did you mean hello?" in made.stderr


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_directory_that_cannot_be_written_leaves_nothing(effe_tool, tmp_path):
    """A file where a directory should be: the system's word, exit 1, no half of an effe."""
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/tests").write_text("a file\n")
    made = effe_tool("new", "hello")
    assert made.returncode == 1 and "Traceback" not in made.stderr
    assert tree(tmp_path) == ["hello/tests"]
    assert stat.S_ISREG((tmp_path / "hello/tests").stat().st_mode)
