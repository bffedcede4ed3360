"""The emitted units under a real systemd, as PID 1 of its own namespaces: on demand, idle, restarts, journal."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from effetool.deploy import find_effes
from effetool.deploy.systemd import Options, units
from tests.docs.shell import free_port
from tests.parts import need

pytestmark = [pytest.mark.systemd, pytest.mark.slow]

SECONDS = 60.0
BOOT = Path(__file__).with_name("boot.sh")
SECRET = "not for everybody"
# Hostile on purpose: a specifier, a quote and a dollar in what becomes a line of a unit.
VALUE = 'a "b" \\ 100% %n $HOME ü'
HELLO = """
import os, ssl, sys, time
INFO = {"name": "hello", "version": "1.0", "doc": "Say 100% hello %n", "memory": "96MiB", "schedule": "0 13 * * FRI",
        "env": {"WORDS": None}, "secrets": ["API_KEY"]}
def run(context, error, response, request):
    if request.method == "POST":
        print("called", request.path, file=sys.stderr, flush=True)
        return None
    if request.path == "/raise":
        raise ValueError(os.environ["API_KEY"])
    time.sleep(0.02)
    told = {}
    for name in ("/opt/effe/x", "/etc/x", "/var/x", "/tmp/x"):
        try:
            open(name, "w").close()
            told[name] = "written"
        except OSError as refused:
            told[name] = type(refused).__name__
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    response.json({"pid": os.getpid(), "uid": os.getuid(), "words": os.environ["WORDS"], "files": told,
                   "secret": len(os.environ["API_KEY"]), "capabilities": int(status["CapBnd"], 16),
                   "certificates": len(ssl.create_default_context().get_ca_certs())})
"""


class Machine:
    """A booted systemd, and the port of the one effe on it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log
        self.init = 0

    def find_init(self) -> bool:
        """Look for systemd below the process that was started: its PID in its own namespace is 1."""
        assert self.process.poll() is None, self.log.read_text()
        pids = [self.process.pid]
        for pid in pids:
            try:
                if "\t1\n" in Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].partition("\n")[0] + "\n":
                    self.init = pid
                    return Path(f"/proc/{pid}/exe").resolve().name == "systemd"
                pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except (OSError, IndexError):
                pass
        return False

    def do(self, *words: str, check: bool = True) -> str:
        """Run a command on the machine."""
        command = ["nsenter", "-t", str(self.init), "-m", "-p", "-u", "-i", "-C", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        assert not check or done.returncode == 0, done.stdout + done.stderr + self.journal()
        return done.stdout

    def journal(self) -> str:
        return self.do("journalctl", "--no-pager", "-o", "cat", "-u", "effe-hello*", check=False)

    def show(self, unit: str, name: str) -> str:
        return self.do("systemctl", "show", unit, "-p", name, "--value").strip()

    def ask(self, path: str = "/") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def told(self) -> dict[str, object]:
        status, body = self.ask()
        assert status == 200, self.journal()
        return json.loads(body)

    def eventually(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < deadline, self.journal() if self.init else self.log.read_text()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """systemd with the units as they are printed, the file in /opt/effe and the secret in /etc/effe."""
    need("systemctl", "unshare", "nsenter")
    if os.geteuid() != 0:
        assert "CI" not in os.environ, "a systemd can only be started by root"
        pytest.skip("a systemd can only be started by root")
    folder = tmp_path_factory.mktemp("machine")
    (folder / "logic.py").write_text(HELLO)
    tree = folder / f"tree{os.getpid()}"
    for path in ("opt/effe", "etc/effe/hello", "etc/systemd/system"):
        (tree / path).mkdir(parents=True)
    command = [sys.executable, "-m", "effetool", "build", "-q", "--out", str(tree / "opt/effe/hello-1.0.pex")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (tree / "etc/effe/hello/API_KEY").write_text(SECRET)
    (tree / "etc/effe/hello/API_KEY").chmod(0o600)
    port = free_port()
    found = units(find_effes([tree / "opt/effe"]), Options(port=port, idle="1500ms", env={"WORDS": VALUE}))
    for name, text in found.items():
        (tree / "etc/systemd/system" / name).write_text(text)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([str(BOOT), str(tree)], stdout=output, stderr=output)
    machine = Machine(process, port, log)
    try:
        machine.eventually(machine.find_init)
        machine.eventually(
            lambda: machine.do("systemctl", "is-active", "basic.target", check=False).strip() == "active"
        )
        machine.do("systemctl", "enable", "-q", "--now", "effe-hello.socket", "effe-hello.timer")
        yield machine
    finally:
        process.terminate()
        process.wait(SECONDS)


def test_it_starts_on_demand_answers_confined_and_ends_when_idle(machine: Machine) -> None:
    """Started by a connection, without privileges, with its variables, its secret, its limit; ends; starts again."""
    machine.eventually(lambda: machine.show("effe-hello.service", "ActiveState") == "inactive")
    told = machine.told()
    assert told["uid"] not in (0, 65534)
    assert (told["words"], told["secret"], told["capabilities"]) == (VALUE, len(SECRET), 0)
    assert told["files"] == {
        "/opt/effe/x": "OSError", "/etc/x": "OSError", "/var/x": "OSError", "/tmp/x": "written",
    }  # fmt: skip
    assert told["certificates"]
    assert machine.show("effe-hello.service", "MemoryMax") == str(96 << 20)
    machine.eventually(lambda: machine.show("effe-hello.service", "ActiveState") == "inactive")
    assert machine.show("effe-hello.service", "Result") == "success"
    assert machine.told()["pid"] != told["pid"]


def test_restarts_lose_no_connection(machine: Machine) -> None:
    """`systemctl restart` three times under load, and a process that is killed: the socket never refuses."""
    pids: list[object] = []
    failures: list[str] = []
    done = threading.Event()

    def client() -> None:
        while not done.is_set():
            try:
                pids.append(machine.told()["pid"])
            except (OSError, AssertionError, http.client.HTTPException) as error:
                failures.append(repr(error))

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    try:
        for number in range(4):
            machine.eventually(lambda number=number: len(set(pids)) > number)
            if number < 3:
                machine.do("systemctl", "restart", "effe-hello.service")
    finally:
        done.set()
        for thread in clients:
            thread.join(SECONDS)
    assert failures == []
    machine.do("systemctl", "kill", "--signal=KILL", "effe-hello.service")
    machine.eventually(lambda: machine.show("effe-hello.service", "SubState") != "running")
    assert machine.told()["pid"] not in pids  # it waited meanwhile
    assert machine.show("effe-hello.service", "NRestarts") == "1"


def test_what_cannot_start_yet_is_tried_again(machine: Machine) -> None:
    """More often than systemd's own limit of five in ten seconds; who has asked meanwhile is answered in the end."""
    machine.do("systemctl", "stop", "effe-hello.service")
    machine.do("systemctl", "reset-failed", "effe-hello.service", check=False)
    machine.do("mv", "/etc/effe/hello/API_KEY", "/etc/effe/hello/away")
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(machine.ask()[0]))
    asking.start()
    try:
        machine.eventually(lambda: int(machine.show("effe-hello.service", "NRestarts")) > 5)
    finally:
        machine.do("mv", "/etc/effe/hello/away", "/etc/effe/hello/API_KEY")
        asking.join(SECONDS)
    assert answers == [200]


def test_the_timer_calls_it(machine: Machine) -> None:
    """The next call is the schedule's; what the timer starts sends POST / to the socket, confined as it is."""
    assert machine.show("effe-hello.timer", "NextElapseUSecRealtime").split()[::3] == ["Fri", "UTC"]
    assert "13:00:00" in machine.show("effe-hello.timer", "NextElapseUSecRealtime")
    assert machine.show("effe-hello.timer", "Unit") == "effe-hello-call.service"
    machine.do("systemctl", "start", "effe-hello-call.service")
    assert "called /" in machine.journal()


def test_the_journal_has_the_records(machine: Machine) -> None:
    """JSON lines under the unit's name, with the error; of the secret nothing."""
    assert machine.ask("/raise")[0] == 500
    machine.eventually(lambda: "ValueError" in machine.journal())
    journal = machine.journal()
    records = [json.loads(line) for line in journal.splitlines() if line.startswith("{")]
    assert any("hello 1.0 is ready" in record["message"] for record in records)
    assert SECRET not in journal
