"""A program on a terminal of its own, typed at as a person does."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Terminal"]

SECONDS = 60.0  # an answer that takes longer never comes, however busy the machine
ESCAPE = re.compile(r"\x1b(?:\[[0-9;?<>=]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>])")

# The terminal controls what runs on it: Ctrl-C, job control. Not by preexec_fn: the tests' own process has threads.
CONTROLLING = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """Run a command on a pseudo-terminal; a context manager that ends it."""

    def __init__(self, command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]) -> None:
        self._leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLING, *command],
            cwd=cwd,
            env=environment,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        self._shown = b""
        self._read = 0

    def type(self, text: str) -> None:
        """Type it, as it is: `\\n` is Enter, `\\t` the tabulator."""
        os.write(self._leader, text.encode())

    @property
    def shown(self) -> str:
        """All that came until now, without escape sequences."""
        return ESCAPE.sub("", self._shown.decode(errors="replace")).replace("\r\n", "\n")

    def wait(self, text: str) -> str:
        """Wait until `text` comes after what was waited for last, and return what came with it."""
        deadline = time.monotonic() + SECONDS
        while text not in self.shown[self._read :]:
            assert self._more(deadline), f"no {text!r} in {self.shown!r}"
        begin, self._read = self._read, self.shown.index(text, self._read) + len(text)
        return self.shown[begin : self._read]

    def end(self) -> int:
        """Read until it ends by itself, and return its exit code."""
        deadline = time.monotonic() + SECONDS
        while self._more(deadline):
            pass
        return self.process.wait(SECONDS)

    def interrupt(self) -> int:
        """Type Ctrl-C until it ends, and return its exit code. readline loses one that comes just before it waits."""
        for _ in range(10):
            self.type("\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(3)  # a second one while it ends would kill it
                break
        return self.end()

    def _more(self, deadline: float) -> bool:
        if not select.select([self._leader], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            chunk = os.read(self._leader, 65536)
        except OSError:  # EIO: nobody holds the other end any more
            return False
        self._shown += chunk
        return bool(chunk)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._leader)
