"""Plain counters: each thread adds to its own, whoever asks gets the sum.

No lock is needed to count, GIL or not; there is one around the list of the threads.
"""

from __future__ import annotations

import threading

# Upper bounds in seconds of the latency histogram; the spread that Prometheus' clients use, and 1 ms below it.
BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


# What nearly every answer is: a 2xx within the first bucket. Its caller counts it by itself, in `quick`.
QUICK = BUCKETS[0]


class Counts:
    """The counters of one thread."""

    __slots__ = ("buckets", "quick", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses = [0] * 6  # by class: [2] counts the 2xx
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.quick = 0

    def observe(self, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.statuses[status // 100] += 1
        self.seconds += seconds
        if seconds <= 0.001:
            self.buckets[0] += 1
            return
        place = 1
        while place < len(BUCKETS) and seconds > BUCKETS[place]:
            place += 1
        self.buckets[place] += 1

    def add(self, other: Counts) -> None:
        """Add what another has counted; its quick ones come where they belong."""
        self.statuses = [a + b for a, b in zip(self.statuses, other.statuses)]
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets)]
        self.statuses[2] += other.quick
        self.buckets[0] += other.quick
        self.seconds += other.seconds


class Stats:
    """What the server has done since it started; read it by `snapshot`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[Counts] = []
        self._ended = Counts()
        # Written by the leader alone, or under the server's lock.
        self.connections = 0

    def counts(self) -> Counts:
        """Return counters for one more thread."""
        mine = Counts()
        with self._lock:
            self._threads.append(mine)
        return mine

    def end(self, counts: Counts) -> None:
        """Keep what a thread that ends has counted, and forget the thread. A second call does nothing."""
        with self._lock:
            if counts in self._threads:
                self._threads.remove(counts)
                self._ended.add(counts)

    def snapshot(self) -> Counts:
        """Return the sum over all threads, those that have ended included."""
        total = Counts()
        with self._lock:
            for counts in (self._ended, *self._threads):
                total.add(counts)
        return total
