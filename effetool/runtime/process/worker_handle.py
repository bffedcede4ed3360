"""A worker as its parent sees it: a process that runs the file at its path, and a socket on which the two talk."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from .. import info
from ..signals import HEARD
from . import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..telemetry import metrics


class Worker:
    """A child process. `state` goes from "starting" over "serving" and "ready" to "leaving"."""

    __slots__ = (
        "answers", "begun", "buffer", "control", "counts", "live", "number", "old", "pid", "silent", "state", "wrong",
    )  # fmt: skip

    def __init__(self, number: int, pid: int, control: socket.socket, old: Worker | None) -> None:
        self.number, self.pid, self.control = number, pid, control
        self.old = old  # the worker it succeeds in a reload
        self.state, self.begun = "starting", time.monotonic()
        self.buffer, self.answers, self.silent = b"", 0, False
        self.counts: metrics.Snapshot = {}
        self.wrong: str | None = "starting"
        self.live = True

    def send(self, number: int) -> None:
        """Send it a signal; harmless when it has just ended (it is not reaped yet, so the pid is still its own)."""
        os.kill(self.pid, number)

    def tell(self, word: bytes, number: int | None = None) -> None:
        """Send it a word of the protocol. Its answer is in a later `lines`."""
        try:
            self.control.send(word + (b"\n" if number is None else b" %d\n" % number))
        except OSError:  # it is ending
            pass

    def lines(self) -> list[bytes]:
        """Return what it has said since the last call; it is `silent` once no more will come."""
        try:
            while True:
                data = self.control.recv(65536)
                if not data:
                    self.silent = True
                    break
                self.buffer += data
        except OSError:
            pass  # no more for now, or closed before
        *lines, self.buffer = self.buffer.split(b"\n")
        return lines


def spawn(
    command: list[str],
    environ: dict[str, str],
    number: int,
    sockets: list[list[socket.socket]],
    old: Worker | None,
) -> Worker:
    """Start the worker of this number, with all the sockets. Raises OSError: no memory, or no file at the path."""
    if "gil" in sys._xoptions:  # a flag of this process, which says of its workers what the variable does
        environ = {**environ, "PYTHON_GIL": str(sys._xoptions["gil"])}
    ours, theirs = socket.socketpair()
    handed = [theirs, *(listener for each in sockets for listener in each)]
    for each in handed:
        os.set_inheritable(each.fileno(), True)
    try:
        # A signal to the whole group (a shell's job, a terminal, systemd) must not end a worker whose handlers do
        # not stand yet: it is kept until they do (signals.py).
        mask = {*signal.pthread_sigmask(signal.SIG_BLOCK, ()), *HEARD}
        pid = os.posix_spawn(
            command[0],
            command,
            {**environ, protocol.VARIABLE: protocol.environment(number, sockets, theirs)},
            setsigmask=mask,
        )
    except OSError:
        ours.close()
        raise
    finally:
        for each in handed:
            os.set_inheritable(each.fileno(), False)
        theirs.close()
    ours.setblocking(False)
    return Worker(number, pid, ours, old)


def command() -> list[str]:
    """Return the command line that starts this program again, from the file that lies at its path then."""
    if info.embedded() is None:
        return [sys.executable, "-m", "effetool.runtime", *sys.argv[1:]]
    path = os.path.abspath(sys.argv[0] if os.path.isfile(sys.argv[0]) else os.environ["PEX"])
    return [path, *sys.argv[1:]] if os.access(path, os.X_OK) else [sys.executable, path, *sys.argv[1:]]
