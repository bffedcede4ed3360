"""The admin listener under those who misbehave (effetool/runtime/process/admin.py); its pages are in
test_process.py."""

import http.client
import socket
import threading

import pytest

from effetool.runtime.flags import Settings
from effetool.runtime.process import admin
from effetool.runtime.process.admin import Admin


@pytest.fixture
def listening():
    """An admin listener with the given pages; returns its port."""
    made = []

    def start(live=lambda: None, ready=lambda: None, metrics=lambda: "x 1\n"):
        one = Admin(Settings(admin="127.0.0.1:0"), live, ready, metrics, '{"name": "hello"}')
        made.append(one)
        one.start()
        return int(one.address.rpartition(":")[2])

    yield start
    for one in made:
        one.close()
        for server in one._servers:
            server.shutdown()


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()
    finally:
        connection.close()


def test_each_page_has_its_type(listening):
    """Prometheus wants the version of its text; a query changes nothing."""
    port = listening()
    assert get(port, "/metrics?x") == (200, "text/plain; version=0.0.4; charset=utf-8", "x 1\n")
    assert get(port, "/info") == (200, "application/json", '{"name": "hello"}')
    assert get(port, "/live") == (200, "text/plain; charset=utf-8", "live\n")
    assert get(port, "/ready") == (200, "text/plain; charset=utf-8", "ready\n")
    assert get(port, "/")[0] == 404


def test_a_page_that_fails_says_nothing_of_the_inside(listening):
    """The type of the error, for who looks; and the next call is answered."""

    def fail():
        raise ValueError("secret")

    port = listening(metrics=fail)
    assert get(port, "/metrics") == (500, "text/plain; charset=utf-8", "ValueError\n")
    assert get(port, "/live")[0] == 200


def test_callers_that_hang_take_no_more_than_their_share(listening):
    """Beyond a few calls at once the oldest make room, so that they cost no thread; whoever asks is answered."""
    port = listening()
    crowd = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(admin._CALLS + 20)]
    for each in crowd[:20]:
        assert each.recv(1) == b""
    for _ in range(10):
        assert get(port, "/live")[0] == 200
    for each in crowd:
        each.close()


def test_a_page_that_is_being_made_keeps_its_place(listening):
    """A call that has asked is not the one that makes room: a slow ready() would never be heard."""
    asked, answer = threading.Event(), threading.Event()

    def ready():
        asked.set()
        assert answer.wait(60)

    port = listening(ready=ready)
    with socket.create_connection(("127.0.0.1", port), 60) as slow:
        slow.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
        assert asked.wait(60)
        crowd = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(admin._CALLS + 1)]
        assert [each.recv(1) for each in crowd[:2]] == [b"", b""]
        answer.set()
        assert slow.recv(100).startswith(b"HTTP/1.0 200 ")
    for each in crowd:
        each.close()


@pytest.mark.slow
def test_the_first_probes_of_a_built_effe_come_at_once_and_are_all_answered(serve, built):
    """Kubernetes sends its liveness and its readiness probe together, to a process that has answered nobody yet."""
    source = 'INFO = {"name": "probed", "version": "1.0"}\ndef run(context, error, response, request): pass\n'
    for _ in range(5):
        running = serve(source, command=[built(source), "-admin", "127.0.0.1:0"])
        answers, start = [], threading.Barrier(4)

        def probe(path, admin=running.admin, answers=answers, start=start):
            start.wait()
            try:
                answers.append(get(admin, path)[0])
            except (OSError, http.client.HTTPException) as error:
                answers.append(repr(error))

        threads = [threading.Thread(target=probe, args=(path,)) for path in ("/live", "/ready") * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 4
        assert running.stop() == 0
