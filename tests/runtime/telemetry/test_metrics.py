"""The counters and their Prometheus text (effetool/runtime/telemetry/metrics.py), read by Prometheus' own parser."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from effetool.runtime.telemetry import metrics
from effetool.runtime.telemetry.counters import Counts
from effetool.runtime.telemetry.metrics import add, exposition, retired
from effetool.runtime.telemetry.refusals import REASONS

GAUGES = {
    "requests_in_flight": 1,
    "queue_length": 0,
    "contexts_started": 3,
    "contexts_dropped": 1,
    "contexts_in_use": 1,
    "contexts_idle": 1,
    "connections_accepted": 5,
    "connections": 2,
    "refused": [0, 7] + [0] * (len(REASONS) - 2),
    "log_records_dropped": 0,
    "startup_seconds": 0.0625,
}


def parsed(text):
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "no sample twice"
    return found


def one(*observed, **gauges):
    counts = Counts()
    for status, seconds in observed:
        counts.observe(status, seconds)
    durations = [counts.seconds, *counts.buckets]
    return {"requests": counts.statuses[1:], "request_duration_seconds": durations, **GAUGES, **gauges}


def test_prometheus_reads_every_value():
    """Counters end in _total, a histogram is cumulative and ends in +Inf, code is the class of the status."""
    found = parsed(exposition(one((200, 0.001), (200, 0.5), (404, 0.0), (503, 1000.0))))
    assert found["effe_requests_total", ("code", "2xx")] == 2
    assert found["effe_requests_total", ("code", "4xx")] == found["effe_requests_total", ("code", "5xx")] == 1
    assert found["effe_connections_accepted_total",] == 5
    assert found["effe_refused_total", ("reason", "stalled")] == 7
    assert found["effe_refused_total", ("reason", "waiting")] == 0
    assert found["effe_connections",] == 2
    assert found["effe_startup_seconds",] == 0.0625
    assert found["effe_request_duration_seconds_count",] == 4
    assert found["effe_request_duration_seconds_sum",] == pytest.approx(1000.501)
    assert found["effe_request_duration_seconds_bucket", ("le", "0.001")] == 2
    assert found["effe_request_duration_seconds_bucket", ("le", "0.25")] == 2
    assert found["effe_request_duration_seconds_bucket", ("le", "0.5")] == 3
    assert found["effe_request_duration_seconds_bucket", ("le", "10.0")] == 3
    assert found["effe_request_duration_seconds_bucket", ("le", "+Inf")] == 4


def test_every_family_has_its_help_and_type_before_its_samples():
    """The text format wants them together; the parser types what it reads."""
    families = list(text_string_to_metric_families(exposition(one())))
    assert {family.name: family.type for family in families} == {f"effe_{n}": k for n, k, _ in metrics._FAMILIES}
    assert all(family.documentation.endswith(".") for family in families)


def test_the_sum_and_each_worker_have_names_of_their_own():
    """sum(effe_requests_total) must not count a request twice."""
    first, second = one((200, 0.001), startup_seconds=1.0), one((200, 0.002), (500, 0.004))
    found = parsed(exposition(add(first, second), {"0": first, "1": second}, restarts=2))
    assert found["effe_requests_total", ("code", "2xx")] == 2
    assert found["effe_worker_requests_total", ("code", "2xx"), ("worker", "0")] == 1
    assert found["effe_worker_requests_total", ("code", "5xx"), ("worker", "1")] == 1
    assert found["effe_request_duration_seconds_count",] == 3
    assert found["effe_worker_request_duration_seconds_bucket", ("le", "+Inf"), ("worker", "1")] == 2
    assert found["effe_startup_seconds",] == 1.0
    assert found["effe_contexts_idle",] == 2
    assert found["effe_worker_restarts_total",] == 2


def test_a_dead_workers_counters_stay_and_its_gauges_go():
    """Else each restart would look like a reset of the sum, and rate() would lie."""
    kept = add(retired(one((200, 0.001), (200, 0.1))), one((200, 0.1)))
    found = parsed(exposition(kept))
    assert found["effe_requests_total", ("code", "2xx")] == 3
    assert found["effe_request_duration_seconds_count",] == 3
    assert found["effe_contexts_in_use",] == 1
