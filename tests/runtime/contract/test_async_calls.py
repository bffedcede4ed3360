"""Async runs share one loop, and none waits for another one's client (effetool/runtime/contract/async_calls.py)."""

import hashlib
import json

import pytest

EFFE = """
import asyncio, hashlib, threading
INFO = {"name": "turns", "version": "1.0"}
loops = set()
async def init():
    loops.add(asyncio.get_running_loop())
async def run(context, error, response, request):
    loops.add(asyncio.get_running_loop())
    if request.path == "/digest":
        body = request.body
        response.json([len(loops), hashlib.sha1(body.read()).hexdigest()])
    elif request.path == "/stream":
        piece = b"x" * 65536
        for _ in range(int(request.query["n"])):
            response.write(piece)
            await response.flush()
        response.write(b"end")
    elif request.path == "/careless":
        for number in range(int(request.query["n"])):
            response.write(f"{number}\\n")
            response.flush()
    elif request.path == "/whole":
        for _ in range(100):
            response.write(b"x" * 10000)
    elif request.path == "/gone":
        try:
            while True:
                response.write(b"x" * 65536)
                await response.flush()
        except ConnectionError as error:
            print("gone", flush=True)
            raise
    elif request.path == "/together":
        async def work(number):
            for _ in range(20):
                response.write("x" * 1000)
                await response.flush()
        await asyncio.gather(*[work(number) for number in range(8)])
    else:
        response.write("hello")
"""


@pytest.fixture
def turns(serve):
    # A stall that a time-out would end could pass for none.
    return serve(EFFE, "-body-timeout", "1h", "-write-timeout", "1h", "-timeout", "1h")


def test_a_slow_upload_stalls_no_other_run(turns):
    """The body comes in before the run begins, in the thread that waits for it."""
    body = bytes(range(256)) * 2000
    with turns.connect() as slow:
        slow.sendall(
            f"POST /digest HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        slow.sendall(body[:200_000])
        for _ in range(20):
            assert turns.get() == (200, "hello")
        slow.sendall(body[200_000:])
        answer = slow.makefile("rb").read()
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == [1, hashlib.sha1(body).hexdigest()]


def test_a_slow_reader_stalls_no_other_run(turns):
    """`await response.flush()` waits for this client alone, and what is written ahead is bounded."""
    with turns.connect() as slow:
        slow.sendall(b"GET /stream?n=1000 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert slow.recv(12) == b"HTTP/1.1 200"
        for _ in range(20):
            assert turns.get() == (200, "hello")
        total, tail = 12, b""
        while piece := slow.recv(1 << 20):
            total += len(piece)
            tail = (tail + piece)[-7:]
    assert total > 65536 * 1000 and tail == b"\r\n0\r\n\r\n"


def test_what_is_flushed_and_not_awaited_arrives_whole(turns):
    """In order, though the loop may have to wait for the client."""
    text = turns.get("/careless?n=20000")[1]
    assert text == "".join(f"{number}\n" for number in range(20000))


def test_without_flush_the_answer_goes_in_one_piece(turns):
    """However large: there is no place in it where the run could wait for its client."""
    with turns.connect() as client:
        client.sendall(b"GET /whole HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = client.makefile("rb").read()
    assert b"Content-Length: 1000000\r\n" in answer and answer.endswith(b"x" * 10000)


def test_a_client_that_goes_is_noticed(turns):
    """By the next write or awaited flush, as a ConnectionError; no crash."""
    with turns.connect() as client:
        client.sendall(b"GET /gone HTTP/1.1\r\nHost: h\r\n\r\n")
        client.recv(1000)
    assert turns.process.stdout.readline() == "gone\n"
    assert turns.get() == (200, "hello")
    assert not [record for record in turns.records if record["level"] == "critical"]


def test_several_tasks_may_write_one_answer(turns):
    """Each waits for all that is written."""
    assert turns.get("/together") == (200, "x" * 160_000)


@pytest.mark.parametrize(
    ("chunk", "status"), [(b"x\r\n", b"400"), (b"fffffff\r\n", b"413")], ids=["malformed", "too large"]
)
def test_a_body_that_is_refused_never_reaches_the_run(turns, chunk, status):
    """The thread that takes it in answers, as a plain run that reads it would."""
    with turns.connect() as client:
        client.sendall(b"POST /digest HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"11170\r\n" + b"x" * 70_000 + b"\r\n" + chunk)
        assert client.recv(12) == b"HTTP/1.1 " + status
    assert turns.get() == (200, "hello")
