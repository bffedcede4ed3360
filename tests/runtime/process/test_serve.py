"""One serving process, from its ready line to its end (effetool/runtime/process/serve.py)."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from ..conftest import PATIENCE

EFFE = """
import json, os, pathlib, sys, threading, time
INFO = {"name": "hello", "version": "1.0"}
go = pathlib.Path("go")
def note(text):
    with open("notes", "a") as file:
        file.write(text + "\\n")
def wait():
    while not go.exists():
        time.sleep(0.005)
def init():
    note("init")
def start():
    note("start")
    return object()
def run(context, error, response, request):
    if request.path == "/wait":
        note("waiting")
        wait()
    elif request.path == "/stream":
        response.write("one")
        response.flush()
        wait()
        response.write("two")
    elif request.path == "/upload":
        note("reading")
        response.write(str(len(request.body.read())))
        return
    elif request.path == "/never":
        note("waiting")
        threading.Event().wait()
    elif request.path == "/c":
        import hashlib
        note("waiting")
        hashlib.pbkdf2_hmac("sha256", b"x", b"x", 2**31 - 1)  # half an hour in C
    response.write("hello")
def stop(context):
    note("stop")
"""


@pytest.fixture
def notes(tmp_path):
    """What the effe has noted; wait for a note."""

    def read(wanted=None, count=1):
        deadline = threading.Event()
        for _ in range(6000):
            text = (tmp_path / "notes").read_text() if (tmp_path / "notes").exists() else ""
            if wanted is None or text.split("\n").count(wanted) >= count:
                return text.split()
            deadline.wait(0.01)
        raise AssertionError(f"no {wanted!r} in {text!r}")

    return read


def ask(running, text, port=None):
    """Send a request as bytes; return the connection as a file that reads the answer."""
    connection = running.connect(port)
    connection.sendall(text.encode())
    return connection, connection.makefile("rb")


def head(file):
    """Read an answer's head."""
    lines = []
    while (line := file.readline()) not in (b"\r\n", b""):
        lines.append(line.decode().strip().lower())
    return lines


def test_sigterm_lets_requests_in_flight_finish(serve, notes, tmp_path):
    """They are answered, with Connection: close; new connections are refused; contexts are stopped; exit 0."""
    running = serve(EFFE)
    connection, file = ask(running, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
    notes("waiting")
    running.signal()
    running.record("stopping")
    for _ in range(6000):
        try:
            running.connect().close()
        except OSError:
            break
        threading.Event().wait(0.01)
    (tmp_path / "go").touch()
    lines = head(file)
    assert lines[0] == "http/1.1 200 ok" and "connection: close" in lines
    assert file.read() == b"hello"
    connection.close()
    assert running.end() == 0
    assert notes() == ["init", "start", "waiting", "stop"]


def test_sigterm_lets_a_streaming_answer_end(serve, tmp_path):
    """The client gets every chunk and the end."""
    running = serve(EFFE)
    connection, file = ask(running, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
    assert "transfer-encoding: chunked" in head(file)
    assert file.readline() + file.readline() == b"3\r\none\r\n"
    running.signal()
    running.record("stopping")
    (tmp_path / "go").touch()
    assert re.sub(rb"[0-9a-f]+\r\n|\r\n", b"", file.read()) == b"twohello"
    connection.close()
    assert running.end() == 0


def test_a_client_that_was_told_nothing_may_ask_again(serve, tmp_path):
    """An answer whose head went out before SIGTERM promised to go on: the next request is served, and told the end."""
    running = serve(EFFE)
    connection, file = ask(running, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
    assert "connection: close" not in head(file)
    running.signal()
    with contextlib.suppress(ConnectionError):  # until it listens no more
        while True:
            running.connect().close()
    (tmp_path / "go").touch()
    while file.readline() != b"0\r\n":
        pass
    assert file.readline() == b"\r\n"
    connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert "connection: close" in head(file)
    assert file.read() == b"hello"
    connection.close()
    assert running.end() == 0


def test_sigterm_lets_an_upload_end(serve):
    """A body that is on its way is read, run and answered."""
    running = serve(EFFE)
    connection, file = ask(
        running, "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + "x" * 100_000
    )
    running.get("/")  # another connection: the first has been read by now
    running.signal()
    running.record("stopping")
    connection.sendall(b"x" * 200_000)
    assert head(file)[0] == "http/1.1 200 ok"
    assert file.read() == b"300000"
    connection.close()
    assert running.end() == 0


def test_sigterm_closes_idle_connections(serve):
    """Without waiting for their time-out."""
    running = serve(EFFE, "-idle-timeout", "1h")
    connection, file = ask(running, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert "content-length: 5" in head(file) and file.read(5) == b"hello"
    running.signal()
    assert file.read() == b""
    connection.close()
    assert running.end() == 0


def test_a_second_signal_means_now(serve, notes):
    """The request is lost, its context is stopped all the same."""
    running = serve(EFFE, "-grace", "1h")
    connection, _ = ask(running, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n")
    notes("waiting")
    running.signal(signal.SIGINT)
    running.record("stopping")
    running.signal()
    running.end()
    connection.close()
    assert notes() == ["init", "start", "waiting", "stop"]


@pytest.mark.parametrize("path", ["/never", "/c"])
def test_grace_ends_a_run_that_does_not(serve, notes, path):
    """Whether it waits in Python or in C; its context is stopped once."""
    running = serve(EFFE, "-grace", "200ms")
    connection, _ = ask(running, f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
    notes("waiting")
    running.stop()
    connection.close()
    assert notes() == ["init", "start", "waiting", "stop"]


def test_sigterm_while_init_runs_is_heard(serve, notes, tmp_path):
    """It ends when init does, and serves nobody."""
    running = serve(EFFE.replace('note("init")', 'note("init"); wait()'), ready=False)
    notes("init")
    running.signal()
    (tmp_path / "go").touch()
    assert running.end() == 0
    assert notes() == ["init"]


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare (Linux)"
)
def test_it_works_as_pid_1(serve, notes):
    """The kernel drops SIGTERM for a PID 1 that does not handle it: containers would be killed after their grace."""
    running = serve(EFFE, prefix=("unshare", "--pid", "--fork", "--kill-child"))
    pid = int(Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text())
    assert re.search(r"NSpid:.*\t1\n", Path(f"/proc/{pid}/status").read_text())
    assert running.get() == (200, "hello")
    os.kill(pid, signal.SIGTERM)
    assert running.end() == 0
    assert notes() == ["init", "start", "stop"]


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are found in /proc")
@pytest.mark.parametrize("flags", [[], ["-workers", "1"]])
def test_no_socket_gets_the_number_of_a_closed_standard_stream(serve, tmp_path, flags):
    """A record is written to descriptor 2: were that a connection, a client would read the log."""

    def close():
        for descriptor in range(3):
            os.close(descriptor)

    running = serve(EFFE, "-unix", "s.sock", *flags, ready=False, preexec_fn=close)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        for _ in range(PATIENCE * 100):
            if client.connect_ex(str(tmp_path / "s.sock")) == 0:
                break
            threading.Event().wait(0.01)
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    pid = running.process.pid
    for each in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        assert {str(Path(f"/proc/{each}/fd/{number}").readlink()) for number in range(3)} == {"/dev/null"}
    assert running.stop() == 0


def test_a_unix_socket_serves_and_is_removed(serve, tmp_path):
    """For a proxy on the same machine."""
    running = serve(EFFE, "-unix", "hello.sock")
    assert running.address == "unix:hello.sock"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "hello.sock"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").read().endswith(b"\r\n\r\nhello")
    assert running.stop() == 0
    assert not (tmp_path / "hello.sock").exists()


def test_without_a_host_ipv4_and_ipv6_are_served(serve):
    """One port, both families."""
    running = serve(EFFE, environ={"EFFE_HOST": ""})
    assert running.get() == (200, "hello")
    if socket.has_ipv6:
        with socket.create_connection(("::1", running.port), 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert client.makefile("rb").read().endswith(b"\r\n\r\nhello")


def test_it_ends_itself_when_idle(serve, notes):
    """Of use under socket activation: the next connection starts it again."""
    running = serve(EFFE, "-idle-exit", "300ms")
    assert running.get() == (200, "hello")
    assert running.end() == 0
    assert running.record("stopping")["reason"] == "idle"
    assert notes() == ["init", "start", "stop"]


def test_the_service_manager_is_told(serve, tmp_path):
    """Type=notify: READY=1 when it answers, STOPPING=1 when it drains; not to the author's children."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        running = serve(
            EFFE + 'import os\nassert "NOTIFY_SOCKET" not in os.environ\n',
            environ={"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        assert manager.recv(1000) == b"READY=1"
        assert running.get() == (200, "hello")
        running.signal()
        assert manager.recv(1000) == b"STOPPING=1"


def test_sighup_does_not_end_it(serve):
    """And the log says what new code needs."""
    running = serve(EFFE)
    running.signal(signal.SIGHUP)
    assert "needs -workers" in running.record("SIGHUP")["message"]
    assert running.get() == (200, "hello")


def test_live_ready_metrics_and_info_are_on_their_own_port(serve):
    """And the main port's paths stay the author's."""
    running = serve(EFFE, "-admin", "127.0.0.1:0")
    assert running.get("/ready") == (200, "hello")
    assert running.get("/live", running.admin) == (200, "live\n")
    assert running.get("/ready", running.admin) == (200, "ready\n")
    assert running.get("/nothing", running.admin)[0] == 404
    assert running.get("/live", running.admin, method="HEAD") == (200, "")
    assert running.get("/live", running.admin, method="POST")[0] == 501
    assert json.loads(running.get("/info", running.admin)[1])["name"] == "hello"
    page = running.get("/metrics", running.admin)[1]
    assert 'effe_requests_total{code="2xx"} 1\n' in page
    assert "effe_contexts_started_total 1\n" in page and "effe_contexts_idle 1\n" in page


def test_ready_is_false_from_sigterm_on_while_requests_finish(serve, notes, tmp_path):
    """So that a balancer sends no more, while what is in flight is answered; live stays true."""
    running = serve(EFFE, "-admin", "127.0.0.1:0")
    connection, file = ask(running, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
    notes("waiting")
    running.signal()
    running.record("stopping")
    assert running.get("/ready", running.admin) == (503, "not serving\n")
    assert running.get("/live", running.admin) == (200, "live\n")
    assert "effe_requests_in_flight 1\n" in running.get("/metrics", running.admin)[1]
    (tmp_path / "go").touch()
    assert head(file)[0] == "http/1.1 200 ok"
    connection.close()
    assert running.end() == 0


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("return True", (200, "ready\n")),
        ("pass", (200, "ready\n")),
        ("return False", (503, "ready() says no\n")),
        ("raise OSError('secret')", (503, "ready() raised OSError\n")),
    ],
)
def test_the_authors_ready_has_a_word(serve, body, answer):
    """A dependency that is missing takes the effe out of the balancer; what it said is for the log alone, once."""
    running = serve(EFFE + f"def ready():\n    {body}\n", "-admin", "127.0.0.1:0")
    for _ in range(3):
        assert running.get("/ready", running.admin) == answer
    running.stop()
    said = [record["error"] for record in running.records if record["message"] == "ready() raised"]
    assert said == (["OSError: secret"] if "raise" in body else [])


def test_a_ready_that_hangs_is_an_answer_too(serve, notes):
    """The second probe is told; it waits for nothing."""
    running = serve(EFFE + "def ready():\n    note('asked')\n    threading.Event().wait()\n", "-admin", "127.0.0.1:0")
    with running.connect(running.admin) as first:
        first.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
        notes("asked")
        assert running.get("/ready", running.admin) == (503, "ready() has not returned\n")
        assert running.get("/live", running.admin) == (200, "live\n")


@pytest.mark.parametrize(("author", "interval"), [("", "0.0005"), ("sys.setswitchinterval(0.002)", "0.002")])
def test_a_run_that_computes_yields_early_unless_the_author_says_otherwise(serve, author, interval):
    """The interpreter's switch interval is a tenth of Python's own; an author's is kept."""
    source = f"""
import sys
INFO = {{"name": "yielding", "version": "1.0"}}
{author}
def run(context, error, response, request):
    response.write(str(sys.getswitchinterval()))
"""
    assert serve(source).get() == (200, interval)
