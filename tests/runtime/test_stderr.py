"""The line that says why an effe cannot start (effetool/runtime/stderr.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import PATIENCE, ROOT

CODE = "import sys; from effetool.runtime.stderr import fail; sys.exit(fail('no port', 3))"


def run(stderr):
    command = [sys.executable, "-c", CODE]
    return subprocess.run(command, cwd=ROOT, stderr=stderr, text=True, timeout=PATIENCE)


def test_it_is_one_line_in_the_name_of_the_program():
    told = run(subprocess.PIPE)
    assert (told.returncode, told.stderr) == (3, "-c: no port\n")


def test_a_full_stderr_leaves_the_exit_code():
    with Path("/dev/full").open("w") as full:
        assert run(full).returncode == 3


@pytest.mark.parametrize("name", ["/app/__main__.py", "hello-1.0.pex"])
def test_the_program_is_what_its_user_typed(name, monkeypatch):
    from effetool.runtime.stderr import program

    monkeypatch.setattr(sys, "argv", [name])
    assert program() == {"/app/__main__.py": "effe"}.get(name, name)
