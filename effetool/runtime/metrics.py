"""Count what a server does, cheaply enough to leave on; and write the counts as Prometheus text.

Each thread that serves counts into a list of its own (`Stats.thread()`), so that counting is one addition
without a lock, exact with and without the GIL: a list has one writer, and a reader may see it one request
late. On the hot path:

    counts[status // 100] += 1
    counts[SECONDS] += seconds
    counts[BUCKETS + min(int(seconds * 8192).bit_length(), LAST)] += 1

The histogram's bounds are powers of two (from 122 us to 128 s), because `bit_length` finds a bucket in one
C call.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Snapshot = dict[str, Any]

# counts[0] is of requests that got no answer (the client went away, the connection was cut); 1 to 5 by
# status class.
SECONDS = 6
ACCEPTED = 7
CLOSED = 8
BUCKETS = 9
LAST = 21  # the bucket of all that took 128 s or longer
_LENGTH = BUCKETS + LAST + 1
_BOUNDS = [2.0**power / 8192 for power in range(LAST)]

# name, type, help; the counts of a snapshot are under the same names.
_FAMILIES = (
    ("requests", "counter", "Requests answered, by class of status; none: the connection ended before an answer."),
    ("request_duration_seconds", "histogram", "Time from a request's head to the end of its answer."),
    ("requests_in_flight", "gauge", "Requests being served now."),
    ("queue_length", "gauge", "Requests waiting for a context."),
    ("contexts_started", "counter", "Contexts made by start()."),
    ("contexts_dropped", "counter", "Contexts stopped after an error."),
    ("contexts_in_use", "gauge", "Contexts in a run now."),
    ("contexts_idle", "gauge", "Contexts waiting in the pool."),
    ("connections_accepted", "counter", "Connections accepted."),
    ("connections", "gauge", "Connections open now."),
    ("startup_seconds", "gauge", "Time from the process's start to its first answer; of the slowest worker."),
)
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


class Stats:
    """The counters of one server: the sum of those of its threads."""

    __slots__ = ("_threads",)

    def __init__(self) -> None:
        self._threads: list[list[float]] = []

    def thread(self) -> list[float]:
        """Return the counters of a new thread. They stay after its end, for another to take up (`counts` of a pool)."""
        counts: list[float] = [0] * _LENGTH
        self._threads.append(counts)  # atomic
        return counts

    def total(self) -> list[float]:
        """Return the sums over all threads, as a list laid out as theirs."""
        return [sum(column) for column in zip(*(counts[:] for counts in self._threads[:]))] or [0] * _LENGTH


def snapshot(total: Sequence[float], gauges: Mapping[str, float]) -> Snapshot:
    """Return the counters (`Stats.total()`) and the gauges of a process by the names they are shown under."""
    return {
        "requests": list(total[:SECONDS]),
        "request_duration_seconds": [total[SECONDS], *total[BUCKETS:]],
        "connections_accepted": total[ACCEPTED],
        "connections": total[ACCEPTED] - total[CLOSED],
        **gauges,
    }


def add(one: Snapshot, other: Snapshot) -> Snapshot:
    """Return the sum of two snapshots (the slower of two starts)."""
    return {name: _plus(name, one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def retired(last: Snapshot) -> Snapshot:
    """Return what of a worker's last snapshot still counts after its end: counters go on, gauges do not."""
    kinds = {name: kind for name, kind, _ in _FAMILIES}
    return {name: value for name, value in last.items() if kinds.get(name) != "gauge"}


def _plus(name: str, one: Any, other: Any) -> Any:
    if name == "startup_seconds":
        return max(one, other)
    if isinstance(one, list) or isinstance(other, list):
        one, other = (value if isinstance(value, list) else [] for value in (one, other))
        return [a + b for a, b in zip(one, other)] if one and other else one or other
    return one + other


def exposition(total: Snapshot, workers: Mapping[str, Snapshot] | None = None, restarts: int | None = None) -> str:
    """Write the text that Prometheus scrapes (text format 0.0.4).

    `total` is the sum over all processes. With `workers`, each of them follows under names of its own
    (`effe_worker_...` with a label), so that a sum over `effe_...` counts nothing twice.
    """
    lines: list[str] = []
    for name, kind, what in _FAMILIES:
        _family(lines, f"effe_{name}", kind, what, [("", total.get(name))])
        if workers:
            rows = [(f'worker="{worker}"', counts.get(name)) for worker, counts in workers.items()]
            _family(lines, f"effe_worker_{name}", kind, f"The same of each worker. {what}", rows)
    if restarts is not None:
        _family(lines, "effe_worker_restarts", "counter", "Workers replaced after they died.", [("", restarts)])
    return "\n".join(lines) + "\n"


def _family(lines: list[str], name: str, kind: str, what: str, rows: Sequence[tuple[str, Any]]) -> None:
    full = name + "_total" if kind == "counter" else name
    lines += [f"# HELP {full} {what}", f"# TYPE {full} {kind}"]
    for label, value in rows:
        if value is None:
            continue
        if kind == "histogram":
            _histogram(lines, name, label, value)
        elif isinstance(value, list):
            for code, count in zip(_CLASSES, value):
                one = f'code="{code}"'  # (nested quotes in an f-string need Python 3.12)
                lines.append(f"{full}{_labels(label, one)} {_number(count)}")
        else:
            lines.append(f"{full}{_labels(label)} {_number(value)}")


def _histogram(lines: list[str], name: str, label: str, value: Sequence[float]) -> None:
    seconds, *counts = value
    seen = 0.0
    for bound, count in zip([*map(repr, _BOUNDS), "+Inf"], counts):
        seen += count
        le = f'le="{bound}"'
        lines.append(f"{name}_bucket{_labels(label, le)} {_number(seen)}")
    lines += [f"{name}_sum{_labels(label)} {_number(seconds)}", f"{name}_count{_labels(label)} {_number(seen)}"]


def _labels(*labels: str) -> str:
    text = ",".join(filter(None, labels))
    return f"{{{text}}}" if text else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
