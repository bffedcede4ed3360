"""What an author is promised (docs/reference/contract.md), each row of the tables, by a process that serves."""

import json
import os
import signal
import subprocess
import sys

import pytest

from .conftest import PATIENCE, ROOT, Running, pythons

LOGIC = """
import threading
from effetool.runtime import HTTPError, StartError
INFO = {"name": "rows", "version": "1.0"}
seen = {"init": 0, "started": [], "stopped": []}
lock = threading.Lock()
fail = []

class Context:
    def __init__(self, number): self.number = number

def init():
    seen["init"] += 1

def start():
    kind = fail.pop() if fail else None
    if kind == "raise":
        raise OSError("no database")
    with lock:
        context = Context(len(seen["started"]) + 1)
        seen["started"].append(context.number)
    if kind == "start-error":
        raise StartError(context) from OSError("half a database")
    return context

def run(context, error, response, request):
    path = request.path
    if path == "/seen":
        response.json(seen)
    elif path.startswith("/fail/"):
        fail.append(path[6:])
        raise RuntimeError("so that the next request starts a context")
    elif path == "/error":
        cause = type(error.__cause__).__name__ if error.__cause__ else None
        response.json([context and context.number, type(error).__name__, cause])
        return error
    elif path == "/http":
        raise HTTPError(418, "short and stout")
    elif path == "/returns":
        response.status = 503
        response.write("come again")
        return ValueError("returned")
    elif path == "/value":
        return "a value"
    elif path == "/begun":
        response.write("begun")
        response.flush()
        raise RuntimeError("too late")
    else:
        response.json(context.number)

def stop(context):
    seen["stopped"].append(context.number)
    print("stopped", context.number, flush=True)
"""


@pytest.fixture
def rows(serve):
    return serve(LOGIC)


def stopped(rows, *numbers):
    """Wait until those contexts are stopped, in that order, and none else: an answer comes before what follows it."""
    for number in numbers:
        assert rows.process.stdout.readline() == f"stopped {number}\n"
    return json.loads(rows.get("/seen")[1])["stopped"] == [*numbers]


def test_start_returns_a_context_that_is_pooled(rows):
    """start() returns c: run gets (c, None), the next run gets c again; init ran once."""
    assert [rows.get("/")[1] for _ in range(3)] == ["1", "1", "1"]
    seen = json.loads(rows.get("/seen")[1])
    assert (seen["init"], seen["started"], seen["stopped"]) == (1, [1], [])


def test_start_that_raises_reaches_run(rows):
    """start() raises e: run gets (None, e), and there is nothing to stop."""
    rows.get("/fail/raise")
    assert json.loads(rows.get("/error")[1]) == [None, "OSError", None]
    assert stopped(rows, 1)
    assert "no database" in rows.record("run() returned an error")["error"]


def test_start_error_is_used_once(rows):
    """start() raises StartError(c): run gets (c, StartError), c is stopped after it and never pooled."""
    rows.get("/fail/start-error")
    assert json.loads(rows.get("/error")[1]) == [2, "StartError", "OSError"]
    assert rows.get("/")[1] == "3"
    assert stopped(rows, 1, 2)


def test_run_returns_an_exception(rows):
    """What was written stands, one record is logged, the context is pooled."""
    assert rows.get("/returns") == (503, "come again")
    assert "returned" in rows.record("run() returned an error")["error"]
    assert rows.get("/")[1] == "1"


def test_run_raises_http_error(rows):
    """The client sees that status; nothing is logged; the context is pooled."""
    assert rows.get("/http") == (418, "short and stout\n")
    assert rows.get("/")[1] == "1"
    assert [record for record in rows.records if record["level"] != "info"] == []


def test_run_raises_anything_else(rows):
    """500 and nothing of the inside; one critical record with its traceback; the context is stopped and dropped."""
    status, text = rows.get("/fail/none")
    assert (status, text) == (500, "Internal Server Error\n")
    record = rows.record("run() failed")
    assert record["level"] == "critical" and "so that the next request" in json.dumps(record)
    assert rows.get("/")[1] == "2"
    assert stopped(rows, 1)


def test_run_returns_a_value(rows):
    """500; the log says what to do instead; the context is pooled."""
    assert rows.get("/value")[0] == 500
    assert "write the body to `response` instead" in json.dumps(rows.record("run() returned a value"))
    assert rows.get("/")[1] == "1"


def test_a_crash_after_the_first_byte_cuts_the_connection(rows):
    """The client must not take what it has for a whole answer."""
    with rows.connect() as client:
        client.sendall(b"GET /begun HTTP/1.1\r\nHost: h\r\n\r\n")
        data = b""
        try:
            while piece := client.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
    assert b"begun" in data and not data.endswith(b"0\r\n\r\n")
    rows.record("run() failed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_every_context_once(rows, number):
    """Contexts are stopped at shutdown, exactly once, and the exit code is 0."""
    assert rows.get("/")[1] == "1"
    rows.signal(number)
    assert rows.end() == 0
    assert rows.process.stdout.read() == "stopped 1\n"


def test_async_functions_are_awaited(serve):
    """`async def` for init, start, run, stop and ready."""
    running = serve(
        "import asyncio\nINFO = {'name': 'a', 'version': '1'}\nseen = []\n"
        "async def init(): seen.append('init')\n"
        "async def start():\n    await asyncio.sleep(0)\n    return 'context'\n"
        "async def run(context, error, response, request):\n"
        "    await asyncio.sleep(0.01)\n    response.json([*seen, context])\n"
        "async def stop(context): print('stopped', context, flush=True)\n"
        "async def ready(): return True\n"
    )
    assert json.loads(running.get()[1]) == ["init", "context"]
    assert running.stop() == 0
    assert running.process.stdout.read() == "stopped context\n"


def test_runs_at_once_have_a_context_each(serve):
    """start runs many times under load: a context serves one run at a time."""
    running = serve(
        "import threading\nINFO = {'name': 'a', 'version': '1'}\nbarrier = threading.Barrier(4)\n"
        "def start(): return object()\n"
        "def run(context, error, response, request):\n    barrier.wait(30)\n    response.write(str(id(context)))\n"
    )
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = {answer[1] for answer in pool.map(lambda _: running.get(), range(4))}
    assert len(answers) == 4


ISOLATED = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = 'effe';"
    "from effetool.runtime.__main__ import main; sys.exit(main())"
)


@pytest.mark.slow
def test_every_python_serves_without_site(tmp_path):
    """Each Python that is promised, isolated and without site (-I -S): the runtime needs the standard library alone."""
    found = pythons()
    assert f"3.{sys.version_info[1]}" in found
    (tmp_path / "logic.py").write_text(LOGIC)
    for version, python in found.items():
        command = [python, "-I", "-S", "-c", ISOLATED, str(ROOT), "logic.py", "-port", "0", "-log", "json"]
        running = Running([*command, "-host", "127.0.0.1"], dict(os.environ), tmp_path)
        try:
            assert running.ready().get("/")[1] == "1", version
            assert running.stop() == 0, version
            said = subprocess.run(
                [*command[:7], "-info"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
            )
            assert json.loads(said.stdout) == {"name": "rows", "version": "1.0"}, said.stderr
        finally:
            running.kill()
