"""A worker's side of the talk with its parent (effetool/runtime/process/worker.py); many of them are in
test_workers.py."""

import json
import os
import socket
import subprocess
import sys

import pytest

from effetool.runtime.process.protocol import environment

from ..conftest import PATIENCE, PYTHONPATH, ROOT

EFFE = """
INFO = {"name": "hello", "version": "1.0"}
def run(context, error, response, request):
    response.write("hello")
def ready(): return True
"""


SLOW = (
    EFFE
    + """
def init():
    import time
    print("init", flush=True)
    time.sleep(600)
"""
)


@pytest.fixture
def source():
    return EFFE


@pytest.fixture
def started(tmp_path, source):
    """A worker whose parent is the test: its process, the socket to it and what it says, the ports of two sockets."""
    (tmp_path / "logic.py").write_text(source)
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    first, second = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    value = environment(0, [[first], [second]], theirs)
    environ = {**os.environ, "PYTHONPATH": PYTHONPATH, "EFFE_LOG": "json", "EFFE_WORKER": value}
    command = [sys.executable, "-m", "effetool.runtime", "logic.py"]
    handed = [each.fileno() for each in (first, second, theirs)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environ, cwd=tmp_path, pass_fds=handed, text=True, **pipes)
    theirs.close()
    lines = ours.makefile("rb")
    try:
        yield process, ours, lines, first.getsockname()[1], second.getsockname()[1]
    finally:
        process.kill()
        process.communicate()
        for each in (lines, ours, first, second):
            each.close()


def get(port):
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        return client.makefile("rb").read()


def test_it_says_ready_answers_status_and_ends_with_its_parent(started):
    """`serving`, `ready` when it answers; counts and readiness as a line of JSON; the end of the socket is SIGTERM."""
    process, parent, lines, port, _ = started
    assert (lines.readline(), lines.readline()) == (b"serving\n", b"ready\n")
    assert get(port).endswith(b"hello")
    parent.sendall(b"status\n")
    said = json.loads(lines.readline())
    assert said["wrong"] is None and said["counts"]["requests"][1] == 1
    parent.shutdown(socket.SHUT_WR)
    last = json.loads(lines.readline())
    assert last["wrong"] == "stopped" and last["counts"]["requests"][1] == 1
    assert lines.readline() == b"" and process.wait(PATIENCE) == 0


@pytest.mark.parametrize("source", [SLOW], ids=["init"])
def test_a_parent_that_goes_ends_an_init_too(started):
    """Else it would hold the port, and keep clients waiting beside the parent's successor."""
    process, parent, lines, _, _ = started
    assert process.stdout.readline() == "init\n"
    parent.shutdown(socket.SHUT_WR)
    assert process.wait(PATIENCE) == 0
    assert lines.readline() == b""


def test_it_helps_a_dead_neighbour_until_it_is_back(started):
    """`help N`: who waits at N's socket is served; `leave N`: no more."""
    _, parent, lines, _, other = started
    assert (lines.readline(), lines.readline()) == (b"serving\n", b"ready\n")
    with socket.create_connection(("127.0.0.1", other), PATIENCE) as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        parent.sendall(b"help 1\nhelp 1\n")
        assert waiting.makefile("rb").read().endswith(b"hello")
    parent.sendall(b"leave 1\nleave 1\nstatus\n")
    assert b'"wrong": null' in lines.readline()
    for _ in range(100):  # one that came while the last was being answered may still be taken
        with socket.create_connection(("127.0.0.1", other), PATIENCE) as waiting:
            waiting.settimeout(0.3)
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            try:
                waiting.recv(1)
            except TimeoutError:
                return
    pytest.fail("it still takes them")


@pytest.mark.parametrize("value", ["", "x", "0:1:2:3", "0:99:98", "0:x:3"])
def test_the_variable_is_not_for_users(tmp_path, value):
    """One line, exit 1."""
    (tmp_path / "logic.py").write_text(EFFE)
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "EFFE_LOG": "text", "EFFE_WORKER": value}
    done = subprocess.run(
        [sys.executable, "-m", "effetool.runtime", "logic.py"],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "effe: EFFE_WORKER is for the parent of -workers to set\n")
