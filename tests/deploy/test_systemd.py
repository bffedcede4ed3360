"""effetool.deploy.systemd: units that systemd accepts, and what they start, started as systemd does it."""

from __future__ import annotations

import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from effetool.deploy import find_effes
from effetool.deploy.systemd import HARDENING, Options, _one_line, _quoted, units
from effetool.errors import DeployError
from tests.docs.shell import free_port
from tests.parts import need

from .cluster import FULL, effes

SECONDS = 60.0
HELLO = """
import os
INFO = {"name": "hello", "version": "1.0", "doc": "Say 100% hello", "memory": "64MiB", "schedule": "0 0 13 * FRI",
        "env": {"LANGUAGE": "en"}, "secrets": ["API_KEY"]}
def run(context, error, response, request):
    print(os.getpid(), os.environ["LANGUAGE"], len(os.environ["API_KEY"]), request.method, file=response)
"""


@pytest.fixture(scope="module")
def pex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """hello-1.0.pex."""
    folder = tmp_path_factory.mktemp("hello")
    (folder / "logic.py").write_text(HELLO)
    command = [sys.executable, "-m", "effetool", "build", "-q"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "hello-1.0.pex"


@pytest.mark.systemd
def test_systemd_accepts_the_units(pex: Path, tmp_path: Path) -> None:
    """Every directive is known and every file there; the exposure is below 2 of 10."""
    need("systemd-analyze")
    found = units(find_effes([pex]), Options(prefix=str(pex.parent), env={"LANGUAGE": 'a "b" \\ % $X'}))
    assert sorted(found) == ["effe-hello-call.service", "effe-hello.service", "effe-hello.socket", "effe-hello.timer"]
    for name, text in found.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in found]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for name in found:
        if name.endswith(".service"):
            command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(tmp_path / name)]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
            exposure = re.search(rf"level for {name}: ([0-9.]+)", done.stdout)
            assert exposure is not None, done.stdout + done.stderr
            assert float(exposure[1]) < 2
            assert done.returncode == 0


@pytest.mark.systemd
def test_a_wrong_unit_is_found(pex: Path, tmp_path: Path) -> None:
    """The judges of these tests do refuse."""
    need("systemd-analyze")
    found = units(find_effes([pex]), Options(prefix=str(pex.parent)))
    text = found["effe-hello.service"].replace("TasksMax=", "TaskMax=").replace(HARDENING, "")
    (tmp_path / "effe-hello.service").write_text(text)
    (tmp_path / "effe-hello.socket").write_text(found["effe-hello.socket"])
    path = str(tmp_path / "effe-hello.service")
    assert "TaskMax" in subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True).stderr
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", path]
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_what_the_units_say(tmp_path: Path) -> None:
    """Ports count up, the admin port is 1000 more, as for HAProxy; secrets are credentials; a timer for a schedule."""
    found = units(effes(tmp_path, FULL, {"name": "a", "version": "2"}), Options(idle="0", host=""))
    assert sorted(found) == [
        "effe-a.service",
        "effe-a.socket",
        "effe-mail-call.service",
        "effe-mail.service",
        "effe-mail.socket",
        "effe-mail.timer",
    ]
    assert "ListenStream=8101\n" in found["effe-a.socket"]
    service = found["effe-mail.service"]
    for line in (
        "ExecStart=/opt/effe/mail-1.0.pex",
        "Environment=EFFE_ADMIN=127.0.0.1:9102",
        "Environment=EFFE_CONCURRENCY=16",
        "Environment=EFFE_GRACE=30s",
        "Environment=LANGUAGE=en",
        "EnvironmentFile=-/etc/effe/mail.env",
        "LoadCredential=API_KEY:/etc/effe/mail/API_KEY",
        "MemoryMax=67108864",
        "TimeoutStopSec=35s",
    ):
        assert f"\n{line}\n" in service
    assert "IDLE" not in service and "REGION" not in service
    assert "\nOnCalendar=Sun,Fri,Sat *-01,02,03-* 00,01,02,03,04,22,23:00" in found["effe-mail.timer"]
    assert "-call -host localhost -port 8102\n" in found["effe-mail-call.service"]


def test_words_are_quoted() -> None:
    """As systemd.syntax(7) has it; no value ends a line."""
    for text, quoted in {
        "A=b": "A=b",
        "A=": "A=",
        "A=a b": '"A=a b"',
        'A="\\%': '"A=\\"\\\\%%"',
        "A=x\ny\t\x07": '"A=x\\ny\\t\\x07"',
        "A=ü\u2028": '"A=ü\\xe2\\x80\\xa8"',
        "A=#;$X": '"A=#;$X"',
    }.items():
        assert _quoted(text) == quoted
    assert _one_line("100%\nExecStart=/bin/sh \\") == "100%% ExecStart=/bin/sh "


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(prefix="opt"), '--prefix: "opt" is not an absolute path'),
        (Options(prefix="/opt/a b"), "--prefix"),
        (Options(prefix="/home/me"), "--prefix /home/me: the units see nothing of /home"),
        (Options(etc="/etc\nExecStart=x"), "--etc"),
        (Options(host="a b"), '--host: "a b" is not an address'),
        (Options(port=65000), "--port 65000: the admin ports would reach 66001"),
        (Options(port=0), "--port 0"),
        (Options(idle="soon"), "--idle-exit soon: this takes a duration"),
        (Options(env={"DATABASE_URL": "x"}), "--env DATABASE_URL: a secret"),
    ],
)
def test_what_is_refused(options: Options, said: str, tmp_path: Path) -> None:
    """Before anything is printed, with a fix."""
    with pytest.raises(DeployError) as caught:
        units(effes(tmp_path, FULL, {"name": "other"}), options)
    assert caught.value.message.startswith(said)
    assert caught.value.fix


class Unit:
    """A service unit, started as systemd would: its command, its variables, its credentials, the socket handed over."""

    def __init__(self, pex: Path, folder: Path, idle: str) -> None:
        self.text = units(find_effes([pex]), Options(prefix=str(pex.parent), idle=idle))["effe-hello.service"]
        (folder / "API_KEY").write_text("0123456789\n")
        said = re.findall(r"^Environment=([A-Z_]+)=(.*)$", self.text, re.MULTILINE)
        self.admin = free_port()
        given = {key: value for key, value in os.environ.items() if not key.startswith(("EFFE_", "LISTEN_"))}
        self.environment = {
            **given,
            **dict(said),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "EFFE_ADMIN": f"127.0.0.1:{self.admin}",
            "CREDENTIALS_DIRECTORY": str(folder),
        }
        (self.command,) = re.findall(r"^ExecStart=(.*)$", self.text, re.MULTILINE)


def ask(port: int) -> list[str]:
    """Ask once, by a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode().split()
    finally:
        connection.close()


@pytest.fixture
def activated(pex: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The unit behind systemd-socket-activate, ending a second after the last request."""
    need("systemd-socket-activate")
    unit, port = Unit(pex, tmp_path, "1s"), free_port()
    names = [f"--setenv={name}" for name in unit.environment]
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", *names, unit.command]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=unit.environment, stdout=log, stderr=log)
    try:
        yield process, port
    finally:
        process.kill()
        process.wait()


@pytest.mark.systemd
def test_it_starts_on_demand_and_ends_when_idle(activated: tuple[subprocess.Popen[bytes], int]) -> None:
    """Nothing of the effe runs before the first connection; a while after the last one it exits with 0."""
    process, port = activated
    deadline = time.monotonic() + SECONDS
    while not listening(port):  # asked without a connection, which would start it
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    assert b"hello-1.0.pex" not in Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")[0]
    pid, language, length, method = ask(port)
    assert (int(pid), language, length, method) == (process.pid, "en", "10", "GET")
    assert process.wait(SECONDS) == 0


def listening(port: int) -> bool:
    """Look into the kernel's table (proc(5), /proc/net/tcp): state 0A is LISTEN."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


def start(unit: Unit, listener: socket.socket, log: Path) -> subprocess.Popen[bytes]:
    """Start the service as systemd does: descriptor 3 is the socket, LISTEN_PID the process itself."""
    script = 'exec 3<&"$1"; LISTEN_FDS=1 LISTEN_PID=$$ exec "$2"'
    with log.open("ab") as out:
        return subprocess.Popen(
            ["/bin/bash", "-c", script, "-", str(listener.fileno()), unit.command],
            env=unit.environment,
            stdout=out,
            stderr=out,
            pass_fds=[listener.fileno()],
        )


@pytest.mark.slow
def test_a_restart_loses_no_connection(pex: Path, tmp_path: Path) -> None:
    """The socket stays with whoever starts the service: three restarts under load, every request answered."""
    unit = Unit(pex, tmp_path, "0")
    failures: list[BaseException] = []
    pids: list[str] = []
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = listener.getsockname()[1]

        def client() -> None:
            while not done.is_set():
                try:
                    pids.append(ask(port)[0])
                except (OSError, AssertionError, http.client.HTTPException) as error:
                    failures.append(error)

        clients = [threading.Thread(target=client) for _ in range(4)]
        for thread in clients:
            thread.start()
        process = None
        try:
            for number in range(4):
                assert select.select([listener], [], [], SECONDS)[0]  # on demand
                process = start(unit, listener, tmp_path / "log")
                deadline = time.monotonic() + SECONDS
                while pids.count(str(process.pid)) < 20:
                    assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
                    time.sleep(0.02)
                if number == 3:
                    done.set()
                    for thread in clients:
                        thread.join(SECONDS)
                process.send_signal(signal.SIGTERM)
                assert process.wait(SECONDS) == 0
        finally:
            done.set()
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
            for thread in clients:
                thread.join(SECONDS)
    assert failures == []
    assert len(set(pids)) == 4
