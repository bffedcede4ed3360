"""A built effe whose threads are preempted at random lines, under clients of all kinds: each answer is checked.

EFFE_TEST_SECONDS is how long (120), half of it with a tracing function that gives the processor away.
"""

from __future__ import annotations

import hashlib
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.served import serve

from .preempted import LARGE

pytestmark = [pytest.mark.soak]

SECONDS = float(os.environ.get("EFFE_TEST_SECONDS", "120"))
PATIENCE = 60.0
GET = "GET /{} HTTP/1.1\r\nHost: h\r\n\r\n"


class Client:
    """One thread's connection: made when it is needed, and each answer compared."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sock: socket.socket | None = None
        self._kept = b""
        self._number = 0

    @property
    def sock(self) -> socket.socket:
        if self._sock is None:
            self._sock = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
            self._kept = b""
        return self._sock

    def name(self) -> str:
        """Return a text that no other request has."""
        self._number += 1
        return f"{threading.get_ident()}-{self._number}"

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """Return the next answer's status and body."""
        while b"\r\n\r\n" not in self._kept:
            self._more()
        head, _, self._kept = self._kept.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                while b"\r\n" not in self._kept:
                    self._more()
                size, _, self._kept = self._kept.partition(b"\r\n")
                while len(self._kept) < int(size, 16) + 2:
                    self._more()
                body += self._kept[: int(size, 16)]
                assert self._kept[int(size, 16) :].startswith(b"\r\n")
                self._kept = self._kept[int(size, 16) + 2 :]
                if not int(size, 16):
                    break
        else:
            length = int(fields["content-length"])
            while len(self._kept) < length:
                self._more()
            body, self._kept = self._kept[:length], self._kept[length:]
        status = int(lines[0].split()[1])
        if fields.get("connection") == "close":
            self.close()
        return status, body

    def _more(self) -> None:
        piece = self.sock.recv(65536)
        assert piece, f"the connection ended behind {self._kept[-200:]!r}"
        self._kept += piece

    def close(self, reset: bool = False) -> None:
        if self._sock is not None:
            if reset:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._sock.close()
            self._sock = None


def pipelined(client: Client) -> int:
    """Send up to 32 requests at once, some of which sleep or raise; they are answered in order."""
    asked = [(random.choice(["echo"] * 100 + ["sleep", "raise"]), client.name()) for _ in range(random.randint(1, 32))]
    client.send("".join(GET.format(f"{word}/{name}") for word, name in asked).encode())
    for word, name in asked:
        status, body = client.receive()
        if word == "raise":
            assert status == 500 and name.encode() not in body, (status, body)
        else:
            assert (status, body) == (200, name.encode())
    return len(asked)


def anew(client: Client) -> int:
    """Use a connection for one request."""
    name = client.name()
    client.send(GET.format(f"echo/{name}").encode())
    assert client.receive() == (200, name.encode())
    client.close()
    return 1


def cut(client: Client) -> int:
    """Leave in the middle: of a head, of a body, of an answer, behind a request whose run sleeps."""
    kind = random.randrange(4)
    if kind == 0:
        client.send(GET.format("echo/x").encode()[: random.randint(1, 25)])
    elif kind == 1:
        client.send(
            b"POST /body/x HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + bytes(random.randrange(150_000))
        )
    elif kind == 2:
        client.send(GET.format("large/x").encode())
        client.sock.recv(random.randint(1, 5000))
    else:
        client.send(GET.format("sleep/x").encode() * 3)
    client.close(reset=random.random() < 0.5)
    return 0


def slow(client: Client) -> int:
    """Send a request in pieces, with pauses."""
    name = client.name()
    data = GET.format(f"echo/{name}").encode() * 2
    while data:
        size = random.randint(1, 30)
        client.send(data[:size])
        data = data[size:]
        time.sleep(random.random() * 0.01)
    for _ in range(2):
        assert client.receive() == (200, name.encode())
    return 2


def uploads(client: Client) -> int:
    """Send a body, small or large, whole or in chunks, and the next request with its end."""
    name, size = client.name(), random.choice([0, 10, 5000, 70_000, 300_000])
    body = random.randbytes(size)
    if random.random() < 0.5:
        data, framing = body, f"Content-Length: {size}"
    else:
        pieces = [body[place : place + 7000] for place in range(0, size, 7000)]
        data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        framing = "Transfer-Encoding: chunked"
    head = f"POST /body/{name} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n".encode()
    client.send(head + data + GET.format(f"echo/{name}").encode())
    status, answer = client.receive()
    assert (status, answer.decode()) == (200, f"{name} {size} {hashlib.sha256(body).hexdigest()}")
    assert client.receive() == (200, name.encode())
    return 2


def large(client: Client) -> int:
    """Read an answer of a megabyte, with a pause, behind it another one."""
    name = client.name()
    client.send((GET.format(f"large/{name}") + GET.format(f"echo/{name}")).encode())
    time.sleep(random.random() * 0.05)
    assert client.receive() == (200, name.encode() + LARGE)
    assert client.receive() == (200, name.encode())
    return 2


def one(word: str) -> Callable[[Client], int]:
    """Return a client that asks for `word`."""

    def ask(client: Client) -> int:
        name = client.name()
        client.send(GET.format(f"{word}/{name}").encode())
        assert client.receive() == (200, name.encode())
        return 1

    return ask


KINDS: dict[str, tuple[Callable[[Client], int], int]] = {
    "pipelined": (pipelined, 4),
    "anew": (anew, 2),
    "cut": (cut, 2),
    "slow": (slow, 3),
    "uploads": (uploads, 2),
    "large": (large, 1),
    "sleepers": (one("sleep"), 4),
    "burners": (one("burn"), 2),
}


@pytest.fixture(scope="module")
def effe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .pex."""
    folder = tmp_path_factory.mktemp("stress")
    (folder / "logic.py").write_text(Path(__file__).with_name("preempted.py").read_text())
    subprocess.run(
        [sys.executable, "-m", "effetool", "build", "-q", "--out", "effe.pex"], cwd=folder, check=True, timeout=PATIENCE
    )
    return folder / "effe.pex"


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("preempted", ["", "1"], ids=["switching", "preempted"])
def test_each_answer_is_its_requests(
    effe: Path, tmp_path: Path, preempted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a switch interval of 1 µs, few contexts and a queue; at the end it stops well and has logged no fault."""
    counts: Counter[str] = Counter()
    faults: list[str] = []
    until = time.monotonic() + SECONDS / 2

    def work(kind: str, port: int) -> None:
        client = Client(port)
        try:
            while time.monotonic() < until and not faults:
                counts[kind] += KINDS[kind][0](client)
        except Exception as error:  # whatever it is, it is reported
            faults.append(f"{kind}: {error!r}")
        finally:
            client.close()

    log = tmp_path / "log"
    environ = {**os.environ, "EFFE_PREEMPT": preempted, "EFFE_HOST": "127.0.0.1", "EFFE_LOG": "json"}
    with serve([effe, "-concurrency", "12", "-queue", "1000"], tmp_path, log, environ) as served:
        threads = [
            threading.Thread(target=work, args=(kind, served.port)) for kind, (_, n) in KINDS.items() for _ in range(n)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        preemptions = int(served.request("GET", "/preemptions/").text)
        assert not faults, f"{faults}\n{log.read_text()[-3000:]}"
    assert preemptions > 10 * SECONDS if preempted else preemptions == 0
    records = log.read_text()
    assert "two runs" not in records
    assert '"level": "critical"' not in records
    with capsys.disabled():
        print(f"\n{sum(counts.values())} answers checked, {preemptions} preemptions: {dict(counts)}")
    assert all(counts[kind] for kind in KINDS if kind != "cut")
