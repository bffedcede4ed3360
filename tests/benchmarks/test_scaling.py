"""benchmarks/scaling.py: the simulation against what queueing theory knows, and the page against the simulation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scaling import MINIMUM, Work, replicas, steady, surge
from effetool.deploy.sizing import CONTEXTS_TARGET, CPU_TARGET

ROOT = Path(__file__).parents[2]
COMPUTE, WAIT = Work("compute", 0.005, 0.0), Work("wait", 0.00001, 0.05)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_one_core_is_a_queue_of_the_textbook(share: float) -> None:
    """M/M/1: a share ρ of the core is busy, ρ/(1-ρ) requests are there, the median is ln 2 of the mean 1/(μ-λ)."""
    found = steady(COMPUTE, share / COMPUTE.cpu, 10**6, 0, sample=40_000)
    assert found.utilisation == pytest.approx(share, rel=0.05)
    assert found.contexts == pytest.approx(share / (1 - share), rel=0.15)
    assert found.p50 == pytest.approx(0.693 * COMPUTE.cpu / (1 - share), rel=0.15)
    assert found.refused == 0


def test_waiting_needs_contexts_and_no_core() -> None:
    """Little's law: as many contexts as arrive while one waits."""
    found = steady(WAIT, 400, 1000, 0)
    assert found.contexts == pytest.approx(400 * WAIT.wait, rel=0.1)
    assert found.utilisation < 0.02


def test_more_than_there_is_queues_and_is_refused() -> None:
    """Twice what the core can do: it is always busy, the queue is full, half is refused."""
    found = steady(COMPUTE, 2 / COMPUTE.cpu, 8, 50)
    assert found.utilisation > 0.97
    assert found.queue == pytest.approx(50, rel=0.1)
    assert found.refused == pytest.approx(0.5, abs=0.05)


def test_replicas_are_what_both_metrics_ask_for() -> None:
    """By CPU, by contexts, and never fewer than the least."""
    assert replicas(COMPUTE, 1000, 0.5, 128, 0.5) == 10
    assert replicas(WAIT, 1280, 0.5, 128, 0.5) == 2
    assert replicas(WAIT, 12800, 0.5, 128, 0.5) == 11
    assert replicas(COMPUTE, 1, 0.5, 128, 0.5) == MINIMUM


def test_a_step_is_carried_by_what_there_is_or_queues() -> None:
    """No step, no queue; twice the load fits below a half; above, it queues until there are more."""
    assert surge(COMPUTE, 2000, 1, 0.5, 0.1, 1024).queue == 0
    assert surge(COMPUTE, 2000, 2, CPU_TARGET, 0.1, 1024).overload == 0
    high = surge(COMPUTE, 2000, 2, 0.8, 0.1, 1024)
    assert high.overload > 15 and high.queue > 0
    assert high.replicas * 0.8 >= 4000 * COMPUTE.cpu * 0.99


@pytest.mark.slow
def test_the_page_is_what_the_simulation_gives() -> None:
    """From the service times in it; the defaults are those that the manifests are written with."""
    done = subprocess.run(
        [sys.executable, "benchmarks/scaling.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "the page is what the simulation gives\n"), done.stderr
    page = (ROOT / "docs/explanation/scaling.md").read_text()
    assert re.findall(r"^\| (\d+)% \(default\)", page, re.MULTILINE) == [f"{CPU_TARGET * 100:.0f}"]
    assert f"contexts target {CONTEXTS_TARGET:.0%} of a concurrency of" in page
