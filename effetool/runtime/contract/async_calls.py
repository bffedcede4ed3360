"""One event loop for every `async def` of the author: what init and start open on it, run may use.

Loaded only where a function is `async def`. The loop runs in a thread of its own; the thread of the request waits, so
the contract (one run at a time in a context, a deadline, a drain) is the same for both kinds of function.

That waiting thread also does what may block on a slow client, which would stop every other run on the loop: it takes in
the whole body before the run begins, and sends what the run writes.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from ..http.upload import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from concurrent.futures import Future
    from typing import Any

    from .channel import Channel
    from .request import Request
    from .response import Response

# What a run may write ahead of its client. One that does not await flush() waits here, and the loop with it.
AHEAD = 1024 * 1024

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def loop() -> asyncio.AbstractEventLoop:
    """Return the running loop; start it at the first call."""
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            new = asyncio.new_event_loop()
            thread = threading.Thread(target=_run, args=(new,), name="effe-async", daemon=True)
            try:
                thread.start()
            except BaseException:
                new.close()
                raise
            _loop, _thread = new, thread
        return _loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    while not loop.is_closed():
        try:
            loop.run_forever()  # returns when an author stops it: it is everybody's
        except BaseException as error:  # of a task that an author has made: asyncio lets SystemExit through
            hook = threading.excepthook
            hook(threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread())))


async def _kept(coroutine: Coroutine[Any, Any, Any]) -> tuple[Any, BaseException | None]:
    """Hand on what would end the loop that all share: asyncio lets these two through."""
    try:
        return await coroutine, None
    except (SystemExit, KeyboardInterrupt) as error:
        return None, error


def _result(future: Future[tuple[Any, BaseException | None]]) -> Any:
    value, error = future.result()
    if error is not None:
        raise error
    return value


def synchronous(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """Make a plain function of a coroutine function: it returns when the coroutine has ended."""

    def call(*arguments: Any) -> Any:
        return _result(asyncio.run_coroutine_threadsafe(_kept(function(*arguments)), loop()))

    return call


def synchronous_run(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """As `synchronous`, for `run`: what may wait for the client is done in this thread, not on the loop."""

    def call(context: Any, error: Any, response: Response, request: Request) -> Any:
        if request.incoming is not None and not request.incoming.complete:
            _collect(request)
        outbox = response._outbox = Outbox(loop())
        future = asyncio.run_coroutine_threadsafe(_kept(function(context, error, response, request)), outbox.loop)
        future.add_done_callback(lambda _: outbox.end())
        outbox.send(request.connection)
        return _result(future)

    return call


def _collect(request: Request) -> None:
    """Receive the body, onto the disk where it is large. Raises HTTPError and ConnectionError as reading it does."""
    spool, source = Spool(), request.body
    while piece := source.read(64 * 1024):
        spool.write(piece)
    request._body = spool.file(0, spool.size)


class Outbox:
    """What an async run has written and its thread has still to send.

    Everything is under one lock; a waiting coroutine is woken through its loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._news = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._pending = 0
        self._ended = False
        self._error: ConnectionError | None = None
        self._waiting: list[asyncio.Future[None]] = []

    # Called by the run.

    def take(self, data: bytes) -> bool:
        """Take a piece to send; False once the run has ended. Raises ConnectionError where the client has gone."""
        with self._news:
            if self._ended:
                return False
            self._news.wait_for(lambda: self._pending < AHEAD or self._error)
            if self._error is not None:
                raise self._error
            self._pieces.append(data)
            self._pending += len(data)
            self._news.notify_all()
            return True

    def drained(self) -> Drained:
        """Return what can be awaited until all is sent."""
        return Drained(self)

    def wait(self) -> asyncio.Future[None] | None:
        """Return a future that is done when all is sent; None where nothing waits."""
        with self._news:
            if self._error is not None:
                raise self._error
            if not self._pending:
                return None
            future = self.loop.create_future()
            self._waiting.append(future)
            return future

    def end(self) -> None:
        """Say that the run has ended: nothing more comes."""
        with self._news:
            self._ended = True
            self._news.notify_all()

    # Called by the thread of the request.

    def send(self, connection: Channel) -> None:
        """Send what comes, until the run has ended."""
        while True:
            with self._news:
                self._news.wait_for(lambda: self._pieces or self._ended)
                if not self._pieces:
                    return
                data = self._pieces.popleft()
            error: ConnectionError | None = None
            try:
                connection.transmit(data)
            except ConnectionError as lost:
                error = lost
            with self._news:
                self._pending -= len(data)
                if error is not None:
                    self._error = error
                    self._pending = 0
                    self._pieces.clear()
                if not self._pending:
                    waiting, self._waiting = self._waiting, []
                    for future in waiting:
                        self.loop.call_soon_threadsafe(_done, future, error)
                self._news.notify_all()


class Drained:
    """What `response.flush()` returns in an async run. Whoever does not await it is not made to wait."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def __await__(self) -> Generator[Any, None, None]:
        future = self._outbox.wait()
        if future is not None:
            yield from future


def _done(future: asyncio.Future[None], error: ConnectionError | None) -> None:
    if future.done():  # its coroutine was cancelled
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
