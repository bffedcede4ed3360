"""What is refused is counted by reason and logged (effetool/runtime/telemetry/refusals.py)."""

import json
import os
import re
import threading

import pytest

from effetool.runtime.telemetry import refusals
from effetool.runtime.telemetry.log import Log
from effetool.runtime.telemetry.refusals import MOST, REASONS, Refusals

EFFE = """
import sys, time
INFO = {"name": "refuse", "version": "1.0"}
def run(context, error, response, request):
    if request.path == "/slow":
        print('{"message": "runs"}', file=sys.stderr, flush=True)
        time.sleep(5)
    response.write("x" * 10_000_000 if request.path == "/big" else "hello")
"""
FLAGS = ("-access-log", "-admin", "127.0.0.1:0", "-max-body", "10", "-max-target", "100", "-max-header", "1KiB",
         "-header-timeout", "0.3", "-body-timeout", "0.3", "-write-timeout", "0.3")  # fmt: skip
# Reason, the status of its answer, what brings it about.
WAYS = [
    ("malformed", 400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("stalled", 408, b"GET / HTTP/1.1\r\nHo"),
    ("body_too_large", 413, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n01234567890"),
    ("target_too_long", 414, b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % (b"x" * 100)),
    ("head_too_large", 431, b"GET / HTTP/1.1\r\nHost: h\r\nA: %b\r\n\r\n" % (b"x" * 2000)),
    ("unsupported", 505, b"GET / HTTP/2.7\r\nHost: h\r\n\r\n"),
    ("unread", None, b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n"),
]


def counted(running):
    _, page = running.get("/metrics", running.admin)
    found = dict(re.findall(r'effe_refused_total\{reason="(\w+)"\} (\d+)', page))
    assert [*found] == [*REASONS]
    return {reason: int(count) for reason, count in found.items() if count != "0"}


@pytest.mark.parametrize(("reason", "status", "sent"), WAYS, ids=[way[0] for way in WAYS])
def test_it_is_counted_and_logged_with_its_reason_and_peer(serve, reason, status, sent):
    running = serve(EFFE, *FLAGS)
    with running.connect() as client:
        client.sendall(sent)
        record = running.record("refused")
        if status is not None:
            assert client.recv(65536).startswith(b"HTTP/1.1 %d " % status)
    assert (record["reason"], record["client"], record.get("status")) == (reason, "127.0.0.1", status)
    assert counted(running) == {reason: 1}


def test_who_finds_the_queue_full_is_counted_as_overloaded_and_a_504_has_an_access_record(serve):
    running = serve(EFFE, *FLAGS, "-concurrency", "1", "-queue", "0", "-timeout", "0.5")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(running.get("/slow")))
    asking.start()
    running.record("runs")
    assert running.get()[0] == 503
    assert running.record("refused")["reason"] == "overloaded"
    asking.join()
    assert answers[0][0] == 504
    found = running.record("request")
    assert (found["message"], found["status"], found["target"], found["client"]) == (
        "request", 504, "/slow", "127.0.0.1"
    )  # fmt: skip
    assert 450 < found["ms"] < 30_000
    assert counted(running)["timeout"] == 1


def test_an_attack_is_a_few_records_and_a_number(monkeypatch):
    """Also where nothing more is refused afterwards: the server's clock tells."""
    now = [100.0]
    monkeypatch.setattr(refusals, "monotonic", lambda: now[0])
    reader, writer = os.pipe()
    found = Refusals(Log("json", stream=writer))
    for _ in range(1000):
        found.note("malformed", "::1", 400)
    found.note("stalled", "::2", 408)
    found.tick(100.9)
    found.tick(101.1)
    found.tick(102.2)
    os.close(writer)
    with os.fdopen(reader) as log:
        records = [json.loads(line) for line in log]
    assert [record["message"] for record in records] == ["refused"] * (MOST + 1) + [f"refused: and {1000 - MOST} more"]
    assert records[-1]["reason"] == "malformed" and records[-2]["client"] == "::2"
    assert found.counts[:2] == [1000, 1]


def test_without_an_access_log_it_is_only_counted(serve):
    running = serve(EFFE, *FLAGS[1:])
    with running.connect() as client:
        client.sendall(WAYS[0][2])
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert counted(running) == {"malformed": 1}
    assert running.stop() == 0
    assert not [record for record in running.records if record["message"] == "refused"]
