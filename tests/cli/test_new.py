"""`effe-tool new`: an effe from a template, all of it or nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

from effetool.effe.project import IGNORED
from tests.terminal import Terminal


def tree(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_new_writes_four_files_and_says_what_next(effe_tool, tmp_path):
    """The path on stdout, the rest on stderr."""
    made = effe_tool("new", "hello")
    assert (made.returncode, made.stdout) == (0, "hello/\n")
    assert tree(tmp_path / "hello") == [".gitignore", "README.md", "logic.py", "tests/test_logic.py"]
    assert "next:  effe-tool build && ./hello-1.0.pex -port 8080" in made.stderr


@pytest.mark.slow
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
    "name",
    ["..", "hello/..", "Hello", "1st", "a b", "up/../B", "json", "class", "x" * 64, "-x", "caf\u00e9", "a\x1b[31m"],
)
def test_a_name_with_no_place_is_refused(effe_tool, tmp_path, name):
    """E115, exit 2, a name that fits; control characters never reach the terminal."""
    made = effe_tool("new", "--", name)
    assert made.returncode == 2 and "error[E115]" in made.stderr and "fix: effe-tool new " in made.stderr
    assert "\x1b" not in made.stderr
    assert tree(tmp_path) == []


def test_a_version_that_cannot_name_a_file_is_refused(effe_tool, tmp_path):
    """E116 of the flag, not of an INFO that is not there yet."""
    made = effe_tool("new", "hello", "--version", "a b")
    assert made.returncode == 2 and made.stderr.startswith('error[E116]: version "a b" cannot be part of a file name')
    assert tree(tmp_path) == []


@pytest.mark.parametrize(("name", "near"), [("CON", "con-effe"), ("Class", "class-effe"), ("JSON", "json-effe")])
def test_the_name_in_the_fix_is_taken(effe_tool, name, near):
    """What is typed next does not fail for another reason."""
    assert f"fix: effe-tool new {near}\n" in effe_tool("new", name, "-n").stderr
    assert effe_tool("new", near, "-n").returncode == 0


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
    assert made.returncode == 2 and "error[E202]" in made.stderr and "did you mean hello?" in made.stderr


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_directory_that_cannot_be_written_leaves_nothing(effe_tool, tmp_path):
    """A file where a directory should be: the system's word, exit 1, no half of an effe."""
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/tests").write_text("a file\n")
    made = effe_tool("new", "hello")
    assert made.returncode == 1 and "Traceback" not in made.stderr
    assert tree(tmp_path) == ["hello/tests"]
    assert stat.S_ISREG((tmp_path / "hello/tests").stat().st_mode)


@pytest.mark.parametrize("name", sorted(IGNORED - {"__pycache__", "site-packages", "venv"}))
def test_a_directory_that_build_passes_over_is_refused(effe_tool, tmp_path, name):
    """No effe is made where none is looked for; as one file the name is fine, and `build` finds it."""
    made = effe_tool("new", name)
    assert made.returncode == 2 and f"called '{name}'" in made.stderr
    assert f"fix: effe-tool new {name}-effe" in made.stderr
    assert tree(tmp_path) == []
    assert effe_tool("new", f"{name}.py").returncode == 0
    assert json.loads(effe_tool("info").stdout)["name"] == name


def test_list_names_each_template_with_a_line(effe_tool):
    """hello first; as JSON too."""
    listed = effe_tool("new", "--list").stdout.splitlines()
    assert listed[0].split(maxsplit=1)[0] == "hello" and all(len(line.split()) > 3 for line in listed)
    found = json.loads(effe_tool("new", "--list", "--json").stdout)["templates"]
    assert [line.split()[0] for line in listed] == [template["name"] for template in found]


def test_vscode_writes_what_attaches_to_dev(effe_tool, tmp_path):
    """JSON with an attach configuration at the port that the next command names; beside a single file too."""
    made = effe_tool("new", "hello", "--vscode")
    assert "effe-tool dev hello --debugpy 5678" in made.stderr
    written = json.loads((tmp_path / "hello/.vscode/launch.json").read_text())
    assert [one["connect"] for one in written["configurations"] if one["request"] == "attach"] == [
        {"host": "127.0.0.1", "port": 5678}
    ]
    assert effe_tool("new", "one.py", "--vscode").stdout == "one.py\n"
    assert json.loads((tmp_path / ".vscode/launch.json").read_text()) == written


def ask(environment, cwd, *arguments):
    return Terminal([sys.executable, "-m", "effetool", "new", *arguments], cwd, environment)


def test_a_terminal_is_asked_and_told_the_command(environment, tmp_path):
    """What is not fit is asked again; what could have been typed is said; the same command does the same."""
    with ask(environment, tmp_path, "--doc", "Chat here") as terminal:
        terminal.wait("name [hello]: ")
        terminal.type("Chat\n")
        terminal.wait("error[E115]")
        terminal.wait("name [hello]: ")
        terminal.type("chat\n")
        terminal.wait("webhook")
        terminal.wait("template [hello]: ")
        terminal.type("jsn\n")
        terminal.wait("did you mean json?")
        terminal.wait("template [hello]: ")
        terminal.type("json\n")
        terminal.wait("same as:  effe-tool new chat -t json --doc 'Chat here'\n")
        assert terminal.end() == 0
    assert "Chat here" in (tmp_path / "chat/logic.py").read_text()


def test_ctrl_c_at_the_question_writes_nothing(environment, tmp_path):
    """Exit 130."""
    with ask(environment, tmp_path) as terminal:
        terminal.wait("name [hello]: ")
        assert terminal.interrupt() == 130
    assert tree(tmp_path) == []


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_nobody_is_asked_without_a_terminal(effe_tool, tmp_path, flags):
    """Exit 2 with what to type."""
    made = effe_tool("new", *flags)
    assert made.returncode == 2 and "effe-tool new hello" in made.stdout + made.stderr
    assert tree(tmp_path) == []


def test_a_template_of_ones_own(effe_tool, tmp_path):
    """From a directory, by a path; a faulty one is E203 at its line, as JSON too, and nothing is written."""
    (tmp_path / "mine").mkdir()
    source = tmp_path / "mine/logic.py.jinja"
    source.write_text(
        'INFO = {"name": "{{ name }}", "version": "1"}\ndef run(context, error, response, request): ...\n'
    )
    assert effe_tool("new", "a", "-t", "./mine").returncode == 0
    named = effe_tool("new", "b", "-t", "mine")
    assert named.returncode == 2 and "fix: a directory is named by a path: -t ./mine" in named.stderr
    source.write_text("\n{{ nmae }}\n")
    faulty = effe_tool("new", "b", "-t", "./mine", "--json")
    error = json.loads(faulty.stdout)["error"]
    assert faulty.returncode == 1 and (error["code"], error["line"]) == ("E203", 2)
    assert error["file"] == "mine/logic.py.jinja"
    assert not (tmp_path / "b").exists()
