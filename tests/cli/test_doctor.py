"""`effe-tool doctor`: what is broken on this machine and in the effes here, each with its fix."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EFFE = 'INFO = {"name": "mail", "version": "1.0"}\ndef run(context, error, response, request): ...\n'


def findings(done, kind):
    return [one for one in json.loads(done.stdout)["findings"] if one["kind"] == kind]


def broken(done):
    return next(one["message"] for one in json.loads(done.stdout)["findings"] if one["state"] == "broken")


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def bin_only(tmp_path):
    """A PATH with a python3 that works, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script(folder / "python3", f'exec {sys.executable} "$@"')
    return folder


def test_a_machine_in_order(effe_tool, tmp_path):
    """Exit 0; each line says what is there; the effe by its name and version."""
    (tmp_path / "mail.py").write_text(EFFE)
    done = effe_tool("doctor")
    assert done.returncode == 0, done.stdout
    assert "nothing is broken" in done.stderr
    kinds = [line.split()[1] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert list(dict.fromkeys(kinds)) == ["tool", "python", "pex", "resolver", "engine", "git", "cache", "effe"]
    assert "ok      effe      mail.py: mail 1.0\n" in done.stdout


def test_as_json_everything_that_is_not_ok_has_a_fix(effe_tool):
    """One document; without an effe here that is a note."""
    done = effe_tool("doctor", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr, found["broken"]) == (0, "", 0)
    assert all(one["fix"] for one in found["findings"] if one["state"] != "ok")
    assert findings(done, "effe")[0]["state"] == "note"


def test_a_broken_effe(effe_tool, tmp_path):
    """Each effe below, the broken one at its line and with its code; exit 1."""
    (tmp_path / "effes").mkdir()
    (tmp_path / "effes" / "good.py").write_text(EFFE)
    (tmp_path / "effes" / "info.py").write_text("INFO = '{\"name\": }'\n")
    (tmp_path / "effes" / "run.py").write_text(EFFE.replace("def run(", "def handler("))
    (tmp_path / "effes" / "needs.py").write_text('# /// script\n# dependencies = ["=="]\n# ///\n' + EFFE)
    done = effe_tool("doctor", "effes", "--json")
    assert (done.returncode, json.loads(done.stdout)["broken"]) == (1, 3)
    found = {Path(one["message"].partition(":")[0]).name: one for one in findings(done, "effe")}
    assert {name: one["code"] for name, one in found.items()} == {
        "good.py": None,
        "info.py": "E112",
        "needs.py": "E142",
        "run.py": "E120",
    }
    assert all(one["fix"] for name, one in found.items() if name != "good.py")
    told = effe_tool("doctor", "effes", "-q")
    assert (told.returncode, told.stderr) == (1, "")
    assert "at effes/info.py:1" in told.stdout and "ok " not in told.stdout


def test_nothing_is_there(effe_tool, bin_only, tmp_path):
    """No uv, git or engine: notes; the tool works without them."""
    done = effe_tool("doctor", "--json", env={"PATH": str(bin_only)})
    assert findings(done, "git")[0]["state"] == "note"
    assert findings(done, "engine")[0]["state"] == "note"


def test_no_python3_to_start_what_is_built(effe_tool, bin_only):
    """Broken: missing, too old, or one that does not start."""
    old = bin_only / "python3"
    for text, words in (("echo 3.8", "needs 3.9"), ("exit 1", "does not start")):
        script(old, text)
        done = effe_tool("doctor", "--json", env={"PATH": str(bin_only)})
        assert done.returncode == 1
        assert words in broken(done)
    old.unlink()
    done = effe_tool("doctor", "--json", env={"PATH": str(bin_only)})
    assert "no python3 on PATH" in broken(done)


def test_an_engine_that_does_not_answer(effe_tool, bin_only):
    """A note with its own words: images are made without one."""
    script(bin_only / "podman", "echo no such socket >&2; exit 1")
    done = effe_tool("doctor", "--json", env={"PATH": str(bin_only)})
    (found,) = findings(done, "engine")
    assert (found["state"], found["message"]) == ("note", "podman does not answer: no such socket")


def test_a_cache_that_is_of_no_use(effe_tool, tmp_path):
    """Writable by others, or nowhere to be made: broken, with what to type."""
    shared = tmp_path / "shared" / "effe-tool"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    done = effe_tool("doctor", "--json", env={"XDG_CACHE_HOME": str(shared.parent)})
    (found,) = findings(done, "cache")
    assert (done.returncode, found["state"], found["fix"]) == (1, "broken", f"chmod 700 {shared}")
    shared.chmod(0o700)
    assert effe_tool("doctor", env={"XDG_CACHE_HOME": str(shared.parent)}).returncode == 0
    (tmp_path / "file").touch()
    done = effe_tool("doctor", "--json", env={"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert findings(done, "cache")[0]["state"] == "broken" and "XDG_CACHE_HOME" in findings(done, "cache")[0]["fix"]


def test_a_path_that_is_none(effe_tool):
    """As for every command: E150."""
    assert "error[E150]" in effe_tool("doctor", "nope").stderr
