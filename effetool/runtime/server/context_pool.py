"""The pool of contexts: last in, first out, one run at a time each, every one stopped exactly once.

Safe without the GIL: `idle` is a list whose append and pop are atomic; a lease belongs to the one thread that popped
it; all counting is under the lock, and the fast path (an idle context is there) neither counts nor locks.
"""

from __future__ import annotations

import threading
from time import monotonic

from ..errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..contract.logic import Effe
    from ..telemetry.log import Log


class Lease:
    """A context and what became of it; without a context, the error of the start that failed."""

    __slots__ = ("context", "error", "pooled", "stopped", "used")

    def __init__(self, context: Any, error: BaseException | None, pooled: bool) -> None:
        self.context = context
        self.error = error
        self.pooled = pooled
        self.stopped = False
        self.used = 0.0  # monotonic seconds


class Pool:
    """Start contexts on demand, keep the idle ones, stop each once.

    `limit` is the number of contexts in use at once. Fast path, inlined by its caller: `lease = pool.idle.pop()`, and
    `pool.idle.append(lease)` after a run that left the context whole.
    """

    def __init__(self, effe: Effe, limit: int, log: Log) -> None:
        self.idle: list[Lease] = []
        self.limit = limit
        self.started = 0
        self.dropped = 0
        self._effe = effe
        self._log = log
        self._lock = threading.Lock()
        self._live: set[Lease] = set()
        self._closed = False

    @property
    def live(self) -> int:
        """Contexts that exist or are being started, failed starts in use included."""
        return len(self._live)

    @property
    def in_use(self) -> int:
        """Contexts that serve a request now."""
        return max(0, len(self._live) - len(self.idle))

    def start(self) -> Lease | None:
        """Start a context for one request; None where as many as may are in use.

        Never raises: a failed start becomes a lease with an error, which `run` is told.
        """
        lease = Lease(None, None, False)
        lease.stopped = True  # what has not started is not stopped
        with self._lock:
            if self.idle:
                try:
                    return self.idle.pop()
                except IndexError:
                    pass
            if len(self._live) >= self.limit or self._closed:
                return None
            self._live.add(lease)
            self.started += 1
        try:
            lease.context = self._effe.start()
            lease.pooled = True
        except StartError as error:
            lease.context = error.context
            lease.error = error
        except BaseException as error:
            lease.error = error
            return lease
        with self._lock:
            lease.stopped = False
            if lease in self._live:
                return lease
        self.end(lease)  # `close` came in the middle of it, and could not
        return None

    def give(self, lease: Lease) -> None:
        """Take a context back after a run that left it whole."""
        if lease.pooled and not self._closed:
            lease.used = monotonic()
            self.idle.append(lease)  # closed just now: `close` has seen it among the live ones
            return
        self.retire(lease)

    def retire(self, lease: Lease) -> None:
        """Stop a context for good; a second call does nothing."""
        with self._lock:
            first = not lease.stopped
            lease.stopped = True
            if lease in self._live:
                self._live.remove(lease)
                self.dropped += 1
        if first:
            try:
                self._effe.stop(lease.context)
            except BaseException as error:
                self._log.critical("stop() failed", exc=error)

    def end(self, lease: Lease) -> None:
        """Retire a context, and try again where an error of the server's own came between: nobody else knows it."""
        try:
            self.retire(lease)
        except BaseException:
            self.retire(lease)
            raise

    def stale(self, oldest: float) -> bool:
        """Tell whether `sweep` has something to do. `oldest`: monotonic seconds."""
        idle = self.idle
        try:
            return idle[0].used < oldest
        except IndexError:  # taken just now
            return False

    def sweep(self, oldest: float) -> None:
        """Retire the contexts that nobody has used since `oldest` (monotonic seconds), the least used first."""
        while True:
            with self._lock:
                if not self.idle or self.idle[0].used >= oldest:
                    return
                try:
                    lease = self.idle.pop(0)
                except IndexError:
                    return
            self.end(lease)

    def close(self) -> None:
        """Stop every context: the idle ones, and those whose run does not end. Nothing is started after it."""
        with self._lock:
            self._closed = True
            self.idle.clear()
            leases = list(self._live)
        for lease in leases:
            try:
                self.end(lease)
            except BaseException as error:  # the others are stopped all the same
                self._log.critical("internal error", exc=error)
