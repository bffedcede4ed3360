"""Each limit that has a flag, at its edge, by a process that serves: below it is served, beyond it has its status.

The limits of bodies, contexts, the queue, runs and stalled requests are in test_server.py.
"""

import socket
import struct
import threading

import pytest

from .conftest import PATIENCE

EFFE = """
import time
INFO = {"name": "edge", "version": "1.0"}
def start():
    print("start", flush=True)
    return object()
def run(context, error, response, request):
    if request.path == "/sleep":
        time.sleep(3600)
    elif request.path == "/large":
        response.write(b"x" * 30_000_000)
    elif request.path == "/stream":
        try:
            while True:
                response.write(b"x" * 65536)
                response.flush()
        except ConnectionError as error:
            print(error, flush=True)
            raise
    else:
        response.write("hello")
def stop(context):
    print("stop", flush=True)
"""


def status(running, data):
    """Send it, and return the status and whether the connection ends after it."""
    with running.connect() as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read()
    return int(answer[9:12]), b"\r\nConnection: close\r\n" in answer


def head(target="/", fields=()):
    return "".join([f"GET {target} HTTP/1.1\r\nHost: h\r\n", *(f"{field}\r\n" for field in fields), "\r\n"]).encode()


@pytest.mark.parametrize(
    ("flags", "within", "beyond", "refusal"),
    [
        (["-max-target", "100"], head("/" + "a" * 99), head("/" + "a" * 100), 414),
        (["-max-headers", "3"], head(fields=["a: 1", "b: 2"]), head(fields=["a: 1", "b: 2", "c: 3"]), 431),
        (["-max-header", "200"], head(fields=["a: " + "x" * 160]), head(fields=["a: " + "x" * 200]), 431),
    ],
    ids=["target", "fields", "head"],
)
def test_a_head_beyond_a_limit_is_refused(serve, flags, within, beyond, refusal):
    """RFC 9112 3: 414; RFC 6585 5: 431; and the connection closes, for its rest was not read."""
    running = serve(EFFE, *flags)
    assert status(running, within) == (200, False)
    assert status(running, beyond) == (refusal, True)
    assert status(running, beyond[:-2]) == (refusal, True), "at once, not when the head is complete"


@pytest.mark.slow
def test_connections_beyond_their_limit_make_room(serve):
    """The ones that have done nothing for longest go; whoever comes is served."""
    running = serve(EFFE, "-max-connections", "5")
    crowd = []
    for _ in range(10):
        client = running.connect()
        client.settimeout(PATIENCE)
        client.sendall(head())
        assert client.recv(1000).endswith(b"hello"), "who has just come is not the one that goes"
        crowd.append(client)
    assert crowd[0].recv(1) == b"", "the oldest was closed"
    assert running.get() == (200, "hello")
    for client in crowd:
        client.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_as_many_connections_are_served_as_the_limit_says(serve, host):
    """Also where the process listens at two addresses: its own sockets do not count."""
    running = serve(EFFE, "-max-connections", "1", "-host", host)
    for _ in range(3):
        assert running.get() == (200, "hello")


def test_an_idle_connection_is_closed(serve):
    """-idle-timeout, after an answer; in silence."""
    running = serve(EFFE, "-idle-timeout", "300ms")
    with running.connect() as client:
        client.sendall(head())
        assert client.makefile("rb").read().endswith(b"hello")


@pytest.mark.parametrize("path", ["/large", "/stream"])
def test_a_client_that_does_not_read_is_cut_off(serve, path):
    """-write-timeout, for a whole answer and for one that streams: then run is told."""
    running = serve(EFFE, "-write-timeout", "300ms", "-admin", "127.0.0.1:0")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", running.port))
        client.sendall(head(path))
        assert running.process.stdout.readline() == "start\n"
        if path == "/stream":
            assert "does not read" in running.process.stdout.readline()
        for _ in range(PATIENCE * 20):  # until it is the only one left that asks
            if "effe_connections 0\n" in running.get("/metrics", running.admin)[1]:
                break
            threading.Event().wait(0.05)
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: client.recv(65536), b""))
    assert not [record for record in running.records if record["level"] == "critical"]


def test_an_idle_context_is_stopped(serve):
    """-context-idle; the next request starts another."""
    running = serve(EFFE, "-context-idle", "300ms")
    assert running.get() == (200, "hello")
    assert [running.process.stdout.readline() for _ in range(2)] == ["start\n", "stop\n"]
    assert running.get() == (200, "hello")
    assert running.process.stdout.readline() == "start\n"


def test_a_request_that_waits_too_long_for_a_context_is_503(serve):
    """-timeout counts in the queue too; Retry-After says when to come again."""
    running = serve(EFFE, "-concurrency", "1", "-timeout", "1s", "-grace", "0")
    with running.connect() as first:
        first.sendall(head("/sleep"))
        assert running.process.stdout.readline() == "start\n"
        with running.connect() as second:
            second.sendall(head())
            answer = second.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 1\r\n" in answer


ANSWERS = """
INFO = {"name": "answers", "version": "1.0"}
def run(context, error, response, request):
    kind = request.path
    if kind == "/none":
        response.status = 204
    elif kind == "/same":
        response.status = 304
    elif kind == "/long":
        response.headers["Content-Length"] = "3"
    elif kind == "/short":
        response.headers["Content-Length"] = "9"
    elif kind in ("/crash", "/long-stream", "/short-stream"):
        if kind != "/crash":
            response.headers["Content-Length"] = "7" if kind == "/long-stream" else "99"
        response.write("begun")
        response.flush()
        if kind == "/crash":
            raise RuntimeError("too late")
    elif kind == "/large":
        response.write(b"x" * 30_000_000)
        return
    elif kind == "/read":
        request.body.read()
    response.write("hello")
"""


def test_the_access_log_says_what_was_sent(serve):
    """The bytes of the body, none where there is no body, and that an answer was cut."""
    running = serve(ANSWERS, "-access-log", "-write-timeout", "300ms")

    def logged(data, read=True):
        count = sum(record["message"] == "request" for record in running.records)
        with running.connect() as client:
            client.sendall(data)
            if read:
                client.shutdown(socket.SHUT_WR)
                try:
                    while client.recv(1 << 20):
                        pass
                except ConnectionResetError:
                    pass
            else:
                running.record("request", count + 1)
        record = running.record("request", count + 1)
        return record["size"], record.get("cut", False)

    assert logged(head("/")) == (5, False)
    assert logged(head("/").replace(b"GET", b"HEAD")) == (0, False)
    assert logged(head("/short").replace(b"GET", b"HEAD")) == (0, False)
    assert logged(head("/none")) == logged(head("/same")) == (0, False)
    assert logged(head("/long")) == (3, True)
    assert logged(head("/short")) == (5, True)
    assert logged(head("/crash")) == (5, True)
    assert logged(head("/long-stream")) == (7, True)
    assert logged(head("/short-stream")) == (10, True)
    assert logged(head("/large")) == (30_000_000, False)
    size, cut = logged(head("/large"), read=False)
    assert 0 < size < 30_000_000 and cut


def test_a_client_that_goes_away_in_its_body_is_logged(serve):
    """Its request was not answered: no byte, and cut."""
    running = serve(ANSWERS, "-access-log")
    with running.connect() as client:
        client.sendall(head("/read", ["Content-Length: 1000000", "Expect: 100-continue"]))
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    record = running.record("request")
    assert (record["size"], record["cut"]) == (0, True)
