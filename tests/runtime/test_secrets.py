"""The variables an effe declares, and its secrets (effetool/runtime/secrets.py)."""

import json
import signal
from pathlib import Path

import pytest

from effetool.runtime import secrets

SECRET = 's3cret"v\\alue'
MAIL = """
import os
INFO = {"name": "mail", "version": "1.0", "env": {"LANGUAGE": "en", "REGION": None}, "secrets": ["API_KEY"]}
print("import", os.environ["LANGUAGE"], len(os.environ["API_KEY"]), flush=True)
class Odd(Exception):
    def __str__(self):
        return "odd " + os.environ["API_KEY"]
def init():
    if os.environ["REGION"] == "mars":
        raise ValueError("no such region", os.environ["API_KEY"])
def run(context, error, response, request):
    if request.path == "/raise":
        raise KeyError(os.environ["API_KEY"])
    if request.path == "/return":
        return Odd()
    print(os.environ["REGION"], len(os.environ["API_KEY"]), file=response)
"""


@pytest.fixture(autouse=True)
def _nothing_hidden():
    yield
    secrets._hidden = ()


def test_every_missing_one_is_named(serve):
    """In the log and on stderr, with what to type; exit 1, before the module runs."""
    running = serve(MAIL, ready=False)
    assert running.end() == 1
    (record,) = running.records
    assert record["level"] == "critical"
    assert record["message"] == (
        "INFO declares variables that are not given: REGION, API_KEY (a secret)\n"
        "  fix: REGION=VALUE before the command, or REGION_FILE=PATH, or the file /run/secrets/REGION"
    )
    assert running.process.stdout.read() == ""


def test_workers_are_not_started_for_nothing(serve):
    """The parent says it once."""
    running = serve(MAIL, "-workers", "2", ready=False, environ={"REGION": "eu", "API_KEY": ""})
    assert running.end() == 1
    assert [record["message"].partition("\n")[0] for record in running.records] == [
        "INFO declares variables that are not given: API_KEY (a secret)"
    ]


def test_each_place_a_value_may_come_from(serve, tmp_path):
    """The environment, then NAME_FILE, then systemd's credentials; the default last."""
    (tmp_path / "key").write_text("0123456789\n")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "API_KEY").write_text("01234\r\n")
    (tmp_path / "credentials" / "REGION").write_text("eu")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert serve(MAIL, environ=environ).get() == (200, "eu 5\n")
    assert serve(MAIL, environ={**environ, "API_KEY_FILE": str(tmp_path / "key")}).get() == (200, "eu 10\n")
    both = {**environ, "API_KEY_FILE": str(tmp_path / "key"), "API_KEY": "0123", "REGION": ""}
    assert serve(MAIL, environ=both).get() == (200, " 4\n")
    assert serve(MAIL, "-workers", "1", environ=environ).get() == (200, "eu 5\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_text("\n"), "it is empty"),
        (lambda path: path.write_bytes(b"a\0b"), "it holds a NUL byte"),
        (lambda path: path.write_bytes(b"a" * ((1 << 20) + 1)), "more than 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_taken(make, said, tmp_path):
    """It is named, and not passed over for the next place."""
    path = tmp_path / "key"
    make(path)
    environ = {"API_KEY_FILE": str(path)}
    with pytest.raises(secrets.NeedError) as caught:
        secrets.supply({}, ("API_KEY",), environ)
    assert caught.value.message == (f"INFO declares variables that are not given: API_KEY (cannot read {path}: {said})")


def test_a_secret_is_in_no_record(serve):
    """What run raises and returns, what the client sends, what init raises: `***` in its place."""
    environ = {"REGION": "eu", "API_KEY": SECRET}
    for form in ("json", "text"):
        running = serve(MAIL, "-log", form, "-access-log", environ=environ, ready=form == "json")
        if form == "text":
            running.port = _port_of_text(running)
        assert running.get("/raise") == (500, "Internal Server Error\n")
        running.get("/return")
        assert running.get("/" + "x")[0] == 200
        running.stop()
        log = "".join(line for line in running.lines if line)
        assert "KeyError" in log and "***" in log
        for kind in (SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1], "s3cret"):
            assert kind not in log
    running = serve(MAIL, ready=False, environ={**environ, "REGION": "mars"})
    assert running.end() == 1
    log = "".join(line for line in running.lines if line)
    assert "no such region" in log and "s3cret" not in log


def _port_of_text(running):
    """Read the port from the ready line for eyes."""

    def ready():
        return next((line for line in running.lines if line and "is ready" in line), None)

    with running._news:
        assert running._news.wait_for(ready, 60)
    return int(ready().partition("http://")[2].split()[0].rstrip(",").rpartition(":")[2])


def test_nothing_is_set_outside_of_the_process(serve, tmp_path):
    """A value from a file is not in /proc/PID/environ, nor in -info or /info."""
    (tmp_path / "key").write_text("from-a-file")
    environ = {"REGION": "eu", "API_KEY_FILE": str(tmp_path / "key")}
    running = serve(MAIL, "-admin", "127.0.0.1:0", environ=environ)
    assert running.get() == (200, "eu 11\n")
    assert b"from-a-file" not in Path(f"/proc/{running.process.pid}/environ").read_bytes()
    for path in ("/info", "/metrics", "/ready"):
        assert "from-a-file" not in running.get(path, port=running.admin)[1]


def test_a_new_secret_is_read_by_new_workers(serve, tmp_path):
    """SIGHUP exchanges the workers: so a rotated secret needs no restart."""
    (tmp_path / "key").write_text("short")
    running = serve(MAIL, "-workers", "1", environ={"REGION": "eu", "API_KEY_FILE": str(tmp_path / "key")})
    assert running.get() == (200, "eu 5\n")
    (tmp_path / "key").write_text("much longer")
    running.signal(signal.SIGHUP)
    running.record("reloaded")
    assert running.get() == (200, "eu 11\n")


def test_what_info_declares_is_read_leniently():
    """A file built by another version of the tool still starts."""
    assert secrets.declared({}) == ({}, ())
    assert secrets.declared({"env": ["A"], "secrets": ["B"]}) == ({"A": None}, ("B",))
    assert secrets.declared({"env": 3, "secrets": "B"}) == ({}, ())


def test_short_values_are_left_alone():
    """`***` for every `a` would tell the value."""
    secrets.supply({}, ("A", "B"), {"A": "abc", "B": "line one\nline two"})
    assert secrets.scrub("abc line two, 'line one\\nline two'") == "abc ***, '***'"
    assert secrets.scrubbed({"a": 3, "b": ["line one"]}) == {"a": 3, "b": "['***']"}
