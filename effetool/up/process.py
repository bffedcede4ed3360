"""A child: started in a session of its own, its lines told one by one, its readiness heard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

__all__ = ["Process", "fate"]

# A line that is longer comes in pieces: a child that never ends a line must not fill the memory.
LONGEST = 16 * 1024
# How long the last lines of a child that has ended may take to come, in seconds.
REST = 0.5


class Process:
    """One child.

    In a session of its own, so that Ctrl-C at the terminal reaches only the tool, which ends its children in order.

    Args:
        tell: told each line it writes, to stdout or stderr.
        notify: where the socket is made to which it says `READY=1` (sd_notify(3)); None for a child that does not.
        admin: the port of its admin listener, 0 for a child without one.
    """

    def __init__(self, tell: Callable[[str], None], notify: Path | None = None, admin: int = 0) -> None:
        self.admin = admin
        self._tell = tell
        self._notify = notify
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._child: subprocess.Popen[bytes]
        self._channel: socket.socket | None = None
        self._watching: asyncio.Task[None]
        self.dismissed = False  # nobody is surprised by its end

    async def start(
        self,
        command: Sequence[str],
        environ: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        keep: Sequence[int] = (),
    ) -> None:
        """Start it, with a descriptor as its standard input, and those to `keep` under their own numbers.

        Raises:
            OSError: it cannot be started.
        """
        variables = dict(os.environ if environ is None else environ)
        variables.pop("NOTIFY_SOCKET", None)
        if self._notify is not None:
            self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._channel.setblocking(False)
            self._channel.bind(str(self._notify))
            variables["NOTIFY_SOCKET"] = str(self._notify)
            asyncio.get_running_loop().add_reader(self._channel, self._heard)
        try:
            self._child = subprocess.Popen(
                [*lifeline(), *command],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=variables,
                pass_fds=keep,
                start_new_session=True,
            )
        except BaseException:
            self._close()
            raise
        self._watching = asyncio.create_task(self._watch())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    async def ready(self, seconds: float | None = None) -> bool:
        """Wait until it says that it is ready; False when it ends first, or the time is over."""
        waits = [asyncio.ensure_future(self._ready.wait()), asyncio.ensure_future(self._ended.wait())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        return self._ready.is_set() and self.running

    async def wait(self) -> int:
        """Wait for its end and the last of its lines; return its exit status, negative for a signal."""
        await self._ended.wait()
        return self._child.returncode or 0

    def send(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            if self.running:
                self._child.send_signal(number)

    async def stop(self, seconds: float) -> None:
        """End it: SIGTERM, and SIGKILL to all of its session when that takes too long."""
        self.dismissed = True
        self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._ended.wait(), seconds)
        except TimeoutError:
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        """End it, and what it has started, now."""
        self.dismissed = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.running:
                os.killpg(self._child.pid, signal.SIGKILL)

    def _heard(self) -> None:
        assert self._channel is not None
        with contextlib.suppress(OSError):
            if b"READY=1" in self._channel.recv(4096).split(b"\n"):
                self._ready.set()

    async def _watch(self) -> None:
        """Read until it has ended; what it has left behind and still writes to the pipe is not waited for."""
        loop = asyncio.get_running_loop()
        exited = asyncio.Event()

        def wait() -> None:
            self._child.wait()
            with contextlib.suppress(RuntimeError):  # the loop is closed and does not wait for it
                loop.call_soon_threadsafe(exited.set)

        threading.Thread(target=wait, daemon=True, name=f"wait-{self.pid}").start()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), self._child.stdout)
        reading = asyncio.create_task(self._read(reader))
        await exited.wait()
        await asyncio.wait([reading], timeout=REST)
        reading.cancel()
        transport.close()
        self._close()
        self._ended.set()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        rest = b""
        try:
            while data := await reader.read(LONGEST):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) >= LONGEST:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._tell(line.decode(errors="replace").rstrip("\r"))
        finally:
            if rest:
                self._tell(rest.decode(errors="replace"))

    def _close(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self._channel = None
        if self._notify is not None:
            self._notify.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def lifeline() -> tuple[str, ...]:
    """Return the words that make the system end a child when the tool is killed and can do so no more.

    That is PR_SET_PDEATHSIG (prctl(2)), by setpriv(1) of util-linux; elsewhere there is no such thing.
    """
    words = ("setpriv", "--pdeathsig", "TERM", "--")
    try:
        done = subprocess.run([*words, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return words if done.returncode == 0 else ()


def fate(code: int) -> str:
    """Say how a child ended."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
