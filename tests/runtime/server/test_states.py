"""The times of a connection (effetool/runtime/server/states.py): a client that drips is ended all the same, in each
state."""

import ast
import select
import socket
import ssl
import time
from pathlib import Path

import pytest

from effetool.runtime.server.states import LINGER_MOST, PROGRESS, TIMES

from ..conftest import PATIENCE, ROOT
from .test_tls import certificate

pytestmark = pytest.mark.slow  # each waits by the clock, for seconds

EFFE = """
INFO = {"name": "times", "version": "1.0"}
from time import sleep
def run(context, error, response, request):
    if request.path == "/read":
        try:
            response.write(str(len(request.body.read())))
        except BaseException as error:
            print(error, flush=True)
            raise
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
    elif request.path == "/sleep":
        sleep(3)
    else:
        response.write("hello")
"""
# Every time-out; -timeout is longer, so that it is not what ends a body.
T = 1.0
FLAGS = [
    *("-header-timeout", "1s", "-body-timeout", "1s", "-write-timeout", "1s", "-idle-timeout", "1s"),
    *("-timeout", "4s", "-admin", "127.0.0.1:0"),
]
# What a busy machine may add.
SLACK = 8.0
HEAD = b"GET / HTTP/1.1\r\nHost: h\r\n"


class Plain:
    """A client's end of a connection: `send` puts octets on the wire, `over` says whether the server has ended it."""

    def __init__(self, running, port=None, receive=None):
        self.sock = socket.socket()
        OPEN.append(self.sock)
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", port or running.port))
        self.answer = b""
        self.begun = time.monotonic()

    def send(self, data):
        self.sock.sendall(data)

    def over(self, seconds):
        """Wait for so long at most; True when the server has ended it. What it has said is in `answer`."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.sock], [], [], left)[0]:
                return False
            try:
                piece = self.sock.recv(65536)
            except OSError:
                return True
            if not piece:
                return True
            self.answer += piece
        return False

    def drip(self, pieces, gap):
        """Send the pieces, one each `gap` seconds, until the server ends it; return the seconds since `begun`."""
        for piece in pieces:
            try:
                self.send(piece)
            except OSError:
                break
            if self.over(gap):
                break
        else:
            pytest.fail(f"not ended after {time.monotonic() - self.begun} s")
        return time.monotonic() - self.begun


class Encrypted(Plain):
    """The same over TLS: `send` writes a record, `raw` octets as they are."""

    def __init__(self, running, receive=None, shake=True):
        super().__init__(running, receive=receive)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out)
        while shake:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.sock.sendall(self._out.read())
                self._in.write(self.sock.recv(65536))
        if shake:
            self.sock.sendall(self._out.read())
            self.begun = time.monotonic()

    def record(self, data):
        """Return the octets of a record; without data, those of the handshake's first."""
        if data:
            self._tls.write(data)
        else:
            with pytest.raises(ssl.SSLWantReadError):
                self._tls.do_handshake()
        return self._out.read()

    def send(self, data):
        self.sock.sendall(self.record(data))

    def over(self, seconds):
        seen, self.answer = self.answer, b""
        ended = super().over(seconds)
        self._in.write(self.answer)
        self.answer = seen
        try:
            while piece := self._tls.read(65536):
                self.answer += piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return True
        return ended


OPEN = []


@pytest.fixture(autouse=True)
def _closed():
    yield
    while OPEN:
        OPEN.pop().close()


def octets(data):
    return [data[i : i + 1] for i in range(len(data))]


def lines(start=HEAD):
    return [start, *(b"a: b\r\n" for _ in range(90))]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("pair"), "one.test")


@pytest.fixture(params=["plain", "tls"])
def target(request, serve, pair):
    """A running effe, and what opens a connection to it."""
    tls = request.param == "tls"
    running = serve(EFFE, *FLAGS, *(["-cert", str(pair[0]), "-key", str(pair[1])] if tls else []))
    kind = Encrypted if tls else Plain
    return running, lambda **options: kind(running, **options)


def ends(seconds, least, most=None):
    assert least * 0.9 <= seconds < (most or least) + SLACK, seconds


def chunks(size, count=200):
    return [b"%x\r\n%b\r\n" % (size, b"x" * size)] * count


BODY = b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%b\r\n"
CHUNKED = b"POST %b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n%b\r\n"
EXPECT = b"Expect: 100-continue\r\n"
# Pieces, and the seconds between two of them. Less than 1 KiB in a time-out is none.
SLOW = {
    "an octet": ([b"x"] * 400, 0.1),
    "a line": ([b"xxxx\r\n"] * 400, 0.1),
    "1 KiB less one": ([b"x" * (PROGRESS - 1)] * 60, 0.7),
}


@pytest.mark.parametrize("pieces", [octets(HEAD * 9), lines(), lines(b"\r\n" + HEAD)], ids=["octet", "line", "empty"])
def test_a_head_has_its_time_from_its_first_octet_once(target, pieces):
    """408. A whole line is no progress: a head of a hundred lines would take a hundred times as long."""
    client = target[1]()
    ends(client.drip(pieces, 0.15), T)
    assert client.answer.startswith(b"HTTP/1.1 408 ")


def test_a_head_behind_a_request_has_its_time_from_its_first_octet_once(target):
    """The answer before it gives it none of the time of an idle connection."""
    client = target[1]()
    ends(client.drip(lines(HEAD + b"\r\n" + HEAD), 0.15), T)
    assert client.answer.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 408 " in client.answer


def test_silence_is_ended(target):
    """Before the first request and after an answer; without a word."""
    client = target[1]()
    assert client.over(PATIENCE) and not client.answer
    ends(time.monotonic() - client.begun, T)
    client = target[1]()
    client.send(HEAD + b"\r\n")
    assert client.over(PATIENCE) and client.answer.startswith(b"HTTP/1.1 200 ")
    ends(time.monotonic() - client.begun, T)


@pytest.mark.parametrize("target", ["tls"], indirect=True)
def test_a_handshake_has_its_time_once(target):
    """An octet of the first record each 0.1 s; there is a second more, for what might be a request."""
    client = target[1](shake=False)
    record = client.record(b"")
    client.send = client.sock.sendall
    ends(client.drip(octets(record), 0.1), T, 2 * T)


@pytest.mark.parametrize("target", ["tls"], indirect=True)
@pytest.mark.parametrize("asked", [False, True], ids=["first", "next"])
def test_a_record_that_drips_has_its_time_once(target, asked):
    """Of a first request (-header-timeout) and of a next one (-idle-timeout), and a second more for each."""
    client = target[1]()
    if asked:
        client.send(HEAD + b"\r\n")
        while not client.answer:
            client.over(0.05)
        client.begun = time.monotonic()
    record = client.record(HEAD * 9)
    client.send = client.sock.sendall
    ends(client.drip(octets(record), 0.1), T, 2 * T)


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_small_body_without_progress_is_408(target, framing, slow):
    pieces, gap = SLOW[slow]
    if framing == "chunked":
        pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    head = BODY % (b"/read", 60_000, b"") if framing == "length" else CHUNKED % (b"/read", b"")
    client = target[1]()
    ends(client.drip([head, *pieces], gap), T)
    assert client.answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.parametrize("begun", ["expect", "large"])
def test_a_body_that_run_reads_without_progress_is_408(target, begun, slow):
    """After 100 (Continue), and beyond the 64 KiB that are collected: each octet would begin a new time-out."""
    pieces, gap = SLOW[slow]
    running, connect = target
    client = connect()
    if begun == "expect":
        client.send(BODY % (b"/read", 1_000_000, EXPECT))
        while not client.answer:
            client.over(0.05)
    else:
        client.send(BODY % (b"/read", 1_000_000, b"") + b"x" * 100_000)
    client.begun = time.monotonic()
    ends(client.drip(pieces, gap), T)
    assert b"HTTP/1.1 408 " in client.answer
    assert running.process.stdout.readline() == "408 the body has stalled\n"


def test_a_body_with_progress_is_read_however_long_it_takes(target):
    """-body-timeout counts from the last progress, and -timeout does not begin before the body's end."""
    client = target[1]()
    client.send(BODY % (b"/read", 80_000 + 12 * 2048, b"") + b"x" * 80_000)
    for _ in range(12):  # 6 s, and -timeout is 4
        assert not client.over(0.5), client.answer
        client.send(b"x" * 2048)
    while not client.answer:
        client.over(0.05)
    assert client.answer.startswith(b"HTTP/1.1 200 ") and client.answer.endswith(b"104576")


def test_a_run_has_its_time_to_the_first_octet(serve):
    """-timeout: 504 from outside, whatever its client sends meanwhile."""
    client = Plain(serve(EFFE, "-timeout", "1s"))
    client.send(HEAD.replace(b"/", b"/sleep", 1) + b"\r\n")
    ends(client.drip([b"x"] * 100, 0.1), T)
    assert client.answer.startswith(b"HTTP/1.1 504 ")


def test_a_request_has_its_time_in_the_queue(serve):
    """-timeout from the end of the request: 503, whatever its client sends meanwhile."""
    running = serve(EFFE, "-timeout", "2s", "-concurrency", "1")
    first, second = Plain(running), Plain(running)
    first.send(HEAD.replace(b"/", b"/sleep", 1) + b"\r\n")
    first.over(0.2)
    second.begun = time.monotonic()
    second.send(HEAD + b"\r\n")
    ends(second.drip([b"x"] * 100, 0.1), 2 * T)
    assert second.answer.startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("path", [b"/large", b"/stream"])
def test_a_reader_without_progress_is_ended(target, path):
    """It takes an octet each 0.1 s, and so its system some more now and then; -write-timeout would begin anew."""
    running, connect = target
    client = connect(receive=4096)
    client.send(HEAD.replace(b"/", path, 1) + b"\r\n")
    assert client.sock.recv(1)
    while "effe_connections 0\n" not in running.get("/metrics", running.admin)[1]:
        assert time.monotonic() - client.begun < PATIENCE, "it is still there"
        client.sock.recv(1)
        time.sleep(0.1)  # the pace of the attack
    ends(time.monotonic() - client.begun, T)
    if path == b"/stream":
        assert "does not read" in running.process.stdout.readline()


@pytest.mark.parametrize("slow", SLOW)
def test_a_rest_that_nobody_reads_is_ended_without_progress(target, slow):
    """Only new octets of the body count."""
    pieces, gap = SLOW[slow]
    client = target[1]()
    client.send(CHUNKED % (b"/", b"") + b"20000\r\n" + b"x" * 69_000)
    while not client.answer:
        client.over(0.05)
    assert client.answer.startswith(b"HTTP/1.1 200 ")
    client.begun = time.monotonic()
    ends(client.drip(pieces, gap), T)


def test_a_trailer_that_drips_is_no_progress_of_a_rest(target):
    """What is kept of an unfinished line does not count again with each octet that comes."""
    client = target[1]()
    client.send(CHUNKED % (b"/", b"") + b"10e00\r\n" + b"x" * 66_000)
    while not client.answer:
        client.over(0.05)
    client.send(b"x" * (0x10E00 - 66_000) + b"\r\n0\r\na: " + b"x" * 2000)
    client.begun = time.monotonic()
    ends(client.drip([b"x"] * 400, 0.1), T)


@pytest.mark.soak
def test_a_client_that_reads_why_it_was_refused_has_half_a_minute(serve):
    """Any octet is progress there, and the total is what ends it."""
    client = Plain(serve(EFFE))
    client.begun = time.monotonic()
    client.send(b"no request\r\n\r\n")
    assert LINGER_MOST == 30
    # The server has ended its side: only an error of `send` tells that it has closed the rest.
    assert client.over(PATIENCE) and client.answer.startswith(b"HTTP/1.1 400 ")
    try:
        while time.monotonic() - client.begun < 2 * LINGER_MOST:
            client.sock.sendall(b"x")
            time.sleep(0.5)  # the pace of the attack
    except OSError:
        pass
    ends(time.monotonic() - client.begun, LINGER_MOST)


def test_admin_calls_that_drip_keep_no_probe_out(serve):
    """Forty, an octet each 0.1 s: a probe is answered at once, and none of them lasts beyond its ten seconds."""
    running = serve(EFFE, "-admin", "127.0.0.1:0")
    crowd = [Plain(running, running.admin) for _ in range(40)]
    begun = time.monotonic()
    left = crowd
    while left:
        for client in list(left):
            try:
                client.send(b"x")
            except OSError:
                left.remove(client)
        before = time.monotonic()
        assert running.get("/live", running.admin) == (200, "live\n")
        assert time.monotonic() - before < SLACK
        left = [client for client in left if not client.over(0.002)]
        assert time.monotonic() - begun < 10 + SLACK


def test_the_page_of_the_server_holds_the_table():
    """docs/reference.py writes it there."""
    page = Path(ROOT, "docs/explanation/server.md").read_text()
    for row in TIMES:
        assert f"| {' | '.join(row)} |" in page


def test_only_states_py_changes_the_state_of_a_connection():
    """Whoever looks for what can happen to a connection finds all of it in one file."""
    runtime = ROOT / "effetool" / "runtime"
    stores = {
        (node.attr, path.name)
        for path in (*(runtime / "server").glob("*.py"), *(runtime / "contract").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    words = ("state", "closing", "gone")
    assert {store for store in stores if store[0] in words} == {(word, "states.py") for word in words}
