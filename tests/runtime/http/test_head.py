"""The head of a response (effetool/runtime/http/head.py)."""

import email.utils
import http
import time

import pytest

from effetool.runtime.http import head as reply
from effetool.runtime.http.head import REASONS, Clock, encode_chunk, encode_fields


def test_the_date_is_an_imf_fixdate_in_english_whatever_the_locale(monkeypatch):
    """RFC 9110 5.6.7; every day of a leap year, at its last second."""
    clock = Clock()
    for day in range(366):
        moment = 1_704_067_199 + 86400 * day  # from 2023-12-31 23:59:59
        monkeypatch.setattr(reply.time, "time", lambda moment=moment: moment + 0.9)
        clock.tick()
        assert clock.date.decode() == email.utils.formatdate(moment, usegmt=True)


def test_within_a_second_nothing_is_made_anew(monkeypatch):
    """Whoever holds the heads of the last second may still send them."""
    now = [time.time() // 1]
    monkeypatch.setattr(reply.time, "time", lambda: now[0])
    clock = Clock()
    usual = clock.usual
    head = clock.make_usual("text/plain")
    now[0] += 0.9
    clock.tick()
    assert clock.usual is usual and usual == {"text/plain": head}
    now[0] += 0.1
    clock.tick()
    assert clock.usual == {} and usual == {"text/plain": head}


def test_a_status_line_has_its_phrase_or_an_empty_one():
    """RFC 9112 4: the space before the phrase stays."""
    assert Clock().start(599, server=False, date=False) == b"HTTP/1.1 599 \r\n"
    start = Clock().start(404).split(b"\r\n")
    assert start[0] == b"HTTP/1.1 404 Not Found" and start[1] == b"Server: effe" and start[2].startswith(b"Date: ")


def test_phrases_are_the_registered_ones():
    """IANA's names as http.HTTPStatus has them, less those that RFC 9110 renamed, which Python did in 3.13."""
    renamed = {
        413: "Content Too Large",
        414: "URI Too Long",
        416: "Range Not Satisfiable",
        422: "Unprocessable Content",
    }
    for status in http.HTTPStatus:
        assert REASONS[status] == renamed.get(status, status.phrase)


@pytest.mark.parametrize(
    ("data", "chunk"), [(b"", b""), (b"a", b"1\r\na\r\n"), (b"x" * 26, b"1a\r\n" + b"x" * 26 + b"\r\n")]
)
def test_a_chunk_is_never_empty(data, chunk):
    """RFC 9112 7.1: that would be the end."""
    assert encode_chunk(data) == chunk


def test_fields_are_lines_in_latin_1():
    """As checked by headers.py."""
    assert encode_fields([("a", "A", "ü"), ("b", "B", "")]) == b"A: \xfc\r\nB: \r\n"
