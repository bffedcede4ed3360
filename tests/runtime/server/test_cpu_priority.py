"""A run that computes while others wait steps aside; one that waits, and one that nobody waits for, do not."""

import sys
import threading
import time

import pytest

from ..conftest import PATIENCE

LOGIC = """
import os, time
INFO = {"name": "burn", "version": "1.0"}
OWN = os.getpriority(os.PRIO_PROCESS, 0)
def run(context, error, response, request):
    before = os.getpriority(os.PRIO_PROCESS, 0)
    end = time.monotonic() + 0.4
    if request.path == "/sleep":
        time.sleep(0.4)
    elif request.path == "/compute":
        while time.monotonic() < end: pass
    elif request.path == "/forbidden":
        os.setpriority = refuse
        while time.monotonic() < end: pass
    response.write(f"{before - OWN} {os.getpriority(os.PRIO_PROCESS, 0) - OWN}")
def refuse(*args):
    raise PermissionError(1, "no")
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a nice value for each thread")


@pytest.fixture
def asked(serve):
    """Serve LOGIC; `asked(path, busy)` gives the run's nice value before and after, beside others on / if busy."""
    running = serve(LOGIC)
    over = threading.Event()

    def others():
        with running.connect() as sock:
            while not over.is_set():
                sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                sock.recv(4096)

    def ask(path, busy):
        threads = [threading.Thread(target=others) for _ in range(4 if busy else 0)]
        over.clear()
        for thread in threads:
            thread.start()
        try:
            status, body = running.get(path)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert status == 200
        return body

    return ask


@pytest.mark.slow
def test_a_run_that_computes_while_others_wait_steps_aside(asked):
    """From its begin where it is known to compute. Its thread is used for nothing else: the others are as they were."""
    seen = []
    while not {"0 5", "5 5"} <= set(seen):  # where the machine is busy itself, others may be served too seldom for once
        assert len(seen) < 20, seen
        seen.append(asked("/compute", True))
    assert set(seen) <= {"0 0", "0 5", "5 5"} and seen.index("0 5") < seen.index("5 5")
    end = time.monotonic() + PATIENCE
    while (seen := [asked("/", False), asked("/compute", False)]) != ["0 0"] * 2:  # those that waited may still go
        assert time.monotonic() < end, seen


@pytest.mark.slow
def test_a_run_that_waits_does_not(asked):
    """Its thread has led, and computed, before."""
    assert [asked("/sleep", True) for _ in range(3)] == ["0 0"] * 3


@pytest.mark.slow
def test_a_run_that_nobody_waits_for_does_not(asked):
    """Next to other programs of the machine it has the share it had."""
    assert [asked("/compute", False) for _ in range(2)] == ["0 0"] * 2


def test_where_it_is_forbidden_everything_is_served(asked):
    """As in a sandbox without the call."""
    assert [asked("/forbidden", True) for _ in range(2)] == ["0 0"] * 2
    assert asked("/", True) == "0 0"
