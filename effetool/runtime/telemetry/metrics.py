"""Show what the servers of one effe have counted as Prometheus text.

A `Snapshot` is the counts and gauges of one process by the names they are shown under (without their
prefix). It holds numbers and lists of numbers only, so that it goes from a worker to its parent as JSON,
and two of them can be added.
"""

from __future__ import annotations

from .counters import BUCKETS
from .refusals import REASONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Snapshot = dict[str, Any]

# name, type, help.
_FAMILIES = (
    ("requests", "counter", "Requests answered, by class of status."),
    ("refused", "counter", "Requests refused and connections cut off, by reason."),
    ("request_duration_seconds", "histogram", "Time from the head of a request to the end of its answer."),
    ("requests_in_flight", "gauge", "Requests being served now."),
    ("queue_length", "gauge", "Requests waiting for a context."),
    ("contexts_started", "counter", "Calls of start()."),
    ("contexts_dropped", "counter", "Contexts stopped: after an error, or unused for long."),
    ("contexts_in_use", "gauge", "Contexts in a run now."),
    ("contexts_idle", "gauge", "Contexts waiting in the pool."),
    ("connections_accepted", "counter", "Connections accepted."),
    ("connections", "gauge", "Connections open now."),
    ("log_records_dropped", "counter", "Log records that could not be written."),
    ("startup_seconds", "gauge", "Time from the start of the process to its readiness; of the slowest worker."),
)
_CLASSES = tuple(f'code="{digit}xx"' for digit in range(1, 6))


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
            kinds = [f'reason="{each}"' for each in REASONS] if "refused" in name else _CLASSES
            lines += [f"{full}{_labels(label, one)} {_number(count)}" for one, count in zip(kinds, value)]
        else:
            lines.append(f"{full}{_labels(label)} {_number(value)}")


def _histogram(lines: list[str], name: str, label: str, value: Sequence[float]) -> None:
    seconds, *counts = value
    seen = 0.0
    for bound, count in zip([*map(repr, BUCKETS), "+Inf"], counts):
        seen += count
        le = f'le="{bound}"'
        lines.append(f"{name}_bucket{_labels(label, le)} {_number(seen)}")
    lines += [f"{name}_sum{_labels(label)} {_number(seconds)}", f"{name}_count{_labels(label)} {_number(seen)}"]


def _labels(*labels: str) -> str:
    text = ",".join(filter(None, labels))
    return f"{{{text}}}" if text else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
