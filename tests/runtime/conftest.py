"""A running effe for the tests: a real process, its log, its end."""

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from effetool.builder.interpreters import NEWEST, OLDEST
from effetool.runtime.contract.logic import fill_in
from effetool.runtime.flags import Settings
from effetool.runtime.server.server import Server
from effetool.runtime.telemetry.log import Log

# A busy machine is slow, which is no finding.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).parents[2]
# What hides epoll from a server. `make selectors` runs all tests here so, as on macOS or BSD.
HIDDEN = Path(__file__).with_name("hidden")
WITHOUT_EPOLL = bool(os.environ.get("EFFE_TEST_WITHOUT_EPOLL"))
if WITHOUT_EPOLL and hasattr(select, "epoll"):
    del select.epoll
PYTHONPATH = f"{HIDDEN}:{ROOT}" if WITHOUT_EPOLL else str(ROOT)
# How long a busy machine may take for what should take a moment.
PATIENCE = 60


class Running:
    """A process that serves an effe; `records` is its log (JSON), read as it comes."""

    def __init__(self, command, environ, cwd, **options):
        self.process = subprocess.Popen(
            command, env=environ, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        self.records = []
        self.lines = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = self.address = self.admin = None

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                if line.startswith("{"):
                    self.records.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self.lines.append(None)
            self._news.notify_all()

    def record(self, text, count=1):
        """Wait for the count-th record whose message holds `text`, and return it."""

        def found():
            return [record for record in self.records if text in record["message"]]

        with self._news:
            ok = self._news.wait_for(lambda: len(found()) >= count or None in self.lines, PATIENCE)
            assert ok and len(found()) >= count, f"no record {text!r} in {self.lines}"
            return found()[count - 1]

    def ready(self):
        """Wait until it answers."""
        record = self.record("is ready")
        self.address = record["address"].split(", ")[0]
        if self.address.startswith("http"):
            self.port = int(self.address.rpartition(":")[2])
        if "admin" in record:
            self.admin = int(record["admin"].rpartition(":")[2])
        return self

    def connect(self, port=None):
        """Open a connection to it."""
        return socket.create_connection(("127.0.0.1", port or self.port), PATIENCE)

    def get(self, path="/", port=None, **options):
        """Ask once, on a connection of its own; return the status and the body as text."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)
        try:
            connection.request(options.pop("method", "GET"), path, **options)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self):
        """Wait for its end; return its exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self):
        """Ask it to end, and return its exit code."""
        self.signal()
        return self.end()

    def memory(self, field="VmRSS"):
        """Return the bytes it holds now, or (VmHWM) has held at most; proc_pid_status(5)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", text)[1]) * 1024

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def serve(tmp_path):
    """Serve an effe from its source (text) with flags, on a free port of 127.0.0.1; all of them end with the test."""
    started = []

    def start(
        source,
        *flags,
        ready=True,
        python=sys.executable,
        environ=None,
        name="logic.py",
        prefix=(),
        command=None,
        **options,
    ):
        (tmp_path / name).write_text(source)
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("EFFE_", "LISTEN_")) and k != "PORT"}
        variables |= {"EFFE_LOG": "json", "EFFE_HOST": "127.0.0.1", "EFFE_PORT": "0", "PYTHONPATH": PYTHONPATH}
        command = command or [*prefix, python, "-m", "effetool.runtime", name, *flags]
        running = Running(command, variables | (environ or {}), tmp_path, **options)
        started.append(running)
        return running.ready() if ready else running

    yield start
    for running in started:
        running.kill()


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Build an effe from its source (text), once for each; return the .pex."""
    made = {}

    def build(source):
        if source not in made:
            folder = tmp_path_factory.mktemp("built")
            (folder / "logic.py").write_text(source)
            command = [sys.executable, "-m", "effetool", "build", "-q", "--out", "effe.pex"]
            subprocess.run(command, cwd=folder, check=True, timeout=PATIENCE)
            made[source] = folder / "effe.pex"
        return made[source]

    return build


def pythons():
    """Return every Python from 3.9 to the newest that this machine has."""
    found = {}
    for minor in range(OLDEST, NEWEST + 1):
        places = sorted((Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob(f"3.{minor}.*"))
        candidates = [str(place / "bin" / f"python3.{minor}") for place in places]
        for candidate in (f"python3.{minor}", *candidates):
            try:
                subprocess.run([candidate, "-c", ""], check=True, capture_output=True, timeout=PATIENCE)
            except (OSError, subprocess.SubprocessError):
                continue
            found[f"3.{minor}"] = candidate
            break
    return found


@pytest.fixture
def inside():
    """Serve functions in this process: returns one that sends bytes and gives back all that the server answers."""
    ends = []

    def start(run, **functions):
        flags, observer = functions.pop("settings", None) or Settings(), functions.pop("observer", None)
        reader, writer = os.pipe()
        effe = fill_in(types.SimpleNamespace(run=run, **functions))
        server = Server(flags, effe, Log("json", stream=writer), [], observer=observer)
        thread = threading.Thread(target=server.serve)
        thread.start()
        ends.append((server, thread, reader, writer))

        def talk(data):
            ours, theirs = socket.socketpair()
            server.adopt(theirs, ("192.0.2.1", 1234))
            with ours:
                ours.settimeout(PATIENCE)
                ours.sendall(data)
                ours.shutdown(socket.SHUT_WR)
                answer = b""
                while piece := ours.recv(65536):
                    answer += piece
            return answer

        return talk

    yield start
    for server, thread, reader, writer in ends:
        server.shutdown()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        os.close(reader)
        os.close(writer)
