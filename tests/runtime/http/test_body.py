"""A body on its way in (effetool/runtime/http/body.py). Pure; a connection's is in test_request.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effetool.runtime.errors import HTTPError
from effetool.runtime.http.body import Incoming
from effetool.runtime.http.parser import CHUNKED


def test_a_length_is_taken_and_not_an_octet_more():
    """What follows is the next request."""
    incoming = Incoming(5, 100, 100)
    assert (incoming.feed(b"xxabc", 2), incoming.left, incoming.complete) == (5, 2, False)
    assert incoming.feed(b"", 0) == 0
    assert (incoming.feed(b"deGET", 0), incoming.left, incoming.complete) == (2, 0, True)
    assert incoming.feed(b"GET", 0) == 0
    assert (incoming.received, incoming.take(), incoming.take()) == (5, b"abcde", b"")


def test_chunks_are_taken_decoded():
    """How much is to come is unknown; what is received is counted without the framing."""
    incoming = Incoming(CHUNKED, 100, 100)
    assert (incoming.feed(b"3\r\nab", 0), incoming.left, incoming.complete) == (5, None, False)
    assert incoming.take() == b"ab"
    assert incoming.feed(b"c\r\n0\r\n\r\nGET", 0) == 8
    assert (incoming.received, incoming.complete, incoming.take()) == (3, True, b"c")


@pytest.mark.parametrize(("data", "status"), [(b"x\r\n", 400), (b"65\r\n", 413), (b"0\r\nX: " + b"x" * 200, 431)])
def test_chunks_are_refused_as_they_come(data, status):
    """Malformed, beyond the limit of the body, beyond that of the trailer."""
    with pytest.raises(HTTPError) as caught:
        Incoming(CHUNKED, 100, 100).feed(data, 0)
    assert caught.value.status == status


class Asked:
    """Has more of the body each time it is asked."""

    def __init__(self, incoming, pieces):
        self.incoming, self.pieces = incoming, list(pieces)

    def __call__(self):
        if not self.pieces:
            raise ConnectionError("gone")
        self.incoming.feed(self.pieces.pop(0), 0)


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=8), st.integers(1, 70), st.booleans())
def test_the_file_is_the_body_however_it_comes_and_is_read(pieces, size, line):
    """It reads the connection only when it must, and never beyond the end."""
    whole = b"".join(pieces)
    incoming = Incoming(len(whole), 1000, 100)
    incoming.feed(pieces[0], 0)
    receive = Asked(incoming, pieces[1:])
    file = incoming.file(receive)
    read = b"".join(file) if line else b"".join(iter(lambda: file.read(size), b""))
    assert read == whole and receive.pieces == [] and file.read() == b""


def test_a_client_that_goes_away_is_an_error_and_no_end():
    """Half a body must not look like a whole one."""
    incoming = Incoming(10, 100, 100)
    incoming.feed(b"abc", 0)
    with pytest.raises(ConnectionError):
        incoming.file(Asked(incoming, [])).read()
