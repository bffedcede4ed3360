"""The pytest plugin, in a pytest of its own: plain `pytest` in an effe's directory, nothing configured."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

LOGIC = """
INFO = {"name": "hello", "version": "1.0"}
GREETING = "hello"
def run(context, error, response, request):
    response.write(GREETING)
"""
PLAIN = """
from effetool.testing import Client
import logic

def test_says_hello():
    with Client(logic) as client:
        assert client.get("/").text == "hello"

def test_patched(monkeypatch):
    monkeypatch.setattr(logic, "GREETING", "good day")
    with Client(logic) as client:
        assert client.get("/").text == "good day"
"""
TEST = f"""{PLAIN}
def test_fixture(effe):
    assert effe.get("/").text == "hello"
"""


@pytest.fixture
def run_pytest():
    """Run pytest as an author does, and return what it said."""

    def run(cwd, *arguments):
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON", "EFFE_"))}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *arguments]
        return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=100, check=False)

    return run


@pytest.fixture
def effe_directory(tmp_path):
    root = tmp_path / "hello"
    (root / "tests").mkdir(parents=True)
    (root / "logic.py").write_text(LOGIC)
    (root / "tests" / "test_logic.py").write_text(TEST)
    return root


def test_what_was_saved_last_is_tested(effe_directory, run_pytest):
    """Python takes a .pyc for current when the size and the second of its source are the same."""
    logic = effe_directory / "logic.py"
    first = run_pytest(effe_directory)
    assert first.returncode == 0, first.stdout
    saved = logic.stat()
    logic.write_text(LOGIC.replace('"hello"\n', '"hallo"\n'))
    os.utime(logic, (saved.st_atime, saved.st_mtime))
    done = run_pytest(effe_directory)
    assert done.returncode == 1 and "hallo" in done.stdout


@pytest.mark.parametrize("where", [".", ".."])
def test_plain_pytest_finds_the_effe(effe_directory, run_pytest, where):
    """`import logic` and the fixture `effe` work from the effe's directory and from above."""
    done = run_pytest(effe_directory / where)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_single_file(tmp_path, run_pytest):
    """test_hello.py beside hello.py, or in tests/, belongs to that effe and to no other file."""
    (tmp_path / "hello.py").write_text(LOGIC)
    (tmp_path / "tests").mkdir()
    test = "def test_it(effe):\n    assert effe.get('/').text == 'hello'\n"
    (tmp_path / "tests" / "test_hello.py").write_text(test)
    (tmp_path / "tests" / "test_other.py").write_text(test)
    assert "1 passed" in run_pytest(tmp_path, "tests/test_hello.py").stdout
    done = run_pytest(tmp_path, "tests/test_other.py")
    assert done.returncode == 1
    assert "no effe: a logic.py above the test" in done.stdout


def test_two_effes_in_one_session_have_their_own_logic(tmp_path, run_pytest):
    """Each test imports the logic of its own effe, although both are called logic."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "logic.py").write_text(LOGIC.replace('"hello"\ndef', f'"{name}"\ndef'))
        (tmp_path / name / f"test_{name}.py").write_text(
            f"import logic\ndef test_it(effe):\n    assert logic.GREETING == {name!r} == effe.get('/').text\n"
        )
    done = run_pytest(tmp_path)
    assert "2 passed" in done.stdout, done.stdout


def test_other_projects_notice_nothing(tmp_path, run_pytest):
    """Where a test belongs to no effe, the plugin imports neither client nor runtime."""
    (tmp_path / "test_plain.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    assert 'effetool.testing.plugin' in sys.modules\n"
        "    assert not [n for n in sys.modules if n.startswith(('effetool.runtime', 'effetool.testing.client'))]\n"
    )
    done = run_pytest(tmp_path)
    assert "1 passed" in done.stdout, done.stdout


def test_effe_pex_that_is_not_there(effe_directory, run_pytest):
    """A wrong --effe-pex is one line, before any test runs."""
    done = run_pytest(effe_directory, "--effe-pex", "none.pex")
    assert done.returncode == 4
    assert "ERROR: --effe-pex none.pex: no such file" in done.stderr
