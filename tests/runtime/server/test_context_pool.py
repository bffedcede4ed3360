"""The pool of contexts (effetool/runtime/server/context_pool.py): last in, first out, one run each, each stopped
once."""

import threading
from types import SimpleNamespace

import pytest

from effetool.runtime.errors import StartError
from effetool.runtime.server.context_pool import Pool


class Recorded:
    """An effe's start and stop, a log, and what happened to them."""

    def __init__(self):
        self.started, self.stopped, self.logged, self.fails = [], [], [], []
        self.lock = threading.Lock()

    def start(self):
        if self.fails:
            raise self.fails.pop()
        with self.lock:
            self.started.append(len(self.started) + 1)
            return self.started[-1]

    def stop(self, context):
        self.stopped.append(context)
        if context == "bad":
            raise ValueError("stop")

    def critical(self, message, exc):
        self.logged.append(f"{message}: {exc}")


@pytest.fixture
def effe():
    return Recorded()


@pytest.fixture
def pool(effe):
    return Pool(effe, 3, effe)


def taken(pool, count):
    return [pool.start() for _ in range(count)]


def test_the_last_one_given_back_is_taken_first(pool):
    """So that a quiet effe lives with one, and the others grow idle together."""
    one, two = taken(pool, 2)
    pool.give(one)
    pool.give(two)
    assert (pool.live, pool.in_use) == (2, 0)
    assert pool.start() is two and pool.start() is one
    assert (pool.live, pool.in_use, pool.started) == (2, 2, 2)


def test_there_are_never_more_than_the_limit(pool, effe):
    """Also when all start at the same time; a failed start in use counts."""
    effe.fails = [OSError("x")]
    barrier, found = threading.Barrier(20), []

    def take():
        barrier.wait()
        found.append(pool.start())

    threads = [threading.Thread(target=take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    leases = [lease for lease in found if lease]
    assert len(leases) == 3 and len(effe.started) == 2 and pool.start() is None
    pool.retire(leases[0])
    assert pool.start() is not None


@pytest.mark.parametrize(
    ("error", "context", "stopped"), [(OSError("x"), None, []), (StartError("once"), "once", ["once"])]
)
def test_a_failed_start_is_used_once(pool, effe, error, context, stopped):
    """run is told; what StartError handed on is stopped after it, and nothing is stopped that was not started."""
    effe.fails = [error]
    lease = pool.start()
    assert (lease.context, lease.error, lease.pooled) == (context, error, False)
    pool.give(lease)
    assert (effe.stopped, pool.idle, pool.live) == (stopped, [], 0)


def test_each_is_stopped_once(pool, effe):
    """Whoever retires it again does nothing."""
    (lease,) = taken(pool, 1)
    pool.retire(lease)
    pool.retire(lease)
    pool.close()
    assert effe.stopped == [1]


def test_a_stop_that_raises_is_logged(pool, effe):
    """And ends nothing else."""
    one, two = taken(pool, 2)
    one.context = "bad"
    pool.give(one)
    pool.give(two)
    pool.close()
    assert sorted(map(str, effe.stopped)) == ["2", "bad"] and effe.logged == ["stop() failed: stop"]


def test_a_sweep_takes_what_nobody_has_used(pool, effe):
    """From the bottom of the stack, which is the least used; one in use stays."""
    one, two, three = taken(pool, 3)
    for moment, lease in enumerate((one, two)):
        pool.give(lease)
        lease.used = float(moment)
    pool.sweep(1.0)
    assert effe.stopped == [1] and pool.idle == [two]
    pool.give(three)
    pool.sweep(0.5)
    assert effe.stopped == [1]


def test_closing_stops_all_and_starts_none(pool, effe):
    """The idle ones, and those whose run does not end: it gives back what is stopped already."""
    one, two = taken(pool, 2)
    pool.give(one)
    pool.close()
    assert sorted(effe.stopped) == [1, 2] and pool.start() is None
    pool.give(two)
    assert sorted(effe.stopped) == [1, 2] and pool.idle == []


def test_a_start_that_was_under_way_when_the_pool_closed_is_stopped(effe):
    """It is among the living from its first moment."""
    begun, go = threading.Event(), threading.Event()

    def start():
        begun.set()
        go.wait(60)
        return "late"

    pool = Pool(SimpleNamespace(start=start, stop=effe.stop), 3, effe)
    found = []
    thread = threading.Thread(target=lambda: found.append(pool.start()))
    thread.start()
    begun.wait(60)
    closing = threading.Thread(target=pool.close)
    closing.start()
    go.set()
    thread.join(60)
    closing.join(60)
    assert effe.stopped == ["late"] and found == [None]
