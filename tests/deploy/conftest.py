"""A real HAProxy, real instances of effes behind it, and clients that count what they get."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from effetool.deploy import Effe, find_effes
from effetool.deploy.haproxy import Front, configuration
from effetool.deploy.haproxy_runtime import Runtime
from effetool.deploy.servers import Server, count_servers, read_servers
from tests.docs.shell import free_port

PATIENCE = 60.0  # what a busy machine may take for what should take a moment
ROOT = Path(__file__).parents[2]

# Says who it is and what it got; notes each run that begins.
LOGIC = """
import os, sys, time
INFO = {info!r}
begun = os.open(os.environ.get("BEGUN", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def run(context, error, response, request):
    if "id" in request.query:
        os.write(begun, f"{{os.getpid()}} {{request.query['id']}}\\n".encode())
    time.sleep(float(request.query.get("sleep", "0")))
    response.json({{"effe": INFO["name"], "version": INFO["version"], "pid": os.getpid(), "path": request.path,
                    "query": request.query_string, "headers": dict(request.headers.items())}})
"""


def eventually(true: Callable[[], object], what: str = "") -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"still not so: {what or true}"
        time.sleep(0.02)


def write_effes(folder: Path, *infos: dict[str, object]) -> list[Effe]:
    """Write effes of these INFOs and find them."""
    for info in infos:
        root = folder / str(info["name"])
        root.mkdir(parents=True, exist_ok=True)
        (root / "logic.py").write_text(LOGIC.format(info=info))
    return find_effes([folder])


@dataclass
class Instance:
    """A running instance of an effe."""

    effe: Effe
    port: int
    admin: int
    process: subprocess.Popen[bytes]

    @property
    def given(self) -> str:
        """As `--server` takes it."""
        return f"{self.effe.name}=127.0.0.1:{self.port}/{self.admin}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def get(port: int, path: str, method: str = "GET", **options: object) -> tuple[int, dict[str, str], bytes]:
    """Ask once; return the status, the fields and the body."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request(method, path, **options)  # type: ignore[arg-type]
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()


@dataclass
class Proxy:
    """A running HAProxy."""

    port: int
    process: subprocess.Popen[bytes]
    runtime: Runtime
    folder: Path
    log: Path

    def get(self, path: str, method: str = "GET", **options: object) -> tuple[int, dict[str, str], bytes]:
        return get(self.port, path, method, **options)

    def server_of(self, name: str) -> str:
        """Return the server that HAProxy's log names for the request of this id."""
        found = re.search(rf" effes\.http (\S+) .*[?&]id={name}[& ]", self.log.read_text())
        assert found, f"{name} is not in the log"
        return found[1]

    def up(self, backend: str) -> list[str]:
        """Return the servers that get requests and whose check has passed."""
        rows = self.runtime.servers().get(backend, {})
        good = {"srv_op_state": "2", "srv_admin_state": "0", "srv_check_result": "3"}
        return [name for name, row in rows.items() if all(row[key] == value for key, value in good.items())]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    """Start an instance of an effe and wait until it is ready; all of them end with the test."""
    started: list[Instance] = []

    def start(effe: Effe, *flags: str, place: Instance | None = None, **environ: str) -> Instance:
        port, admin = (place.port, place.admin) if place else (free_port(), free_port())
        assert effe.project is not None
        command = [sys.executable, "-m", "effetool.runtime", str(effe.project.logic), *flags]
        where = ["-host", "127.0.0.1", "-port", str(port), "-admin", f"127.0.0.1:{admin}"]
        variables = {"PYTHONPATH": str(ROOT), "BEGUN": str(tmp_path / "begun"), "EFFE_LOG": "text", **environ}
        with (tmp_path / f"{effe.name}.{port}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *where], env={**os.environ, **variables}, stdout=log, stderr=log, cwd=tmp_path
            )
        started.append(Instance(effe, port, admin, process))

        def ready() -> bool:
            assert process.poll() is None, Path(log.name).read_text()
            with contextlib.suppress(OSError):
                return get(admin, "/ready")[0] == 200
            return False

        eventually(ready, f"{effe.name} is ready")
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()


@pytest.fixture
def haproxy() -> str:
    """The program; a test that needs it is skipped where it is missing, but never in CI."""
    found = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        assert "CI" not in os.environ, "haproxy is missing: tests/parts.sh installs it"
        pytest.skip("needs haproxy: apt-get install haproxy")
    return found


@pytest.fixture
def proxy(haproxy: str) -> Iterator[Callable[..., Proxy]]:
    """Start HAProxy with what `deploy haproxy` writes and wait until it has seen every server."""
    running: list[subprocess.Popen[bytes]] = []
    numbers = itertools.count()
    short = Path(tempfile.mkdtemp(prefix="effe-"))  # a socket's path ends at 108 bytes

    def start(
        effes: Sequence[Effe], instances: Sequence[Instance | str], *, maps: bool = True, checked: bool = True,
        **front: object,
    ) -> Proxy:  # fmt: skip
        folder = short / f"haproxy{next(numbers)}"
        port = free_port()
        servers = servers_of(effes, instances)
        given = {"bind": f"127.0.0.1:{port}", "socket": str(folder / "admin.sock"), **front}
        for name, text in configuration(effes, servers, Front(**given), maps=maps).items():  # type: ignore[arg-type]
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        log = folder / "log"
        with log.open("wb") as output:
            command = [haproxy, "-W", "-S", f"{folder}/master.sock", "-f", str(folder / "haproxy.cfg")]
            process = subprocess.Popen(command, stdout=output, stderr=output)
        running.append(process)
        made = Proxy(port, process, Runtime(str(folder / "admin.sock")), folder, log)

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            with socket.socket(socket.AF_UNIX) as probe:  # the file is there a moment before anybody listens
                return probe.connect_ex(str(folder / "admin.sock")) == 0

        eventually(listens, "HAProxy listens")
        if checked:
            eventually(lambda: all(len(made.up(name)) == len(servers[name]) for name in servers), "every server is up")
        return made

    yield start
    for process in running:
        process.terminate()
        process.wait(PATIENCE)
    shutil.rmtree(short)


def servers_of(effes: Sequence[Effe], instances: Sequence[Instance | str]) -> dict[str, list[Server]]:
    """Return the servers of instances, as `--server` gives them."""
    words = [each.given if isinstance(each, Instance) else each for each in instances]
    return count_servers(effes, given=read_servers(words))


@dataclass
class Load:
    """Clients that ask all the time, half of them on connections that stay open.

    `failed` holds whatever was not answered 200 with the effe that was asked, by the request's id.
    """

    port: int
    paths: Sequence[str]
    method: str = "GET"
    clients: int = 6
    query: str = ""
    failed: dict[str, str] = field(default_factory=dict)
    answered: int = 0
    pids: set[int] = field(default_factory=set)
    _end: threading.Event = field(default_factory=threading.Event)
    _more: threading.Condition = field(default_factory=threading.Condition)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _work(self, client: int) -> None:
        import json

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        for number in itertools.count():
            if self._end.is_set():
                break
            name, pid = f"{self.method}{client}-{number}", None
            path = self.paths[number % len(self.paths)]
            try:
                connection.request(self.method, f"{path}?id={name}{self.query}")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status == 200 and f"/{json.loads(body)['effe']}" == path:
                    pid = json.loads(body)["pid"]
                else:
                    self.failed[name] = f"{answer.status} {body!r}"
                if client % 2 or answer.will_close:
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.failed[name] = repr(error)
                connection.close()
            with self._more:
                if pid is not None:
                    self.answered += 1
                    self.pids.add(pid)
                self._more.notify_all()
        connection.close()

    def wait(self, more: int = 100) -> None:
        """Wait for so many more answers."""
        with self._more:
            target = self.answered + more
            assert self._more.wait_for(lambda: self.answered >= target, PATIENCE), self.failed

    def wait_for(self, instance: Instance) -> None:
        """Wait for an answer of this instance."""
        with self._more:
            assert self._more.wait_for(lambda: instance.process.pid in self.pids, PATIENCE), self.failed
