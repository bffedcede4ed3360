"""The leader, its followers and the monitor: every answer belongs to its question, and slow runs stall nobody."""

import os
import random
import socket
import threading
import time
import traceback
import zlib

import pytest

from effetool.runtime.flags import parse

from ..conftest import HIDDEN, ROOT

# The suite's share; an hour is `EFFE_TEST_SECONDS=3600 pytest tests/runtime/server/test_leader.py -k stress`.
SECONDS = float(os.environ.get("EFFE_TEST_SECONDS", "4"))

LOGIC = """
import time, threading, zlib
INFO = {"name": "stress", "version": "1.0"}
lock = threading.Lock()
class Context:
    def __init__(self): self.busy = self.stopped = False
def start():
    return Context()
def run(context, error, response, request):
    assert not context.busy and not context.stopped, "a context in two runs, or after its stop"
    context.busy = True
    try:
        kind, token, ms = request.path.split("/")[1:4]
        ms = int(ms) / 1000
        if kind == "sleep":
            time.sleep(ms)
        elif kind == "burn":
            end = time.perf_counter() + ms
            while time.perf_counter() < end: pass
        elif kind == "unread":
            response.write(f"{token} 0 0")
            return
        elif kind == "crash":
            raise ValueError(token)
        body = request.body.read()
        if kind == "stream":
            response.write(token)
            response.flush()
            time.sleep(ms)
            response.write(f" {len(body)} {zlib.crc32(body)}")
        else:
            response.write(f"{token} {len(body)} {zlib.crc32(body)}")
    finally:
        context.busy = False
def stop(context):
    assert not context.busy and not context.stopped, "stopped twice, or while it runs"
    context.stopped = True
"""


class Client(threading.Thread):
    """One client after the other, until the time is over: pipelines, bodies, impatience."""

    def __init__(self, port, seed, until):
        super().__init__(daemon=True)
        self.port, self.random, self.until = port, random.Random(seed), until
        self.answered = 0
        self.wrong = None
        self.asked, self.moved = (), 0.0  # what it waits for, and when something came or went

    def run(self):
        try:
            while time.monotonic() < self.until and self.wrong is None:
                self.connection()
        except Exception:
            still = time.monotonic() - self.moved
            self.wrong = f"{traceback.format_exc()}after {still:.3f} s without progress, asked {self.asked}"

    def connection(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            for _ in range(self.random.randint(1, 12)):
                asked, data = zip(*[self.question() for _ in range(self.random.choice([1, 1, 1, 2, 5]))], strict=True)
                data, self.asked, self.moved = b"".join(data), asked, time.monotonic()
                if self.random.random() < 0.2:
                    cut = self.random.randrange(len(data))
                    sock.sendall(data[:cut])
                    if self.random.random() < 0.2:
                        return  # goes away in the middle
                    time.sleep(self.random.random() * 0.003)
                    data = data[cut:]
                while data:
                    data = data[sock.send(data) :]
                    self.moved = time.monotonic()
                if self.random.random() < 0.1:
                    return  # goes away without its answer
                for expected in asked:
                    if not self.answer(sock, expected):
                        return

    def question(self):
        kind = self.random.choice(["fast"] * 8 + ["sleep", "sleep", "burn", "stream", "crash", "unread"])
        token = f"{self.random.getrandbits(64):x}"
        ms = self.random.choice([0, 1, 4, 6, 9, 11, 20])
        body = b""
        if self.random.random() < 0.4:
            body = self.random.randbytes(self.random.choice([1, 10, 1000, 70_000, 150_000]))
        head = f"POST /{kind}/{token}/{ms} HTTP/1.1\r\nHost: h\r\n".encode()
        if body and self.random.random() < 0.5:
            size = self.random.choice([1000, 40_000])
            pieces = [body[i : i + size] for i in range(0, len(body), size)]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces)
            data = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        else:
            data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        if kind == "crash":
            return (500, None), data
        return (200, f"{token} 0 0" if kind == "unread" else f"{token} {len(body)} {zlib.crc32(body)}"), data

    def answer(self, sock, expected):
        """Read one answer; False when the server closes after it, as it may after an unread body."""
        file = Reader(sock)
        status = int(file.line().split()[1])
        length, chunked, close = 0, False, False
        while line := file.line():
            name, _, value = line.lower().partition(": ")
            if name == "content-length":
                length = int(value)
            chunked = chunked or name == "transfer-encoding"
            close = close or (name == "connection" and value == "close")
        if chunked:
            body = b""
            while size := int(file.line(), 16):
                body += file.exactly(size)
                file.line()
            file.line()
        else:
            body = file.exactly(length)
        if status != expected[0] or (expected[1] is not None and body.decode() != expected[1]):
            self.wrong = f"asked for {expected}, got {status} {body!r}"
            return False
        self.answered += 1
        self.moved = time.monotonic()
        return not close


class Reader:
    """Reads a socket byte by byte, so that nothing is held back between two answers."""

    def __init__(self, sock):
        self.sock = sock

    def exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise EOFError("the server closed in the middle of an answer")
            data += piece
        return data

    def line(self):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.exactly(1)
        return line[:-2].decode()


def test_who_serves_what_has_waited_for_a_context_does_not_follow(inside):
    """Else it could be made the leader, and nobody would poll until its run has ended."""
    following, threads = {}, {}

    def run(context, error, response, request):
        server = request.connection.server
        time.sleep(0.1)
        threads[request.path] = threading.current_thread()
        with server.lock:
            following[request.path] = threads[request.path] in [runner.thread for runner in server.followers]

    talk = inside(run, settings=parse(["-concurrency", "1"], {}))
    clients = [
        threading.Thread(target=talk, args=(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number,)) for number in range(6)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert len(following) == 6
    assert len(set(threads.values())) < 6, "nobody served a second one"
    assert not any(following.values())


@pytest.mark.slow
@pytest.mark.timeout(max(300, SECONDS * 3))
@pytest.mark.parametrize("hidden", [False, True], ids=["epoll", "selectors"])
def test_stress_every_answer_belongs_to_its_question(serve, hidden):
    """Pipelines, sleeps, bursts of CPU, crashes, closes at random: no wrong answer, no hang, no context misused."""
    environ = {"PYTHONPATH": f"{HIDDEN}:{ROOT}"} if hidden else None
    running = serve(LOGIC, "-concurrency", "16", "-queue", "10000", environ=environ)
    until = time.monotonic() + SECONDS
    clients = [Client(running.port, seed, until) for seed in range(24)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(SECONDS + 120)
    assert not [client for client in clients if client.is_alive()], "a client still waits for its answer"
    wrong = [client.wrong for client in clients if client.wrong]
    assert not wrong, "\n".join(wrong)
    assert sum(client.answered for client in clients) > 100
    assert running.stop() == 0
    problems = {r["error"] for r in running.records if r["level"] in ("critical", "error") and "error" in r}
    assert not [problem for problem in problems if not problem.startswith("ValueError")]
