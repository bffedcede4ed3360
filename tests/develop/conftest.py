"""`effe-tool dev` as an author runs it: a process, its lines, and a client on its port."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

PATIENCE = 60

HELLO = """
INFO = {"name": "hello", "version": "1.0"}
def run(context, error, response, request):
    response.write("one")
"""


class Dev:
    """A running `effe-tool dev`; `lines` is its stderr as it comes."""

    def __init__(self, path, *flags, cwd, environ=None, tool=(sys.executable, "-m", "effetool"), **options):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EFFE_") and k not in ("PORT", "FORCE_COLOR")}
        command = [*map(str, tool), "dev", str(path), *flags]
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**kept, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **{"stdin": subprocess.DEVNULL, **options},
        )
        self.lines = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = None

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self.lines.append(None)
            self._news.notify_all()

    def wait(self, text, count=1):
        """Wait for the count-th line that holds `text`, and return it."""

        def found():
            return [line for line in self.lines if line is not None and text in line]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= count or None in self.lines, PATIENCE)
            assert len(found()) >= count, f"no {text!r} in {self.lines}"
            return found()[count - 1]

    def count(self, text):
        with self._news:
            return sum(text in line for line in self.lines if line is not None)

    def ready(self):
        line = self.wait("ready")
        self.port = int(line.split("http://", 1)[1].split()[0].rpartition(":")[2])
        return self

    def ask(self, method="GET", path="/", body=None, headers=None):
        """Ask once; return status, body as text, and the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode(), response
        finally:
            connection.close()

    def get(self, path="/", **options):
        status, text, _ = self.ask("GET", path, **options)
        return status, text

    def fault(self):
        """Ask for the error as JSON."""
        status, text, _ = self.ask()
        assert status == 500, text
        return json.loads(text)["error"]

    def stop(self):
        """Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def dev(tmp_path):
    """Write an effe and serve it: `dev(source)` returns when it is ready; all of them end with the test."""
    started = []

    def start(source=HELLO, *flags, name="logic.py", ready=True, **options):
        (tmp_path / name).write_text(source)
        running = Dev(name, *(flags or ("-port", "0")), cwd=tmp_path, **options)
        started.append(running)
        return running.ready() if ready else running

    yield start
    for running in started:
        running.kill()
