"""What two threads see of a connection (effetool/runtime/server/connection.py); what it answers is in
test_server.py."""

import os
import socket
import types

import pytest

from effetool.runtime.contract.logic import fill_in
from effetool.runtime.flags import Settings
from effetool.runtime.server import connection as connection_module
from effetool.runtime.server.connection import Connection
from effetool.runtime.server.poller import READ
from effetool.runtime.server.server import Server
from effetool.runtime.server.states import CLOSED, IDLE, QUEUED, RUN
from effetool.runtime.telemetry.log import Log


class Moving(Connection):
    """One whose run parks it between two looks of the leader: `seen` is what the first ones see, then it is IDLE."""

    seen = ()

    @property
    def state(self):
        seen, self.seen = self.seen[:1], self.seen[1:]
        return seen[0] if seen else IDLE

    @state.setter
    def state(self, state):
        pass


@pytest.fixture
def pair():
    """A server that does not serve, and the two ends of a connection."""
    reader, writer = os.pipe()
    logic = fill_in(types.SimpleNamespace(run=lambda context, error, response, request: None))
    server = Server(Settings(), logic, Log("json", stream=writer), [])
    ours, theirs = socket.socketpair()
    yield server, ours, theirs
    for each in (ours, theirs):
        each.close()
    server.poller.close()
    server._waker.close()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("state", [RUN, QUEUED])
def test_octets_are_not_lost_when_a_run_ends_while_the_leader_looks(pair, state):
    """The leader saw RUN, the run then parked the connection: what came is the next request, and stays where it is."""
    server, ours, theirs = pair
    connection = Moving(theirs, ("192.0.2.1", 1), server)
    connection.park(IDLE, READ)
    ours.sendall(b"GET / HTTP/1.1")
    connection.seen = (state,)
    connection.handle(server.leader)
    assert theirs.recv(100, socket.MSG_DONTWAIT) == b"GET / HTTP/1.1"
    assert connection.watched == READ, "the poll reports it again"


def test_a_connection_that_got_a_new_deadline_meanwhile_is_not_ended(pair):
    """The leader saw the deadline of the run, and then IDLE: the connection has just been answered."""
    server, _, theirs = pair
    connection = Connection(theirs, ("192.0.2.1", 1), server)
    connection.deadline = server.now + 75
    connection.expire(server.leader)
    assert connection.state != CLOSED


def test_a_head_that_comes_in_lines_is_read_once(pair, monkeypatch):
    """When its request-line is there, and at its end: not from its start for each line."""
    server, ours, theirs = pair
    reads = []

    def parse_head(text, *rest):
        reads.append(len(text))
        return real(text, *rest)

    real = connection_module.parse_head
    monkeypatch.setattr(connection_module, "parse_head", parse_head)
    connection = Connection(theirs, ("192.0.2.1", 1), server)
    lines = [b"GE", b"T / HTTP/1.1\r\n", b"Host: h", b"\r", b"\n", *[b"a: b\r\n"] * 50, b"c: d\r\n\r", b"\n"]
    for line in lines:
        ours.sendall(line)
        connection.handle(server.leader)
    assert reads == [2, 16, sum(map(len, lines))]
    assert ours.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("line", [b"a: b\n", b"a b\r\n", b"a : b\r\n", b" a\r\n", b"a: b\x00\r\n", b"a: b\rc: d\r\n"])
def test_a_head_that_comes_in_lines_is_refused_at_its_first_wrong_line(pair, line):
    """RFC 9112 2.2, 5.1, 5.2: not only when its end comes."""
    server, ours, theirs = pair
    connection = Connection(theirs, ("192.0.2.1", 1), server)
    for piece in (b"GET / HTTP/1.1\r\n", b"Host: h\r\n", line):
        ours.sendall(piece)
        connection.handle(server.leader)
    assert ours.recv(100).startswith(b"HTTP/1.1 400 ")
