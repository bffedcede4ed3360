"""What the workers of one parent are and have said, for two who ask: its main thread, and the admin listener's."""

from __future__ import annotations

import threading

from ..telemetry import metrics
from . import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .worker_handle import Worker

# How long a probe or a scraper waits for a worker that is busy.
_PATIENCE = 2.0


class Tally:
    """The workers that live, and the counts of those that ended.

    Only the main thread changes `alive`, and only by the methods here: under the lock, like what a worker has said.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self.alive: dict[int, Worker] = {}  # by pid
        self.restarts = 0
        self._stopping = stopping
        self._news = threading.Condition()
        self._past: metrics.Snapshot = {}

    def add(self, worker: Worker) -> None:
        """Count a worker that was started."""
        with self._news:
            self.alive[worker.pid] = worker

    def remove(self, worker: Worker) -> None:
        """Take leave of one that ended; what it has counted stays in the sum."""
        with self._news:
            del self.alive[worker.pid]
            self._past = metrics.add(self._past, metrics.retired(worker.counts))
            self._news.notify_all()

    def said(self, worker: Worker, line: bytes) -> None:
        """Note a worker's answer to `status`."""
        import json

        said = json.loads(line)
        with self._news:
            worker.counts, worker.wrong, worker.live = said["counts"], said["wrong"], said["live"]
            worker.answers += 1
            self._news.notify_all()

    def total(self) -> metrics.Snapshot:
        """Return the sum over the workers, those that ended included, as far as they have said."""
        with self._news:
            total = self._past
            for worker in self.alive.values():
                total = metrics.add(total, worker.counts)
        return total

    def wrong(self) -> str | None:
        """Return None if some worker takes requests, else why none does. From any thread but the main one."""
        if self._stopping():
            return "not serving"
        reasons = [worker.wrong for worker in self._ask() if worker.state == "ready"]
        return None if None in reasons else "; ".join(filter(None, reasons)) or "no worker"

    def dead(self) -> str | None:
        """Return what is wrong where no worker that takes requests has a leader that polls, else None."""
        workers = [worker for worker in self._ask() if worker.state == "ready"]
        return "no thread leads" if workers and not any(worker.live for worker in workers) else None

    def metrics(self) -> str:
        """Return the page /metrics: the sums, and each worker. From any thread but the main one."""
        asked = self._ask()
        each = {str(worker.number): worker.counts for worker in asked if worker.state == "ready"}
        return metrics.exposition(self.total(), each, self.restarts)

    def _ask(self) -> list[Worker]:
        """Ask every worker that is ready how it is; wait two seconds at most for those that are busy."""
        with self._news:
            asked = [worker for worker in self.alive.values() if worker.state != "starting"]
            before = {worker: worker.answers for worker in asked}
            for worker in asked:
                worker.tell(protocol.STATUS)
            self._news.wait_for(
                lambda: all(w.answers > before[w] or w.pid not in self.alive for w in asked), timeout=_PATIENCE
            )
        return asked
