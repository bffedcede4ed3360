"""What the poll reports besides connections: a listening socket with clients in its queue, and a wake-up call."""

from __future__ import annotations

import errno
import os
import socket

from .connection import Connection
from .poller import READ
from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .core import Core
    from .leader import Runner

# Accepted in one go before the connections that are there get their turn again: a flood starves nobody.
BATCH = 64
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener(Source):
    """A listening socket. `pause` leaves the clients in the kernel's queue for a while."""

    def __init__(self, sock: socket.socket, server: Core) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.deadline = float("inf")
        self._server = server
        self._paused = False
        sock.setblocking(False)
        server.sources[self.fd] = self
        server.most_sources += 1
        server.poller.register(self.fd, READ)

    def handle(self, runner: Runner) -> None:
        """Accept who waits, and serve each at once: its request is usually there already."""
        server = self._server
        sock = self.sock
        family, kind, proto = sock.family, sock.type, sock.proto
        tls = server.tls
        for number in range(BATCH):
            # Not after the first: nobody else may be waiting, and the poll will say.
            if len(server.sources) >= server.most_sources and (number or not self._shed()):
                return
            try:
                fd, address = sock._accept()  # type: ignore[attr-defined]
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    if self._shed():
                        self._pause()  # it need not be the connections that took it all
                    return
                continue  # that client has gone again (ECONNABORTED and, on Linux, its network errors)
            # The C class: a socket.socket object costs 2 µs more, and its file methods are not used.
            accepted = socket.SocketType(family, kind, proto, fd)
            server.stats.connections += 1
            connection = Connection(accepted if tls is None else tls(accepted), address, server)
            try:
                connection.handle(runner)
            except Exception:
                connection.close()
                raise
            if not runner.leading:
                return

    def _shed(self) -> bool:
        """Too many connections: make room. False: this listener waits until one has ended, or for the tick."""
        if self._server.shed():
            return True
        self._server.crowded = True
        self._pause()
        return False

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._server.poller.unregister(self.fd)
            self.deadline = self._server.now  # the next tick resumes

    def fail(self, runner: Runner) -> None:
        """Go on after an error (no memory, most likely): whoever waits may be served a tick later."""
        if runner.leading:
            self._pause()

    def expire(self, runner: Runner) -> None:
        """Go on accepting."""
        self.resume()

    def resume(self) -> None:
        """Go on accepting, if this listener has paused."""
        if not self._paused or self.deadline == float("inf"):
            return
        self.deadline = float("inf")
        self._paused = False
        self._server.poller.register(self.fd, READ)

    def close(self) -> None:
        """Take nobody any more."""
        if self._server.sources.pop(self.fd, None):
            self._server.most_sources -= 1
        if not self._paused:
            self._server.poller.unregister(self.fd)
        self._paused = True
        self.deadline = float("inf")


class Waker(Source):
    """A pipe that interrupts the poll; writing to it is all that a signal handler does."""

    deadline = float("inf")

    def __init__(self, notice: Callable[[Runner], None]) -> None:
        """`notice` looks what is to be done: the leader calls it after each wake."""
        self.fd, self._end = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._end, False)
        self._notice = notice

    def wake(self) -> None:
        """Interrupt the poll."""
        try:
            os.write(self._end, b"\0")
        except (BlockingIOError, OSError):
            pass  # full: it wakes anyway; closed: nobody sleeps

    def handle(self, runner: Runner) -> None:
        """Look what is to be done."""
        try:
            os.read(self.fd, 4096)
        except (BlockingIOError, InterruptedError):
            pass
        self._notice(runner)

    def fail(self, runner: Runner) -> None:
        """Go on, and look again: without it nothing could interrupt the poll."""
        self.wake()

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self.fd)
        os.close(self._end)
