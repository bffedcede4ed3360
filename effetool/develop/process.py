"""The parent's end of a child: start it, give it a task, hear its events, end it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Sequence
from typing import IO, Any

__all__ = ["Process"]

# Not `-m`: that would put the working directory first on sys.path, and the author's json.py before the library's.
_PROGRAM = "import sys; sys.path[:] = [p for p in sys.path if p]; from effetool.develop.child import main; main()"


class Process:
    """One child.

    Args:
        python: an interpreter of the effe's environment.
        listeners: listening sockets it serves on.
        keep: further descriptors it inherits: connected sockets that its task names.
        stdout: where what the author prints goes, None for here.
    """

    def __init__(
        self, python: str, listeners: Sequence[socket.socket], keep: Sequence[int] = (), stdout: IO[str] | None = None
    ) -> None:
        self.channel, theirs = socket.socketpair()
        self.python = python
        self.held = False
        self.ready = False
        self.task: dict[str, Any] | None = None
        self.kept = list(keep)
        self._rest = b""
        numbers = [sock.fileno() for sock in listeners]
        with theirs:
            self.popen = subprocess.Popen(
                [python, "-u", "-c", _PROGRAM, str(theirs.fileno()), *map(str, numbers)],
                pass_fds=[theirs.fileno(), *numbers, *keep],
                stdout=stdout,
            )
        self.channel.setblocking(False)

    def give(self, task: dict[str, Any]) -> None:
        """Hand over the task; from now on it loads."""
        self.task = task
        self.channel.setblocking(True)
        try:
            self.channel.sendall(json.dumps(task).encode() + b"\n")
        except OSError:
            pass  # it has died: its channel's end says so
        self.channel.setblocking(False)

    def events(self) -> list[dict[str, Any]] | None:
        """Return the events that have come; None when there will be no more."""
        found: list[dict[str, Any]] = []
        while True:
            try:
                data = self.channel.recv(65536)
            except (BlockingIOError, InterruptedError):
                return found
            except OSError:
                data = b""
            if not data:
                return found or None
            *lines, self._rest = (self._rest + data).split(b"\n")
            found += [json.loads(line) for line in lines]

    def drain(self) -> None:
        """Let it finish its requests, stop its contexts and exit."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)
        self.popen.wait()
        self.channel.close()

    def _signal(self, number: int) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def wait(self, seconds: float) -> None:
        """Wait for its end; end it when it takes longer."""
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self.channel.close()

    def fate(self) -> str:
        """Say how it ended."""
        code = self.popen.wait()
        if code < 0:
            try:
                return f"signal {signal.Signals(-code).name}"
            except ValueError:
                return f"signal {-code}"
        return f"exit status {code}"
