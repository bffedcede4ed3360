"""Write to stderr without ever waiting for its reader.

A pipe that nobody reads is full after 64 KiB, a terminal stops at Ctrl-S: a write then waits, and a request with it.
What cannot be written at once is dropped and counted. The flag O_NONBLOCK belongs to the open file, which stderr shares
with other processes (a shell, for one), so it is never set on it: a pipe or a terminal is opened anew for this process,
and a socket is asked with MSG_DONTWAIT.
"""

from __future__ import annotations

import os
import select
import stat
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Writer:
    """Write records to a descriptor. `lost` counts those that were dropped."""

    __slots__ = ("_lock", "_pid", "_put", "_rest", "_untold", "lost", "stream")

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.lost = 0
        self._untold = 0
        self._rest = b""  # of a record that was taken in part: it is finished before another one begins
        self._put = _put(stream)
        self._lock, self._pid = threading.Lock(), os.getpid()

    def write(self, data: bytes, note: Callable[[int], bytes]) -> None:
        """Write a record, or drop and count it. `note(count)` is the record about those dropped before it."""
        if self._pid != os.getpid():  # after a fork: a thread that is not here may have held the lock
            self._lock, self._pid, self._rest = threading.Lock(), os.getpid(), b""
        with self._lock:
            try:
                self._finish()
                if self._untold:
                    data = note(self._untold) + data
                sent = self._put(data)
            except OSError:  # BlockingIOError, or stderr is closed, its reader gone, its disk full
                self.drop()
                return
            self._untold = 0
            self._rest = data[sent:]
            try:
                self._finish()
            except OSError:
                pass

    def drop(self) -> None:
        """Count a record that was not written."""
        self.lost += 1
        self._untold += 1

    def _finish(self) -> None:
        while self._rest:
            self._rest = self._rest[self._put(self._rest) :]


def _put(stream: int) -> Callable[[bytes], int]:
    """Return what writes to `stream` as much as it takes at once: BlockingIOError where that is nothing."""
    try:
        mode = os.fstat(stream).st_mode
    except OSError:
        return lambda data: os.write(stream, data)
    if stat.S_ISSOCK(mode):
        import socket

        channel = socket.socket(fileno=os.dup(stream))
        return lambda data: channel.send(data, socket.MSG_DONTWAIT)
    if stream == 2 and (stat.S_ISFIFO(mode) or os.isatty(stream)):
        try:
            again = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            return lambda data: os.write(again, data)
        except OSError:  # a pipe or a terminal of another user, or not Linux
            pass
    if not stat.S_ISFIFO(mode):
        return lambda data: os.write(stream, data)
    ready = select.poll()
    ready.register(stream, select.POLLOUT)

    def put(data: bytes) -> int:
        """Write where there is room for PIPE_BUF octets, which another process may take in between."""
        if not ready.poll(0):
            raise BlockingIOError
        return os.write(stream, data[: select.PIPE_BUF])

    return put
