"""`effe-tool up` as a user has it: a process, its lines, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import PATIENCE, get, haproxy  # noqa: F401 - a fixture
from tests.docs.shell import free_port


def gone(pid: int) -> bool:
    """Tell whether a process is no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


class Up:
    """A running `effe-tool up`."""

    def __init__(self, folder: Path, *words: str | Path, environ: dict[str, str]) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "effetool", "up", *map(str, words), "-p", str(self.port)]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self.lines.append("<end>")
            self._news.notify_all()

    def line(self, text: str, count: int = 1) -> str:
        """Wait for the count-th line that holds `text`, and return it."""

        def found() -> list[str]:
            return [line for line in self.lines if text in line]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= count or "<end>" in self.lines, PATIENCE)
            assert len(found()) >= count, "\n".join(self.lines)
            return found()[count - 1]

    def ready(self) -> Up:
        self.line("ready  http://")
        return self

    def get(self, path: str, method: str = "GET", **options: object) -> tuple[int, dict[str, str], bytes]:
        return get(self.port, path, method, **options)

    def pid(self, path: str) -> int:
        """Return the process that answers there."""
        return int(json.loads(self.get(path)[2])["pid"])

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; return its exit code once everything it wrote was read."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary directory whose path is short enough for a socket's in it."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def environment(short: Path) -> dict[str, str]:
    """No colours, no flags of an effe, a temporary directory that is empty; the cache of builds is shared."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EFFE_") and name != "PORT"}
    return {**kept, "NO_COLOR": "1", "TMPDIR": str(short)}


@pytest.fixture
def up(tmp_path: Path, short: Path, environment: dict[str, str], haproxy: str) -> Iterator[Callable[..., Up]]:  # noqa: F811
    """Start `effe-tool up WORDS` on a free port; it has ended with the test, and nothing of it is left."""
    started: list[Up] = []

    def start(*words: str | Path, ready: bool = True, **environ: str) -> Up:
        started.append(Up(tmp_path, *words, environ={**environment, **environ}))
        return started[-1].ready() if ready else started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end()
        for stream in (each.process.stdout, each.process.stderr):
            assert stream is not None
            stream.close()
    assert not list(short.glob("effe-up-*"))
