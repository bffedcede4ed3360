"""A full house (effetool/runtime/server/core.py): good clients are answered whoever holds it, and run has files."""

import select
import socket
import ssl
import threading
import time

import pytest

from .conftest import PATIENCE
from .server.test_tls import certificate

EFFE = """
INFO = {"name": "fair", "version": "1.0"}
large = b"x" * 1_000_000
def run(context, error, response, request):
    if request.path == "/good":
        with open(__file__), open(__file__), open(__file__):
            response.write("hello")
    elif request.path == "/large":
        response.write(large)
    elif request.path == "/stream":
        while True:
            response.write(large)
            response.flush()
    elif request.path == "/read":
        response.write(str(len(request.body.read())))
    else:
        response.write("hello")
"""
POST = b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%b\r\n"
# What each attacker says first, and then octet by octet.
KINDS = {
    "idle": (b"", b""),
    "answered": (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b""),
    "head": (b"GET / HTTP/1.1\r\nHost: h", b"h"),
    "body": (POST % (b"/read", 60_000, b"") + b"x", b"x"),
    "expect": (POST % (b"/read", 1_000_000, b"Expect: 100-continue\r\n"), b"x"),
    "large body": (POST % (b"/read", 1_000_000, b"") + b"x" * 70_000, b"x"),
    "flush": (b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n", b""),
    "stream": (b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n", b""),
    "drain": (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + b"x" * 70_000, b"x"),
    "linger": (b"no request\r\n\r\n", b"x"),
    "handshake": (b"\x16\x03\x01\x02\x00\x01", b"x"),
}
CROWD = 120


class Attack:
    """So many connections of one kind, each made anew when the server ends it."""

    def __init__(self, port, kind):
        self._port, (self._first, self._drop) = port, KINDS[kind]
        self._end = threading.Event()
        self._crowd = []
        self._first_of = {}
        # Who was refused would be told by an end of the server's side; it stays as long as it can.
        self._reads_nothing = kind in ("flush", "stream", "linger")
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        for _ in range(CROWD):
            self._crowd.append(self._open())
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(PATIENCE)
        for each in self._crowd:
            each.close()

    def _open(self):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", self._port))
        self._first_of[sock] = memoryview(self._first)
        return sock

    def _work(self):
        while not self._end.is_set():
            poll = select.poll()
            for each in self._crowd:
                poll.register(each, 0)  # its error or end alone
            over = {fd for fd, _ in poll.poll(0)}
            for number, each in enumerate(self._crowd):
                try:
                    if each.fileno() in over or (not self._reads_nothing and self._ended(each)):
                        raise ConnectionError
                    rest = self._first_of[each]
                    if rest:
                        self._first_of[each] = rest[each.send(rest) :]
                    elif self._drop:
                        each.send(self._drop)
                except BlockingIOError:
                    pass
                except OSError:
                    del self._first_of[each]
                    each.close()
                    self._crowd[number] = self._open()
            self._end.wait(0.05)

    def _ended(self, sock):
        """Read what there is; True at the end."""
        try:
            return not sock.recv(65536)
        except BlockingIOError:
            return False


class Good(threading.Thread):
    """Asks ten times a second; `times` are the seconds of each answer, infinite where none came."""

    def __init__(self, port, stays, context):
        super().__init__(daemon=True)
        self.times, self.end = [], threading.Event()
        self._port, self._stays, self._tls = port, stays, context

    def run(self):
        sock = None
        while not self.end.is_set():
            begun = time.monotonic()
            try:
                if sock is None:
                    sock = socket.create_connection(("127.0.0.1", self._port), 5)
                    if self._tls:
                        sock = self._tls.wrap_socket(sock)
                sock.sendall(b"GET /good HTTP/1.1\r\nHost: h\r\n\r\n")
                answer = b""
                while not answer.endswith(b"\r\n\r\nhello"):
                    piece = sock.recv(1000)
                    assert piece and (not answer or answer.startswith(b"HTTP/1.1 200 "))
                    answer += piece
                self.times.append(time.monotonic() - begun)
            except (OSError, AssertionError):
                self.times.append(float("inf"))
                if sock:
                    sock.close()
                sock = None
            if sock and not self._stays:
                sock.close()
                sock = None
            self.end.wait(0.1)
        if sock:
            sock.close()


# Each is watched for seconds: these here in `make test`, all the others in `make soak`.
FEW = ("idle", "head", "flush", "handshake")


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        *(pytest.param(kind, ["-max-connections", "64"], id=kind, marks=pytest.mark.slow) for kind in FEW),
        *(
            pytest.param(kind, ["-max-connections", "64"], id=kind, marks=pytest.mark.soak)
            for kind in KINDS
            if kind not in FEW
        ),
        *(pytest.param(kind, [], id=f"{kind}-clamped", marks=pytest.mark.soak) for kind in KINDS),
    ],
)
def test_a_full_house_keeps_no_good_client_out(serve, tmp_path, kind, flags):
    """`ulimit -n 128`; 95 of 100 requests are answered within a second, of clients that come and of those that stay."""
    context = None
    if kind == "handshake":
        cert, key = certificate(tmp_path, "one.test")
        flags = [*flags, "-cert", str(cert), "-key", str(key)]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    running = serve(EFFE, *flags, prefix=["sh", "-c", 'ulimit -n 128; exec "$@"', "sh"])
    good = [Good(running.port, stays, context) for stays in (True, True, False, False)]
    for each in good[:2]:
        each.start()
    with Attack(running.port, kind):
        for each in good[2:]:
            each.start()
        time.sleep(4)  # how long it is watched
        for each in good:
            each.end.set()
        for each in good:
            each.join(PATIENCE)
    for name, pair in (("stay", good[:2]), ("come", good[2:])):
        times = [one for each in pair for one in each.times]
        in_time = sum(one < 1.0 for one in times)
        print(f"{kind}: {name}: {in_time} of {len(times)}, the slowest {max(times):.3f} s")
        assert len(times) >= 10 and in_time >= 0.95 * len(times), times
    assert not [record for record in running.records if record["level"] == "critical"]
