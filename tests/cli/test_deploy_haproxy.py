"""`effe-tool deploy haproxy`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deploy.conftest import haproxy, instance, proxy, write_effes  # noqa: F401 - fixtures

HELLO = {"name": "hello", "version": "1.0"}


def test_the_configuration_is_the_only_thing_on_stdout(tmp_path: Path, effe_tool) -> None:
    """So that it can go through a pipe; as JSON in one document."""
    write_effes(tmp_path / "effes", HELLO)
    done = effe_tool("deploy", "haproxy", "effes", "-n", "2", "--bind", ":80", "--socket", "/run/my socket")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# 1 effe behind HAProxy 2.4 or newer;")
    assert done.stdout.count("\n  server 127.0.0.1:") == 2
    assert "\n  bind :80\n" in done.stdout
    assert "\n  stats socket '/run/my socket' mode 600" in done.stdout
    same = effe_tool("deploy", "haproxy", "effes", "-n", "2", "--bind", ":80", "--socket", "/run/my socket", "--json")
    assert json.loads(same.stdout) == {"configuration": done.stdout}


def test_dirout_writes_maps_beside_it(tmp_path: Path, effe_tool) -> None:
    """The result is the path; again replaces it."""
    write_effes(tmp_path / "effes", HELLO)
    for _ in range(2):
        done = effe_tool("deploy", "haproxy", "effes", "--dirout", "conf")
        assert (done.returncode, done.stdout) == (0, "conf/haproxy.cfg\n")
        assert done.stderr == "wrote conf/haproxy.cfg\nwrote conf/maps/hosts.map\nwrote conf/maps/routes.map\n"
    assert "*/hello/ hello" in (tmp_path / "conf" / "maps" / "routes.map").read_text()


def test_an_error_writes_nothing(tmp_path: Path, effe_tool) -> None:
    """Two at one place: exit 1, both named."""
    write_effes(tmp_path / "effes", HELLO, {**HELLO, "name": "b", "route": "/hello"})
    done = effe_tool("deploy", "haproxy", "effes", "--dirout", "conf")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error[E411]: b and hello both answer at /hello\n --> effes/hello/logic.py:3:8\n")
    assert "  the other one: effes/b/logic.py:3:" in done.stderr
    assert not (tmp_path / "conf").exists()


@pytest.mark.haproxy
def test_runtime(tmp_path: Path, effe_tool, instance, proxy) -> None:  # noqa: F811
    """One line on stdout for each change; nothing to do is said too; a failure is exit 1."""
    effes = write_effes(tmp_path / "effes", HELLO)
    old, new = instance(effes[0]), instance(effes[0])
    front = proxy(effes, [old])
    words = ["deploy", "haproxy", "effes", "--server", new.given, "--runtime", front.runtime.path]
    done = effe_tool(*words)
    were, now = f"127.0.0.1:{old.port}", f"127.0.0.1:{new.port}"
    lines = [f"added hello/{now} {now}", f"drained hello/{were} {were}", f"removed hello/{were} {were}"]
    assert (done.returncode, done.stdout.splitlines()) == (0, lines), done.stderr
    again = effe_tool(*words)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "it has these servers already\n")
    assert json.loads(effe_tool(*words, "--json").stdout) == {"changes": []}
    assert json.loads(front.get("/hello")[2])["pid"] == new.process.pid
    failed = effe_tool("deploy", "haproxy", "effes", "--runtime", "nowhere")
    assert failed.returncode == 1 and failed.stderr.startswith(
        "error[E412]: no HAProxy answers at nowhere: No such file"
    )
