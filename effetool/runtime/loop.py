"""One event loop for every `async def` of the author: what init and start open on it, run may use.

Loaded only where a function is `async def`. The loop runs in a thread of its own; the thread of the request waits, so
the contract (one run at a time in a context, a deadline, a drain) is the same for both kinds of function.
"""

from __future__ import annotations

import asyncio
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def loop() -> asyncio.AbstractEventLoop:
    """Return the running loop; start it at the first call."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="effe-async", daemon=True).start()
        return _loop


def synchronous(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """Make a plain function of a coroutine function: it returns when the coroutine has ended."""

    def call(*arguments: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(function(*arguments), loop()).result()

    return call
