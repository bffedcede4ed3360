"""`effe-tool test`: an effe's tests, on its source and against its built file."""

from __future__ import annotations

import json

import pytest

from tests.testing.test_plugin import LOGIC, PLAIN

pytestmark = pytest.mark.slow


@pytest.fixture
def hello(tmp_path):
    root = tmp_path / "hello"
    (root / "tests").mkdir(parents=True)
    (root / "logic.py").write_text(LOGIC)
    (root / "tests" / "test_logic.py").write_text(PLAIN)
    return root


def test_the_source_passes_and_fails(hello, effe_tool):
    """Exit 0 and 1; what follows `--` is pytest's; -q says less."""
    done = effe_tool("test", "hello")
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
    done = effe_tool("test", "hello", "-q", "--", "-k", "says")
    assert done.returncode == 0 and "1 passed, 1 deselected" in done.stdout
    (hello / "logic.py").write_text(LOGIC.replace('"hello"\n', '"hallo"\n'))
    done = effe_tool("test", cwd=hello)
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout


def test_the_same_tests_against_the_built_file(hello, effe_tool):
    """--pex: what patches the source is skipped and says why; it is the file that is asked, not the source."""
    assert effe_tool("build", "-q").returncode == 0
    done = effe_tool("test", "hello", "--pex", "hello-1.0.pex")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 1 skipped" in done.stdout
    assert "replaces GREETING in the module, which a built file cannot see" in done.stdout
    (hello / "logic.py").write_text(LOGIC.replace('"hello"\n', '"hallo"\n'))
    assert effe_tool("test", "hello", "--pex", "hello-1.0.pex").returncode == 0
    assert effe_tool("build", "-q").returncode == 0
    done = effe_tool("test", "hello", "--pex", "hello-1.0.pex")
    assert done.returncode == 1 and "1 failed" in done.stdout


def test_a_file_that_does_not_start(hello, effe_tool, tmp_path):
    """Its own words are in the failure."""
    broken = tmp_path / "broken.pex"
    broken.write_text("#!/bin/sh\necho out of order >&2\nexit 3\n")
    broken.chmod(0o755)
    done = effe_tool("test", "hello", "--pex", broken, "--", "-k", "says")
    assert done.returncode == 1 and "out of order" in done.stdout


def test_every_effe_of_a_directory(hello, effe_tool, tmp_path):
    """Each by its own tests; one that fails makes it 1; --pex takes one effe."""
    (tmp_path / "other.py").write_text(LOGIC.replace("hello", "other"))
    (tmp_path / "test_other.py").write_text("def test_it(effe):\n    assert effe.get('/').text == 'hello'\n")
    done = effe_tool("test")
    assert done.returncode == 1 and "2 passed" in done.stdout and "1 failed" in done.stdout
    assert done.stderr.endswith("2 effes, 1 failed: other.py\n")
    (tmp_path / "test_other.py").unlink()
    done = effe_tool("test", "--json")
    hello_s, other_s = json.loads(done.stdout)["effes"]
    assert hello_s == {"path": "hello", "passed": True, "tests": 2, "failures": 0, "errors": 0, "skipped": 0}
    assert (done.returncode, other_s["passed"], other_s["error"]["code"]) == (1, False, "E152")
    assert "2 passed" in done.stderr and "generated xml" not in effe_tool("test", "hello").stdout
    done = effe_tool("test", "--pex", "nope.pex", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "E151")


def test_what_is_not_there(hello, effe_tool):
    """No such file, no tests: said with what to do."""
    done = effe_tool("test", "hello", "--pex", "nope.pex")
    assert done.returncode == 2 and "no such file: nope.pex" in done.stderr and "fix: effe-tool build" in done.stderr
    done = effe_tool("test", "hello", "--pex", "hello/logic.py")
    assert done.returncode == 2 and "hello/logic.py is not executable\n  fix: is it a built effe?" in done.stderr
    done = effe_tool("test", "hello", "--", "-k", "nothing")
    assert done.returncode == 1 and "error[E152]: no test of hello fits -k nothing\n" in done.stderr
    assert "fix: effe-tool test hello -- --collect-only -q" in done.stderr
    (hello / "tests" / "test_logic.py").unlink()
    done = effe_tool("test", "hello")
    assert done.returncode == 1 and "error[E152]" in done.stderr and "hello/tests/test_logic.py" in done.stderr
