"""Several workers under a parent (effetool/runtime/process/supervisor.py and worker.py)."""

import os
import re
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from ..conftest import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc"),
]

EFFE = """
import os, pathlib, threading, time
INFO = {"name": "hello", "version": "1.0"}
def init():
    with open("inits", "a") as file:
        file.write(str(os.getpid()) + "\\n")
def run(context, error, response, request):
    if request.path == "/die":
        os._exit(9)
    if request.path == "/wait":
        pathlib.Path("waiting").touch()
        while not os.path.exists("go"):
            time.sleep(0.005)
    response.write("1 " + str(os.getpid()))
"""


def asked(running, count=200):
    """Ask on many connections; return who answered how often."""
    answers = {}
    for _ in range(count):
        status, text = running.get()
        assert status == 200
        answers[text] = answers.get(text, 0) + 1
    return answers


def children(running):
    """The pids of its workers."""
    pid = running.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(condition):
    """Wait for a condition that has no event to wait for."""
    pause = threading.Event()
    for _ in range(6000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")


class Load:
    """Clients that ask all the time, each request on a new connection or all on one; `failed` is what went wrong."""

    def __init__(self, running, clients=4):
        self.running, self.failed, self.answers = running, [], []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self):
        while not self._end.is_set():
            try:
                status, text = self.running.get()
                self.answers.append(text)
                if status != 200:
                    self.failed.append(status)
            except OSError as error:
                self.failed.append(repr(error))


def test_each_worker_runs_init_and_answers(serve, tmp_path):
    """The kernel spreads the connections over them; they end together."""
    running = serve(EFFE, "-workers", "2")
    inits = (tmp_path / "inits").read_text().split()
    assert sorted(map(int, inits)) == sorted(children(running))
    answers = asked(running)
    assert sorted(answers) == sorted(f"1 {pid}" for pid in inits)
    assert min(answers.values()) > 20
    assert running.stop() == 0
    assert [record["message"] for record in running.records] == ["hello 1.0 is ready", "stopping", "stopped"]


def test_workers_run_with_the_global_lock_as_their_parent_was_told(serve):
    """`-X gil` is a flag of the parent, which they do not inherit as they do PYTHON_GIL. Every Python takes 1."""
    source = EFFE.replace('"1 " + str(os.getpid())', 'os.environ.get("PYTHON_GIL", "") + " " + str(GIL())').replace(
        "import os,", "import sys\nGIL = getattr(sys, '_is_gil_enabled', lambda: True)\nimport os,", 1
    )
    command = [sys.executable, "-X", "gil=1", "-m", "effetool.runtime", "logic.py", "-workers", "1"]
    running = serve(source, command=command)
    assert running.get() == (200, "1 True")
    assert running.stop() == 0


def test_a_worker_that_dies_is_replaced_and_the_others_answer_on(serve):
    """SIGKILL loses what the worker held, nothing else: whoever comes meanwhile is served."""
    running = serve(EFFE, "-workers", "2")
    first = children(running)
    with Load(running) as load:
        until(lambda: len(load.answers) > 20)
        os.kill(first[0], signal.SIGKILL)
        record = running.record("a worker died")
        assert (record["pid"], record["exit_code"]) == (first[0], -9)
        until(lambda: len(children(running)) == 2 and first[0] not in children(running))
        count = len(load.answers)
        until(lambda: len(load.answers) > count + 100)
    assert len(load.failed) <= 4, "one for each client at most: those that the dead worker held"
    assert first[1] in children(running)


def test_a_worker_that_dies_again_and_again_waits_longer(serve):
    """A crash in a loop must not burn the machine; meanwhile the other worker takes its connections."""
    running = serve(EFFE, "-workers", "2")
    for _ in range(4):
        with pytest.raises(OSError):
            running.get("/die")
    for _ in range(50):
        assert running.get()[0] == 200
    assert running.record("a worker died", 4)
    assert running.stop() == 0


def test_sighup_brings_the_new_file_without_losing_a_request(serve, tmp_path):
    """Worker by worker: the new one answers before the old one drains."""
    running = serve(EFFE, "-workers", "2")
    old = children(running)
    with Load(running) as load:
        until(lambda: len(load.answers) > 20)
        (tmp_path / "logic.py").write_text(EFFE.replace('"1 "', '"2 "'))
        running.signal(signal.SIGHUP)
        running.record("reloaded")
        until(lambda: not set(old) & set(children(running)))
        count = len(load.answers)
        until(lambda: len(load.answers) > count + 50)
    assert load.failed == []
    assert {answer[0] for answer in load.answers[count + 10 :]} == {"2"}
    assert running.stop() == 0


def test_sighup_brings_the_pex_that_lies_at_the_path_now(serve, built, tmp_path):
    """A built file is replaced while it serves, as a deployment does: the old workers finish from the old one."""
    path = tmp_path / "hello.pex"
    shutil.copy(built(EFFE), path)
    running = serve(EFFE, command=[path, "-workers", "2"])
    with Load(running) as load:
        until(lambda: len(load.answers) > 20)
        shutil.copy(built(EFFE.replace('"1 "', '"2 "')), tmp_path / "new")
        (tmp_path / "new").replace(path)
        running.signal(signal.SIGHUP)
        running.record("reloaded")
        count = len(load.answers)
        until(lambda: len(load.answers) > count + 50)
    assert load.failed == []
    assert {answer[0] for answer in load.answers[count + 10 :]} == {"2"}
    assert running.stop() == 0


# Holds a worker at a point where none of the effe's code has run, so none of its handlers stands.
HELD = """
import os, time
if "EFFE_WORKER" in os.environ:
    open(f"held-{os.getpid()}", "w").close()
    while not os.path.exists("let-go"):
        time.sleep(0.005)
"""


def test_a_signal_to_the_whole_group_ends_no_worker_that_is_only_starting(serve, tmp_path):
    """A shell's `kill -HUP %1`, a terminal that closes: the parent is meant, and reloads once all are there."""
    (tmp_path / "sitecustomize.py").write_text(HELD)
    running = serve(
        EFFE, "-workers", "2", ready=False, environ={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, start_new_session=True
    )
    until(lambda: len(list(tmp_path.glob("held-*"))) == 2)
    first = children(running)
    os.killpg(running.process.pid, signal.SIGHUP)
    (tmp_path / "let-go").touch()
    running.record("reloaded")
    assert not [record for record in running.records if record["level"] != "info"]
    assert len(children(running)) == 2 and not set(first) & set(children(running))
    assert running.ready().get()[0] == 200
    assert running.stop() == 0


def test_a_new_file_that_does_not_start_changes_nothing(serve, tmp_path):
    """The old workers go on, and the log says why."""
    running = serve(EFFE, "-workers", "2")
    old = children(running)
    (tmp_path / "logic.py").write_text("def run(context, error, response, request): pass\nimport no_such_module\n")
    running.signal(signal.SIGHUP)
    running.record("not reloaded")
    assert "no_such_module" in running.record("cannot be imported")["error"]
    assert sorted(children(running)) == sorted(old)
    assert running.get()[0] == 200


def test_workers_leave_when_their_parent_is_killed(serve, tmp_path):
    """They answer what they hold, and free the port."""
    running = serve(EFFE, "-workers", "2")
    workers = children(running)
    with running.connect() as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
        until((tmp_path / "waiting").exists)
        running.process.kill()
        running.process.wait(60)
        (tmp_path / "go").touch()
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", running.port)) != 0


def test_an_effe_that_does_not_start_ends_the_parent(serve):
    """The first start is a test: exit 1, and no loop."""
    running = serve(EFFE.replace("def init():", "def init():\n    {}['url']"), "-workers", "2", ready=False)
    assert running.end() == 1
    assert "url" in running.record("init() failed")["error"]


SLOW_TO_START = EFFE.replace(
    "def init():",
    """def init():
    try:
        open("first", "x").close()
    except FileExistsError:
        while not os.path.exists("go"):
            time.sleep(0.005)""",
)


def test_a_worker_that_dies_while_others_start_is_replaced(serve, tmp_path):
    """It has started and answered: a request that kills it is no reason to end the others."""
    running = serve(SLOW_TO_START, "-workers", "2", "-unix", "s.sock", ready=False)
    until((tmp_path / "first").exists)
    until((tmp_path / "s.sock").exists)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s.sock"))
        client.sendall(b"GET /die HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.recv(1) == b""
    assert running.record("a worker died")["exit_code"] == 9
    (tmp_path / "go").touch()
    running.record("is ready")
    until(lambda: len(children(running)) == 2)
    assert running.stop() == 0


def test_metrics_are_summed_and_shown_for_each_worker(serve):
    """On one admin port; what a dead worker has counted stays in the sum."""
    running = serve(EFFE, "-workers", "2", "-admin", "127.0.0.1:0")
    asked(running, 40)
    page = running.get("/metrics", running.admin)[1]
    assert 'effe_requests_total{code="2xx"} 40\n' in page
    each = re.findall(r'effe_worker_requests_total\{worker="\d",code="2xx"\} (\d+)\n', page)
    assert len(each) == 2 and sum(map(int, each)) == 40
    old = children(running)
    running.signal(signal.SIGHUP)
    running.record("reloaded")
    until(lambda: not set(old) & set(children(running)))
    asked(running, 10)
    assert 'effe_requests_total{code="2xx"} 50\n' in running.get("/metrics", running.admin)[1]
    assert running.get("/ready", running.admin) == (200, "ready\n")


def test_one_unix_socket_is_shared(serve, tmp_path):
    """There is only one: whichever worker wakes takes the connection."""
    running = serve(EFFE, "-workers", "2", "-unix", "s.sock")
    for _ in range(10):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s.sock"))
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert b" 200 OK" in client.makefile("rb").read()
    assert running.stop() == 0
    assert not (tmp_path / "s.sock").exists()


def test_a_busy_port_is_told_though_workers_share_theirs(serve):
    """SO_REUSEPORT would let a second effe join in silently."""
    running = serve(EFFE, "-workers", "2")
    second = serve(EFFE, "-workers", "2", "-port", str(running.port), ready=False)
    assert second.end() == 1
    assert "is taken by" in second.record("is taken")["message"]


SLOW_START = EFFE.replace(
    "def init():",
    """def init():
    held = os.path.exists("hold")
    try:
        return begin()
    finally:
        while held and not os.path.exists(f"go-{os.getpid()}"):
            if os.path.exists(f"fail-{os.getpid()}"):
                os._exit(1)
            time.sleep(0.005)
def begin():""",
)


def begun(tmp_path, count):
    """Wait for the count-th worker that there ever was; return its pid."""
    path = tmp_path / "inits"
    until(lambda: path.read_text().count("\n") >= count)
    return int(path.read_text().split()[count - 1])


def test_a_worker_that_is_ready_just_after_its_successor_still_leaves(serve, tmp_path):
    """Its word comes when it has been dismissed: it ends without an alarm, and the reload is told to be done."""
    running = serve(SLOW_START, "-workers", "1")
    (tmp_path / "hold").touch()
    os.kill(begun(tmp_path, 1), signal.SIGKILL)
    late = begun(tmp_path, 2)
    running.signal(signal.SIGHUP)
    new = begun(tmp_path, 3)
    running.signal(signal.SIGSTOP)  # the parent hears both at once, in this order
    for pid in (new, late):
        (tmp_path / f"go-{pid}").touch()
        until(lambda pid=pid: running.get()[1] == f"1 {pid}")
    running.signal(signal.SIGCONT)
    running.record("reloaded")
    assert children(running) == [new]
    assert running.stop() == 0
    assert [record["message"] for record in running.records].count("a worker died") == 1


def test_a_reload_goes_on_when_the_new_worker_is_ready_not_when_another_is(serve, tmp_path):
    """One at a time: a file that does not start is tried in one place only."""
    running = serve(SLOW_START, "-workers", "2")
    (tmp_path / "hold").touch()
    first = children(running)[0]
    os.kill(first, signal.SIGKILL)
    late = begun(tmp_path, 3)
    running.signal(signal.SIGHUP)
    new = begun(tmp_path, 4)
    (tmp_path / f"go-{late}").touch()
    until(lambda: running.get()[1] == f"1 {late}")
    (tmp_path / f"fail-{new}").touch()
    running.record("not reloaded")
    until(lambda: new not in children(running))
    assert len(children(running)) == 2


def test_a_worker_that_dies_while_its_successor_fails_is_replaced(serve, tmp_path):
    """The old one does not go on, so another has to."""
    running = serve(SLOW_START, "-workers", "1")
    (tmp_path / "hold").touch()
    running.signal(signal.SIGHUP)
    new = begun(tmp_path, 2)
    os.kill(begun(tmp_path, 1), signal.SIGKILL)
    running.record("a worker died")
    (tmp_path / f"fail-{new}").touch()
    running.record("not reloaded")
    last = begun(tmp_path, 3)
    (tmp_path / f"go-{last}").touch()
    until(lambda: children(running) == [last])
    assert running.get()[1] == f"1 {last}"
