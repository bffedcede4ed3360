"""Signals, heard whatever the main thread does (effetool/runtime/signals.py)."""

import signal
import subprocess
import sys

import pytest

CHILD = """
import signal, sys, threading
sys.path.insert(0, {root!r})
from effetool.runtime.signals import WOKEN, Signals
signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
print("waiting", flush=True)
{body}
"""


@pytest.fixture
def child(pytestconfig):
    """A Python process that hears signals, and is gone at the end."""
    started = []

    def start(body, **options):
        code = CHILD.format(root=str(pytestconfig.rootpath), body=body)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **options)
        started.append(process)
        assert process.stdout.readline() == "waiting\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_signals_come_in_their_order(child):
    """Each is a number; none ends the process."""
    process = child("for _ in range(3): print(signals.wait(60), flush=True)")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
        assert process.stdout.readline() == f"[{int(number)}]\n"


def test_a_signal_is_heard_while_the_main_thread_is_in_c_code(child):
    """A handler would run when that code returns, which may be never."""
    process = child(
        "threading.Thread(target=lambda: print(signals.wait(60), flush=True), daemon=True).start()\n"
        "import hashlib; hashlib.pbkdf2_hmac('sha256', b'x', b'x', 2**31 - 1)  # one C call, half an hour"
    )
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == f"[{int(signal.SIGTERM)}]\n"


def test_a_thread_can_end_the_wait(child):
    """How the main thread learns that serving has ended."""
    process = child("threading.Timer(0.01, signals.wake).start(); print(signals.wait(60) == [WOKEN], flush=True)")
    assert process.stdout.readline() == "True\n"


def test_a_wait_has_an_end(child):
    """For what is done by the clock."""
    assert child("print(signals.wait(0.01), flush=True)").stdout.readline() == "[]\n"


def test_an_ignored_sigint_stays_ignored(child):
    """nohup and a shell's background jobs say so."""
    process = child(
        "print(signals.wait(60), flush=True)", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    )
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == f"[{int(signal.SIGTERM)}]\n"


def test_a_signal_kept_back_while_it_started_is_heard_and_nothing_stays_blocked(child):
    """The parent of workers blocks them until the handlers stand; the author's own children must not inherit that."""

    def blocked():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        signal.raise_signal(signal.SIGHUP)

    process = child(
        "print(signals.wait(60), signal.pthread_sigmask(signal.SIG_BLOCK, ()), flush=True)", preexec_fn=blocked
    )
    assert process.stdout.readline() == f"[{int(signal.SIGHUP)}] set()\n"
