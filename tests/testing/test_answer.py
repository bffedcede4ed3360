"""An answer read from the bytes of a real connection."""

import http.client
import socket

import pytest

from effetool.testing import Answer


@pytest.fixture
def answer():
    """Make an answer of the bytes a server sent; `done` is what became of the connection."""
    opened = []

    def make(octets, method="GET"):
        ours, theirs = socket.socketpair()
        opened.append(ours)
        theirs.sendall(octets)
        theirs.close()
        return Answer(ours, method, done.append)

    done = []
    make.done = done
    yield make
    for connection in opened:
        connection.close()


def test_a_whole_answer_gives_its_connection_back(answer):
    """The connection is good for another request once the body has been read."""
    got = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert answer.done == []
    assert got.body == b"ok"
    assert got.body == b"ok"
    assert answer.done == [True]


def test_connection_close_is_obeyed(answer):
    """After `Connection: close` the connection is not used again."""
    assert answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").text == "ok"
    assert answer.done == [False]


def test_a_body_that_is_cut_raises(answer):
    """Fewer bytes than promised are an error, not a short body."""
    got = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")
    with pytest.raises(http.client.IncompleteRead):
        _ = got.body
    assert answer.done == [False]


def test_an_answer_that_never_came_raises(answer):
    """A connection closed without a word is no answer."""
    with pytest.raises(http.client.RemoteDisconnected):
        answer(b"")


def test_lines_are_whole_even_when_pieces_are_not(answer):
    """A line that arrives in two chunks is one line; CRLF and LF both end it."""
    octets = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na\r\nb\r\n3\r\nc\nd\r\n0\r\n\r\n"
    assert list(answer(octets).lines()) == ["a", "bc", "d"]


def test_close_before_the_end_gives_the_connection_up(answer):
    """Leaving an answer unread closes its connection, once."""
    got = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")
    with got:
        pass
    got.close()
    assert answer.done == [False]
    assert repr(got) == "<Answer 200 OK>"
