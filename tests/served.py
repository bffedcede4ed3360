"""A real server process for a test: started on a free port, asked over HTTP, stopped whatever happens."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.docs.shell import free_port

__all__ = ["Answer", "Served", "serve"]

SECONDS = 120.0  # a start that takes longer hangs, however busy the machine


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Served:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]

    def request(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as connection:
            connection.request(method, target, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())


@contextlib.contextmanager
def serve(
    command: Sequence[str | Path], cwd: Path, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Run `command` with `-port N`, wait until it answers, stop it by SIGTERM: it must then end with 0.

    Raises:
        AssertionError: it does not come up, or does not end well; with what it logged.
    """
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "-port", str(port)], cwd=cwd, env=env, stdout=output, stderr=output)
    try:
        served = Served(port, process)
        deadline = time.monotonic() + SECONDS
        while True:
            assert process.poll() is None, f"ended with {process.returncode}: {log.read_text()}"
            assert time.monotonic() < deadline, f"does not answer: {log.read_text()}"
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
                break
            time.sleep(0.02)  # a port to come cannot be waited for
        yield served
        process.terminate()
        assert process.wait(SECONDS) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
