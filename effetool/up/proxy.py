"""The HAProxy in front: found, started on a socket that is the tool's own, reloaded, ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..deploy import Effe
from ..deploy.haproxy import CONFIGURATION, Front, configuration
from ..deploy.haproxy_runtime import Runtime
from ..deploy.servers import Server
from ..errors import DeployError
from .event import Event, Say
from .process import Process, fate

__all__ = ["Proxy", "find_haproxy"]

NAME = "haproxy"
# The one server of each backend: the effe's socket.
SERVER = "1"
# Where packages put it, besides PATH: /usr/sbin is not on every user's.
PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin")
INSTALLERS = {
    "apt-get": "sudo apt-get install haproxy",
    "dnf": "sudo dnf install haproxy",
    "apk": "sudo apk add haproxy",
    "pacman": "sudo pacman -S haproxy",
    "zypper": "sudo zypper install haproxy",
    "brew": "brew install haproxy",
}
START = 30.0
NOISE = re.compile(r"\[(NOTICE|WARNING)\]|\[ALERT\].*(Current worker .* exited|has no server)|Proxy \S+ stopped \(")
# Comments, and the ports that are set at run time.
VOLATILE = re.compile(r"^ *#.*\n|(?<= check addr 127\.0\.0\.1 port )\d+", re.MULTILINE)
LOOK = 0.02


def find_haproxy() -> str:
    """Return the path of HAProxy.

    Raises:
        DeployError: E415 when it is not installed, with what installs it here.
    """
    found = shutil.which(NAME, path=os.pathsep.join((os.environ.get("PATH", ""), *PLACES)))
    if found is None:
        known = [command for program, command in INSTALLERS.items() if shutil.which(program)]
        raise DeployError(
            "HAProxy is not installed: `up` puts it in front of the effes",
            code="E415",
            fix=known[0] if known else "install HAProxy 2.4 or newer: https://www.haproxy.org",
        )
    return found


class Proxy:
    """One HAProxy, in its master-worker mode.

    Args:
        program: its path.
        folder: for its configuration and its sockets.
        front: the listening socket; it stays the tool's, so that nobody is refused while HAProxy is started again.
        access_log: whether each request is logged.
        say: told what happens.
        ports: gives the port at which each effe says whether it is ready.
    """

    def __init__(
        self,
        program: str,
        folder: Path,
        front: socket.socket,
        access_log: bool,
        say: Say,
        ports: Callable[[], Mapping[str, int]],
    ) -> None:
        self._program = program
        self._folder = folder
        self._front = front
        self._access_log = access_log
        self._say = say
        self._ports = ports
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._last: list[str] = []
        self._files: dict[str, str] = {}
        self._loaded: dict[str, str] = {}
        self.runtime = Runtime(str(folder / "admin"))

    def configure(self, effes: Sequence[Effe], servers: Mapping[str, Sequence[Server]]) -> None:
        """Write the configuration. Raises as `configuration`; nothing is written then."""
        front = Front(f"fd@{self._front.fileno()}", socket=self.runtime.path, log="stderr", access_log=self._access_log)
        self._files = configuration(effes, servers, front, maps=True)
        for name, text in self._files.items():
            path = self._folder / name
            path.parent.mkdir(exist_ok=True)
            new = path.with_suffix(".new")
            new.write_text(text)
            new.replace(path)

    @property
    def stale(self) -> bool:
        """Whether HAProxy runs by another configuration than the written one.

        Addresses of checks do not count: HAProxy gets them through its runtime API.
        """
        return self._loaded != {name: VOLATILE.sub("", text) for name, text in self._files.items()}

    async def start(self) -> None:
        """Start it, and from now on whenever it ends; wait until it answers. Raises DeployError E416."""
        await self._begin()
        self._task = asyncio.create_task(self._keep())
        await self._answers(0)

    async def reload(self) -> None:
        """Let it read its configuration anew: new connections are the new process's, the old one ends what it has.

        Raises:
            DeployError: E416 when it refuses; the old one goes on.
        """
        check = [self._program, "-c", "-q", "-f", str(self._folder / CONFIGURATION)]
        done = await asyncio.to_thread(
            subprocess.run, check, capture_output=True, text=True, pass_fds=[self._front.fileno()], check=False
        )
        if done.returncode:
            raise _failed("HAProxy refuses its configuration", done.stderr.splitlines())
        self._loaded = {name: VOLATILE.sub("", text) for name, text in self._files.items()}
        before = await asyncio.to_thread(self._pid)
        assert self._process is not None
        self._process.send(signal.SIGUSR2)
        await self._answers(before)
        await self.tell()

    async def tell(self) -> None:
        """Say where the effes are checked from now on. Raises DeployError E412, E413.

        The process of before a reload checks no more and takes no such word: to it they stay what they were.
        """
        for name, port in dict(self._ports()).items():
            await asyncio.to_thread(self.runtime.check_at, name, SERVER, port)

    async def stop(self, seconds: float) -> None:
        """Take no more connections, wait until nothing is under way, end it."""
        if self._task is not None:
            self._task.cancel()
        if self._process is None or not self._process.running:
            return
        self._process.dismissed = True
        with contextlib.suppress(DeployError):
            await asyncio.to_thread(self.runtime.ask, "shutdown frontend effes.http")
            async with asyncio.timeout(seconds):
                while await asyncio.to_thread(self.runtime.busy):
                    await asyncio.sleep(LOOK)
        await self._process.stop(5.0)

    def kill(self) -> None:
        """End it now."""
        if self._process is not None:
            self._process.kill()

    async def _begin(self) -> None:
        self._last = []
        self._loaded = {name: VOLATILE.sub("", text) for name, text in self._files.items()}
        self._process = Process(self._line)
        master = str(self._folder / "master")
        command = [self._program, "-W", "-S", master, "-f", str(self._folder / CONFIGURATION)]
        try:
            await self._process.start(command, keep=[self._front.fileno()])
        except OSError as error:
            raise _failed(f"HAProxy cannot be started: {error.strerror or error}", []) from error

    async def _keep(self) -> None:
        """Start it again when it ends."""
        pause = 0.1
        while True:
            assert self._process is not None
            ended = fate(await self._process.wait())
            if self._process.dismissed:
                return
            self._say(Event("ended", NAME, f"{ended}; starts again in {pause:g} s"))
            await asyncio.sleep(pause)
            pause = min(30.0, 2 * pause)
            with contextlib.suppress(DeployError):
                await self._begin()
                await self._answers(0)
                await self.tell()  # what has moved while it started

    async def _answers(self, before: int) -> None:
        """Wait until another worker than `before` answers."""
        process = self._process
        assert process is not None
        deadline = asyncio.get_running_loop().time() + START
        while True:
            if not process.running:
                raise _failed(f"HAProxy does not start: {fate(await process.wait())}", self._last)
            if await asyncio.to_thread(self._pid) not in (0, before):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise _failed(f"HAProxy does not answer within {START:g} s", self._last)
            await asyncio.sleep(LOOK)

    def _pid(self) -> int:
        """Return the process id of the worker that answers, 0 for none."""
        try:
            return self.runtime.pid()
        except DeployError:
            return 0

    def _line(self, line: str) -> None:
        self._last = [*self._last, line][-5:]
        # What the processes say of their own coming and going, and what the log below it says once more.
        if not NOISE.match(line):
            self._say(Event("line", NAME, line))


def _failed(message: str, lines: Sequence[str]) -> DeployError:
    return DeployError(message, code="E416", notes=tuple(lines), fix="haproxy -vv says what this HAProxy can")
