"""The good clients: some come anew for each request, some stay and ask again."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field

# A request counts as answered when its answer is there within this time.
PATIENCE = 1.0  # seconds
STAYING, PAUSE = 8, 0.05  # clients that stay, seconds between the requests of one
COMING = 0.02  # seconds between two clients that come anew
_FIELDS = "GET / HTTP/1.1\r\nHost: good\r\n"


@dataclass
class Answers:
    """What became of the requests of one kind of client: seconds each; `PATIENCE` for those without an answer."""

    seconds: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The part that was answered within `PATIENCE`."""
        return sum(1 for one in self.seconds if one < PATIENCE) / max(1, len(self.seconds))

    def percentile(self, part: float) -> float:
        """Seconds within which this part of the requests was answered; `PATIENCE`: not within it."""
        ordered = sorted(self.seconds) or [PATIENCE]
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Good:
    """Good clients of one server, on one event loop."""

    def __init__(self, port: int, tls: bool) -> None:
        self.port = port
        self.tls: ssl.SSLContext | None = None
        if tls:
            self.tls = ssl.create_default_context()
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.coming, self.staying = Answers(), Answers()
        self.counts = False

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)

    async def come(self) -> None:
        """Ask on a connection of its own."""
        counts, began = self.counts, time.monotonic()
        writer = None
        taken = PATIENCE
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await self._connect()
                if await _ask(reader, writer, "Connection: close\r\n\r\n"):
                    taken = time.monotonic() - began
        except (OSError, asyncio.IncompleteReadError):  # TimeoutError is an OSError
            pass
        finally:
            if writer is not None:
                writer.transport.abort()
        if counts:
            self.coming.seconds.append(taken)

    async def stay(self) -> None:
        """Ask again and again on one connection; on another where the server has closed it, which is a failure."""
        connection = None
        while True:
            counts, began = self.counts, time.monotonic()
            taken = PATIENCE
            try:
                async with asyncio.timeout(PATIENCE):
                    connection = connection or await self._connect()
                    if await _ask(*connection, "\r\n"):
                        taken = time.monotonic() - began
            except (OSError, asyncio.IncompleteReadError):
                pass
            if taken == PATIENCE and connection is not None:
                connection[1].transport.abort()
                connection = None
            if counts:
                self.staying.seconds.append(taken)
            await asyncio.sleep(PAUSE)

    async def run(self, before: asyncio.Future[None], seconds: float) -> None:
        """Ask; count from when `before` is done, for `seconds`."""
        tasks = [asyncio.create_task(self.stay()) for _ in range(STAYING)]
        comers: set[asyncio.Task[None]] = set()

        async def come_on() -> None:
            while True:
                comers.add(task := asyncio.create_task(self.come()))
                task.add_done_callback(comers.discard)
                await asyncio.sleep(COMING)

        try:
            await asyncio.sleep(0.3)  # those that stay have asked before the attack begins
            tasks.append(asyncio.create_task(come_on()))
            await before
            self.counts = True
            await asyncio.sleep(seconds)
            self.counts = False
            await asyncio.sleep(PATIENCE)  # what has been asked is waited for
        finally:
            ending = [*tasks, *comers]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: str) -> bool:
    """Send a request and read its answer; whether it is a 200."""
    writer.write((_FIELDS + rest).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    at = lower.index(b"content-length:") + 15
    await reader.readexactly(int(lower[at : lower.index(b"\r", at)]))
    return head.startswith(b"HTTP/1.1 200")
