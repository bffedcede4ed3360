"""Writing to a stderr that nobody reads (effetool/runtime/telemetry/writer.py)."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from effetool.runtime.telemetry.writer import Writer

from ..conftest import PATIENCE

EFFE = """
INFO = {"name": "hello", "version": "1.0"}
def run(context, error, response, request):
    response.write("hello")
"""


def note(count):
    return b"%d dropped\n" % count


def pair(kind):
    """A reader and a writer's descriptor of a kind that stderr may be; both block."""
    if kind == "socket":
        return [each.detach() for each in socket.socketpair()]
    return os.pipe() if kind == "pipe" else os.openpty()


@pytest.mark.filterwarnings("ignore:unclosed")  # a writer lives as long as its process
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [100, 30_000])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_nobody_reads_is_dropped_and_counted_and_the_count_is_told(kind, size):
    reader, descriptor = pair(kind)
    writer = Writer(descriptor)
    lines = [b"%06d%s" % (number, b"x" * size) for number in range(5000)]
    for line in lines:
        writer.write(line + b"\n", note)
    assert 0 < writer.lost < 5000
    assert os.get_blocking(descriptor)  # others that share it are not to be surprised
    os.set_blocking(reader, False)
    got = b""
    for _ in range(2):
        try:
            while True:
                got += os.read(reader, 65536)
        except BlockingIOError:
            writer.write(b"next\n", note)
    got += os.read(reader, 65536)
    kept = 5000 - writer.lost
    assert got.split(b"\n") == [*lines[:kept], b"%d dropped" % writer.lost, b"next", b"next", b""]
    os.close(reader)
    os.close(descriptor)


def test_a_child_of_a_fork_does_not_wait_for_a_thread_it_does_not_have():
    reader, descriptor = os.pipe()
    writer = Writer(descriptor)
    writer._lock.acquire()
    child = os.fork()
    if child == 0:
        writer.write(b"child\n", note)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 100) == b"child\n"
    os.close(reader)
    os.close(descriptor)


def rest(reader):
    """Read until the last writer has gone (of a terminal that is EIO); return it all."""
    data = b""
    try:
        while more := os.read(reader, 65536):
            data += more
    except OSError:
        pass
    return data


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
@pytest.mark.parametrize("flags", [(), ("-workers", "1")])
def test_a_log_nobody_reads_stops_no_request(built, kind, flags, tmp_path):
    """On a built file: 64 KiB of pipe are full after some hundred records."""
    effe, place = built(EFFE), tmp_path / "socket"
    reader, writer = pair(kind)
    environ = {**os.environ, "EFFE_LOG": "json"}
    command = [str(effe), "-unix", str(place), "-access-log", "-admin", "127.0.0.1:0", *flags]
    process = subprocess.Popen(command, env=environ, stderr=writer, stdout=subprocess.DEVNULL)
    os.close(writer)
    try:
        said = b""
        while b"is ready" not in said or not said.endswith(b"\n"):
            said += os.read(reader, 65536)
        ready = next(line for line in said.splitlines() if b"is ready" in line)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(place))
            for _ in range(5000):
                client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert client.recv(4096).endswith(b"hello")
        admin = http.client.HTTPConnection(json.loads(ready)["admin"].removeprefix("http://"), timeout=PATIENCE)
        admin.request("GET", "/metrics")
        counted = int(re.search(rb"effe_log_records_dropped_total (\d+)", admin.getresponse().read())[1])
        admin.close()
        assert 0 < counted < 5000
        process.send_signal(signal.SIGTERM)
        shown = rest(reader).count(b'"message":"request"')
        assert process.wait(PATIENCE) == 0
        assert 5000 - 1 <= shown + counted <= 5000  # one may have been taken in part
    finally:
        process.kill()
        process.wait()
        os.close(reader)
