"""A built effe under attack: whoever else asks is served all the while, and its memory has a bound."""

import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from tests.parts import need

from .conftest import PATIENCE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]

MIB = 1 << 20
# One megabyte an answer: what a slow reader leaves in memory.
EFFE = """
INFO = {"name": "target", "version": "1.0"}
large = b"x" * (1 << 20)
def run(context, error, response, request):
    if request.path == "/large":
        response.write(large)
    elif request.method == "POST":
        response.write(str(len(request.body.read())))
    else:
        response.write("hello")
"""


@pytest.fixture
def target(serve, built):
    return serve(EFFE, command=[built(EFFE)])


class Client:
    """Asks again and again, each time on a connection of its own; `answers` is what came."""

    def __init__(self, running):
        self.running, self.answers = running, []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it still waits for an answer"

    def _work(self):
        while not self._end.is_set():
            try:
                self.answers.append(self.running.get())
            except OSError as error:
                self.answers.append(repr(error))
            self._end.wait(0.01)


# The memory is for 300 connections: a head or body of some KiB each, or unread answers (twice -max-unread).
SLOW = {
    "slow headers": (["-H", "-i", "1", "-x", "24"], "/", 30 * MIB),
    "slow body": (["-B", "-i", "1", "-s", "100000", "-x", "24"], "/", 30 * MIB),
    "ranges": (["-R", "-a", "5", "-b", "3000", "-t", "GET"], "/large", 110 * MIB),
    "slow read": (["-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32", "-k", "3"], "/large", 110 * MIB),
}


@pytest.mark.parametrize("mode", SLOW)
def test_slow_attacks_starve_nobody(target, tmp_path, mode):
    """slowhttptest in its four modes, 300 connections each."""
    need("slowhttptest")
    options, path, bound = SLOW[mode]
    before = target.memory()
    url = f"http://127.0.0.1:{target.port}{path}"
    with Client(target) as client:
        attack = ["slowhttptest", *options, "-c", "300", "-r", "300", "-l", "5", "-p", "5", "-u", url]
        done = subprocess.run(attack, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert "Exit status" in done.stdout, done.stdout + done.stderr
    assert set(client.answers) == {(200, "hello")} and len(client.answers) > 2
    grown = target.memory("VmHWM") - before
    print(f"{mode}: {len(client.answers)} answers beside it, {grown / MIB:.1f} MiB more at most")
    assert grown < bound
    assert target.stop() == 0


def test_silent_connections_starve_nobody(target):
    """Three hundred that say nothing, and as many that stop in the middle of a head."""
    before = target.memory()
    crowd = [target.connect() for _ in range(600)]
    for each in crowd[::2]:
        each.sendall(b"GET / HTTP/1.1\r\nHo")
    for _ in range(50):
        assert target.get() == (200, "hello")
    assert target.memory("VmHWM") - before < 20 * MIB
    for each in crowd:
        each.close()


def test_a_flood_of_connections_starves_nobody(target):
    """A thousand that come and go, half of them by a reset, with and without a request."""
    before = target.memory()
    stop = threading.Event()
    made = [0] * 4

    def flood(number):
        while not stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", target.port), PATIENCE) as sock:
                    made[number] += 1
                    if made[number] % 2:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if number % 2:
                        sock.sendall(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
            except OSError:
                pass

    threads = [threading.Thread(target=flood, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    served = 0
    while sum(made) < 1000 or served < 10:
        assert target.get() == (200, "hello")
        served += 1
        assert time.monotonic() < deadline
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    # Twice -max-unread, and the answers to one batch of accepted connections.
    assert target.memory("VmHWM") - before < (2 * 32 + 64 + 20) * MIB
    assert target.stop() == 0
    assert not [record for record in target.records if record["level"] in ("error", "critical")]


def test_bodies_that_are_read_whole_fill_memory_up_to_their_limit(target):
    """Twenty bodies of -max-body at once, chunked so that none says its length; beyond it 413."""
    before = target.memory()

    def upload(size, answers):
        pieces = iter([b"x" * 65536] * (size // 65536))
        try:
            answers.append(target.get(method="POST", body=pieces))
        except OSError:
            answers.append((413, ""))  # the answer may be lost to a client that goes on sending

    for size, status in ((8 * MIB, 200), (16 * MIB, 413)):
        answers = []
        threads = [threading.Thread(target=upload, args=(size, answers)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert [answer[0] for answer in answers] == [status] * 20
    grown = target.memory("VmHWM") - before
    assert grown < 20 * 2.5 * 8 * MIB, f"{grown / MIB:.1f} MiB"
