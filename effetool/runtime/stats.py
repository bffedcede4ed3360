"""Plain counters: each thread adds to its own, whoever asks gets the sum. No lock is needed, GIL or not."""

from __future__ import annotations

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


class Stats:
    """What the server has done since it started; read it by `snapshot`."""

    def __init__(self) -> None:
        self._threads: list[Counts] = []
        # Written by the leader alone, or under the server's lock.
        self.connections = 0
        self.refused = 0
        self.timeouts = 0

    def counts(self) -> Counts:
        """Return counters for one more thread."""
        mine = Counts()
        self._threads.append(mine)
        return mine

    def snapshot(self) -> Counts:
        """Return the sum over all threads."""
        total = Counts()
        for counts in list(self._threads):
            total.statuses = [a + b for a, b in zip(total.statuses, counts.statuses)]
            total.buckets = [a + b for a, b in zip(total.buckets, counts.buckets)]
            total.statuses[2] += counts.quick
            total.buckets[0] += counts.quick
            total.seconds += counts.seconds
        return total
