"""The log (effetool/runtime/telemetry/log.py)."""

import json
import os
import re
import socket
from pathlib import Path

import pytest

import effetool.runtime
from effetool.runtime.telemetry.log import Log, describe, traceback_of

EVIL = 'x\r\n{"level":"critical"} \x1b[31m \x85 \u2028 \u202e \x00 \ud800 "'


@pytest.fixture
def written(tmp_path):
    """A log that writes into a file, and what it has written."""

    class Written:
        def __init__(self):
            self.fd = os.open(tmp_path / "log", os.O_CREAT | os.O_RDWR | os.O_APPEND)

            self.logs = []

        def log(self, form, syslog="none", **options):
            log = Log(form, "hello", stream=self.fd, syslog=str(tmp_path / syslog), **options)
            self.logs.append(log)
            return log

        @property
        def text(self):
            return (tmp_path / "log").read_bytes().decode()

    made = Written()
    yield made
    for log in made.logs:
        log.close()
    os.close(made.fd)


@pytest.fixture
def daemon(tmp_path):
    """A syslog daemon's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "dev-log"))
        listener.settimeout(10)
        yield listener


def crash():
    raise KeyError("x\ny")


def caught():
    try:
        crash()
    except KeyError as error:
        return error


def test_json_is_one_line_for_each_record_whatever_the_fields_hold(written):
    """A client that sends line ends or escapes must not be able to write a record of its own."""
    written.log("json").warning(EVIL, path=EVIL, **{EVIL: 1})
    lines = written.text.splitlines()
    assert len(lines) == 1
    record = json.loads(lines[0])
    assert record["message"] == record["path"] == EVIL and record[EVIL] == 1
    assert (record["level"], record["effe"]) == ("warning", "hello")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])


def test_json_keeps_numbers_and_booleans(written):
    """nan and infinity are not JSON; they go as text."""
    written.log("json").info("x", a=1, b=1.5, c=True, d=None, e=float("nan"), f=float("inf"), g=b"x")
    record = json.loads(written.text)
    assert [record[k] for k in "abcdefg"] == [1, 1.5, True, None, "nan", "inf", "b'x'"]


def test_text_escapes_what_a_terminal_would_obey(written):
    """ANSI escapes, line ends of every kind and bidirectional overrides are shown, not done."""
    written.log("text").info(EVIL, path=EVIL)
    assert written.text.count("\n") == 1
    assert written.text.rstrip("\n").isprintable()
    assert "\\r\\n" in written.text and "\\x1b[31m" in written.text and "\\u202e" in written.text


def test_a_traceback_is_in_the_record_of_its_crash(written):
    """As one JSON record, and indented in text, so that no line of it can look like a record."""
    written.log("json").critical("run raised", caught(), "id-1", path="/x")
    record = json.loads(written.text)
    assert record["error"] == "KeyError: 'x\\ny'" and record["request_id"] == "id-1" and record["path"] == "/x"
    assert record["traceback"].startswith("Traceback") and "in crash" in record["traceback"]
    written.log("text").critical("run raised", caught())
    first, *rest = written.text.splitlines()[1:]
    assert "CRITICAL run raised" in first and "KeyError" in first
    assert len(rest) > 3 and all(line.startswith("    ") for line in rest)


def test_a_returned_error_has_no_traceback(written):
    """It was handled: one line says enough."""
    written.log("text").error("run returned an error", caught(), "id-1")
    assert written.text.count("\n") == 1 and "request_id=id-1" in written.text


def test_an_exception_whose_text_raises_is_logged_all_the_same(written):
    """An author's __str__ is an author's code."""

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    written.log("json").critical("run raised", Odd())
    assert describe(Odd()) == "Odd: (its __str__ raises)"
    assert json.loads(written.text)["error"] == "Odd: (its __str__ raises)"


def test_a_traceback_begins_with_the_authors_first_frame():
    """The runtime's own frames say nothing to an author; an error of the runtime itself keeps them."""
    names = {}
    here = Path(effetool.runtime.__file__).parent
    for name in ("x.py", "some/room/y.py"):  # a package inside the runtime is the runtime too
        exec(compile("def call(f, *more):\n    f(*more)\n", here / name, "exec"), inner := {})
        names[name] = inner["call"]
    with pytest.raises(KeyError) as authors:
        names["x.py"](names["some/room/y.py"], crash)
    shown = traceback_of(authors.value.with_traceback(authors.tb.tb_next))
    assert shown.splitlines()[1].endswith("in crash") and "x.py" not in shown and "y.py" not in shown
    with pytest.raises(TypeError) as ours:
        names["x.py"](None)
    assert "in call" in traceback_of(ours.value.with_traceback(ours.tb.tb_next))


def test_an_access_record_holds_the_request_and_its_trace(written):
    """W3C traceparent is logged as it came, so that a trace leads to the log."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    written.log("json", access_log=True).access("GET", "/a b", 200, 12, 0.0015, "::1", "id-1", trace)
    record = json.loads(written.text)
    del record["time"]
    assert record == {
        "level": "info",
        "effe": "hello",
        "message": "request",
        "method": "GET",
        "target": "/a b",
        "status": 200,
        "size": 12,
        "ms": 1.5,
        "client": "::1",
        "request_id": "id-1",
        "traceparent": trace,
    }


def test_without_a_terminal_and_without_syslog_it_is_json(written):
    """A container: neither is there, and a collector reads stderr."""
    written.log(None).info("ready")
    assert json.loads(written.text)["message"] == "ready"


def test_at_a_terminal_it_is_text(tmp_path):
    """Even where syslog answers: whoever started the effe by hand looks here."""
    parent, child = os.openpty()
    try:
        log = Log(None, "hello", stream=child)
        log.info("ready", port=8080)
        assert b"INFO     ready  port=8080" in os.read(parent, 1000)
    finally:
        os.close(parent)
        os.close(child)


def test_syslog_gets_one_datagram_for_each_record(daemon, written):
    """RFC 3164's local form: priority (daemon, severity), time, program[pid]; one record for a traceback."""
    log = written.log(None, "dev-log")
    log.critical("run raised", caught(), "id-1", evil=EVIL)
    data = daemon.recv(65536).decode()
    match = re.fullmatch(r"<26>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d hello\[(\d+)\]: (.*)", data)
    assert match and int(match[1]) == os.getpid()
    assert match[2].isprintable() and "run raised request_id=id-1" in match[2] and "in crash\\n" in match[2]
    log.info("x")
    log.warning("x")
    log.error("x")
    assert [daemon.recv(100)[:4] for _ in range(3)] == [b"<30>", b"<28>", b"<27>"]
    assert written.text == ""


def test_a_record_longer_than_a_datagram_loses_its_middle(daemon, written):
    """The head says what and where, the end says which error."""
    written.log(None, "dev-log").error("begin", text="x" * 300_000 + "end")
    data = daemon.recv(1_000_000)
    assert len(data) < 8192 and b"]: begin" in data and b" [...] " in data and data.endswith(b"end")


def test_a_form_asked_for_goes_to_stderr_though_syslog_answers(daemon, written):
    """`-log json` is what a container's owner says who wants to read it there."""
    written.log("json", "dev-log").info("x")
    assert json.loads(written.text)["message"] == "x"


def test_a_restarted_syslog_gets_the_next_record(daemon, written, tmp_path):
    """Its socket is a new one."""
    log = written.log(None, "dev-log")
    daemon.close()
    (tmp_path / "dev-log").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(str(tmp_path / "dev-log"))
        again.settimeout(10)
        log.info("second")
        log.close()
        assert again.recv(1000).endswith(b"second")
    assert written.text == ""


def test_a_record_that_syslog_does_not_take_goes_to_stderr(daemon, written, tmp_path):
    """Gone, or stuck with a full queue: never silence, and no request waits for it."""
    log = written.log(None, "dev-log")
    sent = 0
    while not written.text:  # nobody reads: the queue is full after some hundred
        log.info("x" * 1000)
        sent += 1
        assert sent < 100_000
    daemon.close()
    (tmp_path / "dev-log").unlink()
    log.info("gone")
    assert json.loads(written.text.splitlines()[-1])["message"] == "gone"


def test_a_closed_stderr_is_survived():
    """A daemon may have none; that must not break a request."""
    reader, writer = os.pipe()
    os.close(reader)
    Log("json", "hello", stream=writer).info("x")  # EPIPE
    os.close(writer)
    Log("json", "hello", stream=writer).info("x")  # EBADF
    with pytest.raises(OSError):
        os.write(writer, b"x")
