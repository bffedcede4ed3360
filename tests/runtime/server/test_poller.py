"""Which sockets are ready (effetool/runtime/server/poller.py): epoll and selectors have one face."""

import os
import select
import socket
import threading

import pytest

from effetool.runtime.server.poller import READ, WRITE, Epoll, Selector, poller


class Awake:
    """What a server does to have its leader look again: a pipe in the poll."""

    def __init__(self, kind):
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.poller = kind(lambda: os.write(self.writer, b"x"))
        self.poller.register(self.reader, READ)

    def ready(self, timeout=60.0):
        """Poll until something else than the wake-up call comes, or the time is over."""
        for _ in range(1000):
            found = dict(self.poller.poll(timeout, 100))
            if found.pop(self.reader, None) is None or found:
                return found
            os.read(self.reader, 1000)
        raise AssertionError("it never rests")


@pytest.fixture(params=[Epoll, Selector] if hasattr(select, "epoll") else [Selector])
def awake(request):
    awake = Awake(request.param)
    yield awake
    awake.poller.close()
    os.close(awake.reader)
    os.close(awake.writer)


@pytest.fixture
def pair():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_it_is_level_triggered(awake, pair):
    """What a leader has not handled is reported to the next one."""
    one, other = pair
    awake.poller.register(one.fileno(), READ)
    assert awake.ready(0.01) == {}
    other.send(b"x")
    assert awake.ready() == awake.ready() == {one.fileno(): READ}
    one.recv(1)
    assert awake.ready(0.01) == {}


def test_what_is_waited_for_can_change_and_end(awake, pair):
    """READ, WRITE, then nothing."""
    one, other = pair
    other.send(b"x")
    awake.poller.register(one.fileno(), READ)
    assert awake.ready() == {one.fileno(): READ}
    awake.poller.modify(one.fileno(), WRITE)
    assert awake.ready() == {one.fileno(): WRITE}
    awake.poller.unregister(one.fileno())
    assert awake.ready(0.01) == {}


def test_another_thread_may_change_it_while_one_waits(awake, pair):
    """A run gives its connection back to a leader that sleeps."""
    one, other = pair
    other.send(b"x")
    threading.Timer(0.05, awake.poller.register, (one.fileno(), READ)).start()
    assert awake.ready() == {one.fileno(): READ}


def test_a_client_that_is_gone_is_ready(awake, pair):
    """Its end is read, as data would be."""
    one, other = pair
    awake.poller.register(one.fileno(), READ)
    other.close()
    assert awake.ready()[one.fileno()] & READ


def test_a_descriptor_closed_meanwhile_harms_nobody(awake, pair):
    """Its number may be another connection's by then."""
    one, _ = pair
    number = one.fileno()
    awake.poller.register(number, READ)
    assert awake.ready(0.01) == {}
    awake.poller.unregister(number)
    one.close()
    third, fourth = socket.socketpair()
    with third, fourth:
        awake.poller.register(third.fileno(), READ)
        fourth.send(b"x")
        assert awake.ready() == {third.fileno(): READ}


def test_the_best_is_taken():
    """epoll on Linux; elsewhere, or where it is hidden, selectors."""
    found = poller(lambda: None)
    assert isinstance(found, Epoll if hasattr(select, "epoll") else Selector)
    found.close()
