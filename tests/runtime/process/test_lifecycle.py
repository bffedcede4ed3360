"""The edges of a serving process's life (effetool/runtime/process/lifecycle.py)."""

import subprocess
import sys
import time

import pytest

from effetool.runtime.process import lifecycle
from effetool.runtime.process.lifecycle import Idle, age

from ..conftest import PATIENCE, ROOT


def test_idle_means_no_connection_and_no_new_one_for_as_long_as_the_limit(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(lifecycle.time, "monotonic", lambda: now[0])
    idle = Idle(8.0)

    def over(seconds, connections, accepted):
        now[0] += seconds
        return idle.over({"connections": connections, "connections_accepted": accepted})

    assert not over(9, 1, 1)  # one is open
    assert not over(9, 0, 2)  # one came and went
    assert not over(7.9, 0, 2)
    assert idle.next == now[0] + 2
    assert over(0.1, 0, 2)


def test_the_age_is_that_of_the_process():
    code = "from effetool.runtime.process.lifecycle import age\nprint(age())"
    begun = time.monotonic()
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert 0 < float(told.stdout) <= time.monotonic() - begun + 0.02
    assert age() > float(told.stdout)


@pytest.mark.parametrize(("daemon", "printed"), [("True", "ended\n"), ("False", "")])
def test_a_thread_that_does_not_end_does_not_keep_the_process(daemon, printed):
    """Only where one is stuck the interpreter is not ended in order: what `atexit` knows would wait for it."""
    code = f"""
import atexit, sys, threading
from effetool.runtime.process.lifecycle import leave
atexit.register(print, "ended")
threading.Thread(target=threading.Event().wait, daemon={daemon}).start()
sys.exit(leave(3))
"""
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert (told.returncode, told.stdout) == (3, printed)
