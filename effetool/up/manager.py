"""All of it: build, start, put HAProxy in front, exchange on SIGHUP, end in order on Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..deploy.routing import routing_table
from ..deploy.servers import Server, maxconn
from ..errors import EffeToolError
from .built import Built, NotBuilt, build_all
from .event import Event, Say
from .proxy import SERVER, Proxy, find_haproxy
from .service import GRACE, Service

__all__ = ["House", "up"]

# A Unix socket's path has 107 bytes on Linux and 103 on macOS (unix(7)); below the folder come `NNNN/notifyNNNN`.
ROOM = 80
# An effe that has died is back within this, and who asks meanwhile waits; after four seconds they are told 503.
CHECKS = "inter 1s fall 4 rise 1"


def up(paths: Sequence[Path], front: socket.socket, say: Say, *, access_log: bool = False) -> int:
    """Keep every effe at the paths running behind `front` until a signal ends all; return that signal's number.

    SIGINT and SIGTERM let requests in flight finish; a second one ends everything at once. SIGHUP builds again and
    exchanges what has changed.

    Args:
        paths: effes, .pex files, or directories of either.
        front: the bound and listening socket for HAProxy.
        say: told what happens.
        access_log: whether HAProxy logs each request.

    Raises:
        NotBuilt: some effes could not be built.
        DeployError: E415 no HAProxy, E416 it does not start, E410, E411.
    """
    program = find_haproxy()
    folder = Path(tempfile.mkdtemp(prefix="effe-up-"))
    if len(str(folder)) > ROOM:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="effe-up-", dir="/tmp"))
    try:
        return asyncio.run(House(paths, folder, front, program, say, access_log).run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class House:
    """The effes that are up, and the HAProxy in front of them."""

    def __init__(
        self, paths: Sequence[Path], folder: Path, front: socket.socket, program: str, say: Say, access_log: bool
    ) -> None:
        self._paths = paths
        self._folder = folder
        self._front = front
        self._say = say
        self._proxy = Proxy(program, folder, front, access_log, say, self._ports)
        self._services: dict[str, Service] = {}
        self._every: set[Service] = set()  # those that are just coming or going too
        self._builds = 0
        self._made = 0
        self._answering = False
        self._hangup = asyncio.Event()
        self._stopping = asyncio.Event()
        self._signal = 0

    async def run(self) -> int:
        """Run until a signal; return its number."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._hangup.set)
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work  # it ends by an error only
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
        finally:
            stop.cancel()
            await self._end()
        return self._signal

    def _stop(self, number: int) -> None:
        if self._stopping.is_set():
            self._proxy.kill()
            for service in self._every:
                service.kill()
        else:
            self._say(Event("stopping", "", "stopping: requests in flight are finished first; once more ends them now"))
        self._signal = number
        self._stopping.set()

    async def _work(self) -> None:
        await self._start(await self._build())
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            try:
                await self._exchange(await self._build())
            except NotBuilt as error:
                for effe, wrong in error.errors:
                    self._say(Event("error", effe.name, error=wrong))
                self._say(Event("error", "", "nothing was exchanged"))
            except EffeToolError as error:
                self._say(Event("error", "", "nothing was exchanged", error))

    async def _build(self) -> list[Built]:
        self._builds += 1
        return await asyncio.to_thread(build_all, self._paths, self._folder / f"build{self._builds}")

    async def _start(self, built: Sequence[Built]) -> None:
        self._services = {one.effe.name: self._service(one) for one in built}
        self._configure(self._services)  # reports wrong routes before anything runs
        for service in self._services.values():
            service.begin()
        good = await asyncio.gather(*(service.tried() for service in self._services.values()))
        self._configure(self._services)
        await self._proxy.start()
        self._answering = True
        self._say(Event("up", "", f"{sum(good)} of {len(good)} effes"))

    async def _exchange(self, built: Sequence[Built]) -> None:
        """Make what is up what was built now."""
        old = self._services
        wanted = {one.effe.name: one for one in built}
        routing_table(one.effe for one in built)  # as a whole, before the first process is touched
        changed = [old[name] for name, one in wanted.items() if name in old and old[name].built.digest != one.digest]
        came = [self._service(one) for name, one in wanted.items() if name not in old]
        for service in came:
            service.begin()
        tried = await asyncio.gather(
            *(service.replace(wanted[service.name]) for service in changed), *(service.tried() for service in came)
        )
        self._services = {name: old[name] for name in wanted if name in old} | {each.name: each for each in came}
        self._configure(self._services)
        if self._proxy.stale:
            await self._proxy.reload()
        for service in (old[name] for name in old if name not in wanted):
            await service.stop()
            self._every.discard(service)
            self._say(Event("ended", service.name, "removed: stopped"))
        self._clear()
        failed = [service.name for service, good in zip([*changed, *came], tried, strict=True) if not good]
        done = len(changed) + len(came) - len(failed)
        text = f"{done} exchanged or new, {len(wanted) - len(changed) - len(came)} unchanged"
        self._say(Event("built", "", text + (f", not ready: {', '.join(failed)}" if failed else "")))

    def _clear(self) -> None:
        """Remove what was built and runs no more."""
        used = {service.built.file.parent for service in self._services.values()}
        for folder in self._folder.glob("build*"):
            if folder not in used:
                shutil.rmtree(folder, ignore_errors=True)

    def _configure(self, services: Mapping[str, Service]) -> None:
        effes = [services[name].built.effe for name in sorted(services)]
        servers = {}
        for effe in effes:
            service = services[effe.name]
            address = f"unix@{service.path}"
            servers[effe.name] = [Server(SERVER, address, "127.0.0.1", service.admin, maxconn(effe), checks=CHECKS)]
        self._proxy.configure(effes, servers)

    def _service(self, built: Built) -> Service:
        self._made += 1
        service = Service(built, self._folder / str(self._made), self._say, self._moved)
        self._every.add(service)
        return service

    def _ports(self) -> dict[str, int]:
        return {name: service.admin for name, service in self._services.items()}

    async def _moved(self, service: Service) -> None:
        """Let HAProxy check where the effe's new process says whether it is ready; one that starts reads it."""
        if not self._answering or service.name not in self._services:
            return
        try:
            self._configure(self._services)
            await self._proxy.tell()
        except EffeToolError as error:
            self._say(Event("error", service.name, error=error))

    async def _end(self) -> None:
        """HAProxy first, when it has nothing under way; then the effes."""
        self._front.close()
        await self._proxy.stop(GRACE)
        await asyncio.gather(*(service.stop() for service in self._every))
        self._say(Event("stopped", ""))
