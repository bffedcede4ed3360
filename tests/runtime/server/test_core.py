"""What a server holds for all its clients, and who goes (effetool/runtime/server/core.py; test_fairness.py: a full
house)."""

import select
import threading
import time
from pathlib import Path

import pytest

from effetool.runtime.server import core

from ..conftest import PATIENCE

EFFE = """
INFO = {"name": "core", "version": "1.0"}
def run(context, error, response, request):
    if request.path.startswith("/large/"):
        response.write(b"x" * int(request.path[7:]))
    else:
        response.write(str(len(request.body.read())))
"""


def read(running, size, got):
    """Ask for so many octets and read as fast as they come; append how many did."""
    count = 0
    with running.connect() as client:
        client.sendall(b"GET /large/%d HTTP/1.0\r\nHost: h\r\n\r\n" % size)
        try:
            while piece := client.recv(1 << 20):
                count += len(piece)
        except ConnectionResetError:
            pass
    got.append(count)


@pytest.mark.parametrize(("readers", "size"), [(1, 60_000_000), (2, 10_000_000)])
def test_readers_that_make_progress_are_spared(serve, readers, size):
    """One answer of eight times -max-unread, and two of more than it: each reads, so none is cut off."""
    running = serve(EFFE, "-max-unread", "8MiB")
    for _ in range(3):
        got = []
        threads = [threading.Thread(target=read, args=(running, size, got)) for _ in range(readers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(got) == readers and min(got) > size


HEAD = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 60000\r\n"


@pytest.mark.parametrize(
    ("first", "rest"),
    [(HEAD + b"\r\n" + b"x" * 50_000, b"x" * 10_000), (HEAD + b"a: " + b"b" * 30_000, b"\r\n\r\n" + b"x" * 60_000)],
    ids=["bodies", "heads"],
)
def test_what_unfinished_requests_hold_has_a_total(serve, first, rest):
    """-max-unfinished: beyond it the slowest are 503, and what is within it is served."""
    running = serve(EFFE, "-max-unfinished", "1MiB")
    before = running.memory()
    crowd = []
    for _ in range(100):
        client = running.connect()
        client.sendall(first)
        crowd.append(client)
    end = time.monotonic() + PATIENCE
    most = (1 << 20) // len(first.partition(b"\r\n\r\n")[2] or first)
    while len(refused := select.select(crowd, [], [], 0.1)[0]) < 100 - most:
        assert time.monotonic() < end, len(refused)
    for client in refused:
        assert client.recv(1000).startswith(b"HTTP/1.1 503 ")
    served = 0
    for client in crowd:
        if client not in refused:
            client.sendall(rest)
            with client.makefile("rb") as file:
                answer = file.read()
            assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 "))
            served += answer.endswith(b"\r\n\r\n60000")
    assert most // 2 <= served <= most
    for client in crowd:
        client.close()
    assert "too many unfinished requests" in running.record("unfinished")["message"]
    assert running.memory("VmHWM") - before < 16 << 20
    # Nothing is left counted: as much again is served.
    for _ in range(3):
        with running.connect() as client:
            client.sendall(first)
            client.sendall(rest)
            assert client.makefile("rb").read().endswith(b"\r\n\r\n60000")


@pytest.mark.parametrize("begun", [b"Expect: 100-continue\r\n\r\n", b"\r\n" + b"x" * 100_000], ids=["expect", "large"])
def test_runs_that_wait_for_their_clients_keep_no_request_from_a_context(serve, begun):
    """Each holds a context; when a request waits for one, who has sent nothing for some seconds gives it up."""
    running = serve(EFFE, "-concurrency", "4")
    crowd = []
    for _ in range(4):
        client = running.connect()
        client.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n" + begun)
        crowd.append(client)
    if begun.startswith(b"Expect"):
        for client in crowd:
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")
    start = time.monotonic()
    assert running.get() == (200, "0")
    assert time.monotonic() - start < core.STUCK + 5
    for client in crowd:
        client.close()


def test_descriptors_are_left_for_the_author(monkeypatch):
    """Three quarters of those that are left at most; all of them where there is no limit that matters."""
    taken = len(list(Path("/dev/fd").iterdir()))
    monkeypatch.setattr(core.os, "sysconf", lambda name: taken + 100)
    assert core.room(16384) == 75 and core.room(10) == 10
    monkeypatch.setattr(core.os, "sysconf", lambda name: taken + 1_000_000)
    assert core.room(16384) == 16384
    assert core.room(2_000_000) == 1_000_000 - core.SPARED
    monkeypatch.setattr(core.os, "sysconf", lambda name: -1)
    assert core.room(16384) == 16384
    monkeypatch.setattr(core.os, "sysconf", lambda name: taken)
    assert core.room(16384) == 1, "never none"
