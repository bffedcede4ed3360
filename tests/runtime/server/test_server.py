"""A real effe on a real socket: the contract of start, run and stop, and what happens when one side misbehaves."""

import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from ..conftest import PATIENCE

LOGIC = """
import sys, time, threading
from effetool.runtime import HTTPError, StartError
INFO = {"name": "probe", "version": "1.0"}
gate = threading.Event()
log = []
class Context:
    made = 0
    def __init__(self): Context.made += 1; self.number = Context.made
def start():
    if log and log[-1] == "fail": log.append("failed"); raise OSError("no database")
    if log and log[-1] == "once": log.append("onced"); raise StartError(Context())
    return Context()
def stop(context):
    print("stop", context.number, flush=True)
def run(context, error, response, request):
    what = request.path.strip("/")
    if what == "who": response.write(f"{context.number if context else None} {type(error).__name__}")
    elif what.startswith("status/"): raise HTTPError(int(what[7:]), "so it is", {"X-Why": "asked"})
    elif what == "returns": response.status = 503; return OSError("told")
    elif what == "value": return "text"
    elif what == "raises": response.write("half"); raise ValueError("secret inside")
    elif what == "cut": response.write("half"); response.flush(); raise ValueError("late")
    elif what == "next": log.append(request.query["start"]); raise ValueError("drop the context")
    elif what == "wait": gate.wait(30); response.write(f"waited {context.number}")
    elif what == "open": gate.set(); response.write("opened")
    elif what == "slow": time.sleep(float(request.query["s"])); response.write("slept")
    elif what == "stream":
        for i in range(int(request.query["n"])):
            response.write(b"x" * 65536); response.flush()
    elif what == "gone":
        try:
            while True: response.write(b"x" * 65536); response.flush()
        except ConnectionError as e: print("gone", flush=True); raise
    elif what == "small": response.headers["Content-Length"] = 3; response.write("hello")
    elif what == "large": response.headers["Content-Length"] = 30; response.write("hello")
    elif what == "late":
        response.flush()
        try: response.status = 404
        except RuntimeError as e: response.write(str(e))
    elif what == "length": response.write(str(len(request.body.read())))
    elif what == "json": response.json(request.json())
    else: response.write("hello")
"""


def talk(running, data, until_close=True, timeout=PATIENCE):
    """Send bytes, return every byte that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", running.port), timeout) as sock:
        sock.sendall(data)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        return answer


def ask(path, *lines, method="GET", body=b""):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: h", *lines, "", ""]).encode() + body


def status_of(running, field):
    """Read a number of proc_pid_status(5)."""
    return int(re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{running.process.pid}/status").read_text())[1])


CLOSE = "Connection: close"


@pytest.fixture
def probe(serve):
    return serve(LOGIC, "-concurrency", "3", "-queue", "1")


def test_start_and_run_have_their_outcomes(probe):
    """DESIGN's table: what start and run do decides what run is told, what the client sees, what is logged."""
    assert probe.get("/who") == (200, "1 NoneType")
    assert probe.get("/status/418") == (418, "so it is\n")
    assert probe.get("/returns")[0] == 503
    assert probe.record("run() returned an error")["error"] == "OSError: told"
    assert probe.get("/value") == (500, "Internal Server Error\n")
    assert "write the body to `response` instead" in probe.record("run() returned a value")["error"]
    assert probe.get("/who") == (200, "1 NoneType"), "none of these cost the context"
    status, body = probe.get("/raises")
    assert (status, body) == (500, "Internal Server Error\n"), "nothing of the inside"
    assert "secret inside" in probe.record("run() failed")["traceback"]
    assert probe.get("/who") == (200, "2 NoneType"), "a raise costs the context"
    probe.get("/next?start=fail")
    assert probe.get("/who") == (200, "None OSError")
    assert probe.get("/who") == (200, "3 NoneType")
    probe.get("/next?start=once")
    assert probe.get("/who") == (200, "4 StartError")
    assert probe.get("/who") == (200, "5 NoneType")
    assert probe.stop() == 0
    stopped = [int(line.split()[1]) for line in probe.process.stdout if line.startswith("stop")]
    assert sorted(stopped) == [1, 2, 3, 4, 5], "each context is stopped exactly once"


def test_a_crash_after_the_beginning_cuts_the_connection(probe):
    """A 500 can no longer be said; the chunks must not look complete."""
    with socket.create_connection(("127.0.0.1", probe.port), PATIENCE) as sock:
        sock.sendall(ask("/cut"))
        data = b""
        try:
            while piece := sock.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
    assert b"half" in data and not data.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "body"), [("/small", b"hel"), ("/large", b"hello")], ids=["longer than declared", "shorter than declared"]
)
def test_a_wrong_content_length_is_cut_logged_and_closed(probe, path, body):
    """The connection ends, so that no byte is taken for the next response."""
    head, _, rest = talk(probe, ask(path) + ask("/")).partition(b"\r\n\r\n")
    assert b"Connection: close" in head and rest == body
    assert "Content-Length" in probe.record("Content-Length")["message"]


def test_status_and_headers_are_fixed_once_the_response_has_begun(probe):
    """The response streams in chunks after flush()."""
    assert probe.get("/late") == (200, "the response has begun: its status is on its way")


def test_a_run_past_its_time_is_answered_504_from_outside(serve):
    """The run is not interrupted (nothing can do that safely); its context is stopped once, when it ends."""
    probe = serve(LOGIC, "-timeout", "300ms")
    status, body = probe.get("/slow?s=3")
    assert (status, body) == (504, "the function took too long\n")
    assert probe.record("exceeded -timeout")
    assert probe.get("/who") == (200, "2 NoneType"), "the first context is still in the run"
    assert probe.stop() == 0
    stopped = [line for line in probe.process.stdout if line.startswith("stop")]
    assert sorted(stopped) == ["stop 1\n", "stop 2\n"]


def test_a_run_that_never_returns_is_ended_by_the_grace(serve):
    """Its context is stopped once, by the end of the grace time."""
    probe = serve(LOGIC, "-grace", "500ms")
    with probe.connect() as sock:
        sock.sendall(ask("/slow?s=3600"))
        while probe.get("/who")[1] != "2 NoneType":
            pass
        assert probe.stop() == 0
    stopped = [line for line in probe.process.stdout if line.startswith("stop")]
    assert sorted(stopped) == ["stop 1\n", "stop 2\n"]


def test_concurrency_then_the_queue_then_503(probe):
    """Three contexts, one waits, the next is refused at once and told when to come again."""
    waiting = []
    for _ in range(4):
        sock = probe.connect()
        sock.sendall(ask("/wait", CLOSE))
        waiting.append(sock)
    deadline = time.monotonic() + PATIENCE
    answer = b""
    while b"503" not in answer and time.monotonic() < deadline:
        # Until the four have arrived this one may be among the first: then it waits, and is given up.
        with socket.create_connection(("127.0.0.1", probe.port), PATIENCE) as sock:
            sock.settimeout(0.5)
            sock.sendall(ask("/wait", CLOSE))
            try:
                answer = sock.recv(65536)
            except TimeoutError:
                answer = b""
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable") and b"Retry-After: 1" in answer
    probe.kill()
    for sock in waiting:
        sock.close()


@pytest.mark.slow
def test_slow_runs_do_not_stall_fast_ones(serve):
    """While eight runs sleep, others are answered: the sleepers lose the lead."""
    probe = serve(LOGIC)
    sleepers = [threading.Thread(target=probe.get, args=("/slow?s=2",)) for _ in range(8)]
    for sleeper in sleepers:
        sleeper.start()
    answered = 0
    while any(sleeper.is_alive() for sleeper in sleepers):
        assert probe.get("/") == (200, "hello")
        answered += 1
    assert answered > 20


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost", 408),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", 408),
        (b"", None),
    ],
    ids=["slow head", "stalled body", "silent"],
)
def test_a_client_that_stalls_is_ended(serve, sent, status):
    """Each of its waits has a time-out, and none holds a thread or a context."""
    probe = serve(LOGIC, "-header-timeout", "500ms", "-body-timeout", "500ms")
    answer = talk(probe, sent)
    assert answer.startswith(b"HTTP/1.1 %d" % status) if status else answer == b""


def test_an_unread_body_is_never_a_request(probe):
    """The next request on the connection is the client's next, not the body's content."""
    inner = ask("/who")
    answer = talk(probe, ask("/", f"Content-Length: {len(inner)}", method="POST", body=inner) + ask("/", CLOSE))
    assert answer.count(b"HTTP/1.1 200") == 2 and b"NoneType" not in answer


@pytest.mark.slow
def test_a_client_that_pauses_in_an_unread_body_is_waited_for(serve):
    """It is answered already, and its next request comes behind the body: -body-timeout holds as for any body."""
    probe = serve(LOGIC)
    with probe.connect() as sock:
        sock.sendall(ask("/", "Content-Length: 150000", method="POST") + b"x" * 100_000)
        assert sock.recv(65536).endswith(b"hello")
        time.sleep(3)  # longer than the two seconds that a connection lingers
        sock.sendall(b"x" * 50_000 + ask("/who", CLOSE))
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
    probe = serve(LOGIC, "-body-timeout", "300ms")
    with probe.connect() as sock:
        sock.sendall(ask("/", "Content-Length: 150000", method="POST") + b"x" * 100_000)
        assert sock.recv(65536).endswith(b"hello")
        try:
            assert sock.recv(1) == b"", "it stalls"
        except ConnectionResetError:
            pass


@pytest.mark.slow
def test_a_client_that_still_sends_what_was_refused_reads_why(serve):
    """RFC 9112 9.6: as long as it goes on sending, the connection is not reset over the answer."""
    probe = serve(LOGIC, "-max-body", "1KiB")
    with probe.connect() as sock:
        sock.sendall(ask("/", "Content-Length: 100000", method="POST"))
        for _ in range(8):
            sock.sendall(b"x" * 1000)
            time.sleep(0.5)
        assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_large_body_is_read_as_it_comes(serve):
    """Beyond what is collected before the run, the run itself reads."""
    probe = serve(LOGIC, "-max-body", "4MiB")
    assert probe.get("/length", method="POST", body=b"x" * 3_000_000) == (200, "3000000")
    assert probe.get("/length", method="POST", body=iter([b"x" * 100_000] * 20)) == (200, "2000000")
    assert probe.get("/length", method="POST", body=b"x" * 5_000_000)[0] == 413


def test_100_continue_is_sent_when_the_body_is_read(probe):
    """RFC 9110 10.1.1: a client that would not be listened to need not send."""
    with probe.connect() as sock:
        sock.sendall(ask("/length", "Content-Length: 5", "Expect: 100-continue", CLOSE, method="POST"))
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hello")
        assert sock.recv(65536).endswith(b"\r\n\r\n5")
    answer = talk(probe, ask("/", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    assert b"100 Continue" not in answer and b"Connection: close" in answer


def test_a_client_that_is_gone_is_noticed_by_the_next_write(probe):
    """ConnectionError in the author's code; not a crash, not logged as one."""
    with probe.connect() as sock:
        sock.sendall(ask("/gone"))
        sock.recv(1000)
    assert probe.process.stdout.readline() == "gone\n"
    assert probe.get("/")[0] == 200
    assert not [record for record in probe.records if record["level"] == "critical"]


def test_a_slow_reader_does_not_fill_memory(probe):
    """64 MiB are written to a client that does not read: the run waits, the process does not grow by it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", probe.port))
        sock.sendall(ask("/stream?n=1000"))
        sock.recv(1)
        for _ in range(50):
            assert probe.get("/")[0] == 200
        kib = status_of(probe, "VmRSS")
    assert kib < 60_000


def test_too_much_that_waits_for_slow_readers_cuts_off_the_slowest(serve):
    """-max-unread: those that stand still longest go first, and whoever reads is served."""
    size = 6_000_000  # the kernel takes the first megabytes
    logic = LOGIC.replace('else: response.write("hello")', f'else: response.write(b"x" * {size})')
    probe = serve(logic, "-max-unread", "10MiB", "-write-timeout", "1h")
    readers = []
    for _ in range(12):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", probe.port))
        sock.sendall(ask("/"))
        readers.append(sock)
    assert probe.record("too much waits for slow readers")["level"] == "warning"
    assert probe.get("/who")[0] == 200

    with pytest.raises(ConnectionResetError):
        list(iter(lambda: readers[0].recv(65536), b""))
    for sock in readers:
        sock.close()


def test_sigterm_answers_what_is_under_way(probe):
    """The answer says Connection: close; the idle connection ends; contexts are stopped; exit 0."""
    idle = probe.connect()
    idle.sendall(ask("/"))
    assert idle.recv(65536).endswith(b"hello")
    with probe.connect() as sock:
        sock.sendall(ask("/slow?s=1"))
        while probe.get("/who")[1] == "1 NoneType":
            pass
        probe.signal(signal.SIGTERM)
        answer = sock.recv(65536)
    assert answer.endswith(b"slept") and b"Connection: close" in answer
    assert idle.recv(1) == b""
    idle.close()
    assert probe.end() == 0


@pytest.mark.slow
def test_running_out_of_descriptors_is_survived(serve):
    """EMFILE: idle connections make room, and new clients are served."""
    probe = serve(LOGIC, prefix=("sh", "-c", 'ulimit -n 64; exec "$@"', "sh"))
    crowd = []
    for _ in range(150):
        sock = probe.connect()
        crowd.append(sock)
    assert probe.get("/") == (200, "hello")
    for sock in crowd:
        sock.close()
    assert probe.stop() == 0


@pytest.mark.slow
def test_idle_connections_cost_no_thread(serve):
    """A thousand of them are entries in a table."""
    probe = serve(LOGIC)
    probe.get("/")
    before = status_of(probe, "Threads")
    crowd = []
    for _ in range(800):
        sock = probe.connect()
        sock.sendall(ask("/"))
        assert sock.recv(65536).endswith(b"hello")
        crowd.append(sock)
    assert status_of(probe, "Threads") <= before + 1
    for sock in crowd:
        sock.close()
