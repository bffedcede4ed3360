"""`effe-tool up`: what it shows and refuses before anything runs. See tests/up for the rest."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.deploy.conftest import haproxy, write_effes  # noqa: F401 - a fixture

pytestmark = [pytest.mark.haproxy, pytest.mark.usefixtures("haproxy")]
HELLO = {"name": "hello", "version": "1.0"}


def test_dry_run_shows_what_would_run(tmp_path: Path, effe_tool, haproxy: str) -> None:  # noqa: F811
    """On stdout one line for each effe; nothing is built or started."""
    write_effes(tmp_path / "effes", HELLO, {"name": "b", "version": "2", "host": "b.org", "route": ["/", "/x"]})
    done = effe_tool("up", "effes", "--dry-run")
    assert (done.returncode, done.stdout) == (
        0,
        "b      2  b.org/ b.org/x  effes/b\nhello  1.0  http://localhost:8080/hello  effes/hello\n",
    )
    assert done.stderr == f"behind {haproxy} at http://localhost:8080\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["effes"]
    document = json.loads(effe_tool("up", "effes", "-n", "-p", "99", "--host", "::1", "--json").stdout)
    assert document["url"] == "http://[::1]:99"
    assert document["effes"][1] == {
        "name": "hello", "version": "1.0", "path": "effes/hello", "places": ["http://[::1]:99/hello"],
    }  # fmt: skip


def test_a_port_that_is_taken(tmp_path: Path, effe_tool) -> None:
    """Its owner is named, and nothing was started."""
    write_effes(tmp_path / "effes", HELLO)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = effe_tool("up", "effes", "-p", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error[E301]: port {port} is taken by ")


@pytest.mark.parametrize(
    ("infos", "code"),
    [
        ([], "E150"),
        ([HELLO, {**HELLO, "name": "b", "route": "/hello"}], "E411"),
        ([{**HELLO, "route": "no"}], "E117"),
    ],
)
def test_what_does_not_fit_is_refused(infos: list[dict[str, object]], code: str, tmp_path: Path, effe_tool) -> None:
    """Before anything is built."""
    (tmp_path / "effes").mkdir()
    if infos:
        write_effes(tmp_path / "effes", *infos)
    done = effe_tool("up", "effes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error[{code}]")
