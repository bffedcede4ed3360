"""One effe that is kept running: started again when it ends, exchanged when it has changed.

The listening socket is the tool's for as long as the effe is one of those that are up. So a connection that comes while
a process ends, or before its successor answers, waits and is not refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from ..runtime.flags import Settings
from .built import Built
from .event import Event, Say
from .process import Process, fate

__all__ = ["GRACE", "Service"]

# What a process gets after SIGTERM: its own -grace, and its contexts' stop().
GRACE = Settings().grace + 5
# A life this long was one; its end is an accident, and is mended at once. Else the pause doubles: a crash in a loop
# must not burn the machine. As effetool/runtime/process/supervisor.py has it.
LIFE = 10.0
PAUSE, LONGEST = 0.1, 30.0
# How long a successor may take to be ready before the old one is kept.
START = 60.0
BACKLOG = 2048
PORTS = range(20_000, 32_000)
# An inherited listener is passed as descriptor 3, and LISTEN_PID must be the effe's own (sd_listen_fds(3)). It comes as
# standard input: dash knows no descriptor above 9 by its number.
SHELL = 'exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'


class Service:
    """One effe.

    Args:
        built: what is run.
        folder: for its sockets; its path must be short enough for one.
        say: told what happens.
        moved: told when another port answers /ready: HAProxy checks there from then on.
    """

    def __init__(self, built: Built, folder: Path, say: Say, moved: Callable[[Service], Awaitable[None]]) -> None:
        self.built = built
        self.admin = 1  # a port that nobody listens on, until there is a process
        self.path = folder / "socket"
        self._folder = folder
        self._say = say
        self._moved = moved
        self._count = 0
        self._processes: set[Process] = set()  # all that may still run: two in an exchange
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._good = False
        folder.mkdir()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(BACKLOG)

    @property
    def name(self) -> str:
        """The effe's name."""
        return self.built.effe.name

    def begin(self) -> None:
        """Start it, and from now on whenever it ends."""
        self._task = asyncio.create_task(self._keep(None))

    async def tried(self) -> bool:
        """Wait until its first start has succeeded or failed; tell which."""
        await self._tried.wait()
        return self._good

    async def replace(self, built: Built) -> bool:
        """Let the new one answer, then the old one drain. False when it does not start: the old one stays."""
        process = await self._start(built)
        if process is None or not await process.ready(START):
            if process is not None and process.running:
                self._say(Event("error", self.name, f"not ready after {START:g} s"))
            if process is not None:
                await self._stop([process], 0.0)
            return False
        self.built = built
        if self._task is not None:
            self._task.cancel()
        await self._promote(process)
        self._task = asyncio.create_task(self._keep(process))
        await self._stop(self._processes - {process})
        return True

    async def stop(self) -> None:
        """End it for good."""
        if self._task is not None:
            self._task.cancel()
        await self._stop(self._processes)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it now."""
        for process in self._processes:
            process.kill()

    async def _stop(self, processes: Iterable[Process], seconds: float = GRACE) -> None:
        ending = list(processes)
        await asyncio.gather(*(process.stop(seconds) for process in ending))
        self._processes.difference_update(ending)

    async def _keep(self, process: Process | None) -> None:
        """Start the effe again and again; `process` runs already."""
        pause = 0.0
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            if process is None:
                process = await self._start(self.built)
                if process is not None and await process.ready():
                    await self._promote(process)
                    self._good = True
                self._tried.set()
            ended = fate(await process.wait()) if process is not None else "cannot be started"
            if process is not None:
                if process.dismissed:
                    return
                self._processes.discard(process)
            pause = 0.0 if loop.time() - begun > LIFE else min(LONGEST, 2 * pause or PAUSE)
            again = f"starts again in {pause:g} s" if pause else "starts again"
            self._say(Event("ended", self.name, f"{ended}; {again}"))
            await asyncio.sleep(pause)
            process = None

    async def _start(self, built: Built) -> Process | None:
        self._count += 1
        notify = self._folder / f"notify{self._count}"
        process = Process(lambda line: self._say(Event("line", self.name, line)), notify, _free_port())
        words = [str(built.file), "-admin", f"127.0.0.1:{process.admin}"]
        try:
            await process.start(["/bin/sh", "-c", SHELL, "sh", *words], built.environ(), self._listener.fileno())
        except OSError as error:
            self._say(Event("error", self.name, f"cannot be started: {error.strerror or error}"))
            return None
        self._processes.add(process)
        return process

    async def _promote(self, process: Process) -> None:
        self.admin = process.admin
        await self._moved(self)


def _free_port() -> int:
    """Return a port nobody listens on, below those that the system gives to outgoing connections (RFC 6056, 3.2).

    One of these could be taken by a client's connection before the effe listens there.
    """
    while True:
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port
