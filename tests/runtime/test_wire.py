"""The syntax of HTTP/1.1: what is ambiguous is refused, and a stream of bytes has one reading."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effetool.runtime.errors import HTTPError
from effetool.runtime.wire import Chunks, Head, Limits, parse_head

LIMITS = Limits(32 * 1024, 8192, 100)


class Kind(Head):
    __slots__ = ()


def parse(data):
    return parse_head(data, 0, LIMITS, Kind)


def refused(data):
    with pytest.raises(HTTPError) as error:
        parse(data)
    return error.value.status


def head(*lines, host=True):
    return "\r\n".join(["GET / HTTP/1.1", *(["Host: h"] if host else []), *lines, "", ""]).encode("latin-1")


def test_a_whole_head_is_taken_apart():
    """RFC 9112 2.1, 3: method, target, fields, and where the body begins."""
    data = b"POST /a?b=c HTTP/1.1\r\nHost: h:80\r\nContent-Length: 3\r\n\r\nabc"
    found = parse(data)
    assert (found._method, found._target, found.length, found.close) == (b"POST", b"/a?b=c", 3, False)
    assert data[found.end :] == b"abc"


def test_an_empty_line_before_the_request_is_ignored_once():
    """RFC 9112 2.2."""
    assert parse(b"\r\n" + head())._target == b"/"
    assert refused(b"\r\n\r\n" + head()) == 400


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: h\n\n",  # bare LF: RFC 9112 2.2 allows it, a proxy in front may not see it
        b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",  # bare CR (RFC 9112 2.2)
        b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",  # RFC 9112 3: one space
        b"GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\tx HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\r\n",  # HTTP/0.9
        b"G\xc3T / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",  # a TLS hello
    ],
)
def test_a_malformed_request_line_is_400(data):
    """RFC 9112 2.2, 3."""
    assert refused(data) == 400


@pytest.mark.parametrize(
    "line",
    [
        "X : y",  # RFC 9112 5.1: no space before the colon
        " X: y",  # a fold (RFC 9112 5.2)
        "X\x85Y: z",
        "X: a\x00b",
        "X: a\x7fb",
        "no colon",
        ": nameless",
    ],
)
def test_a_malformed_field_is_400(line):
    """RFC 9112 5, RFC 9110 5.5."""
    assert refused(head(line)) == 400


@pytest.mark.parametrize("value", ["", "+5", "-1", "1_0", "0x5", "5, 5", "5 5", "\xb2", "5;"])
def test_a_content_length_is_digits_alone(value):
    """RFC 9110 8.6: what int() takes besides is refused."""
    assert refused(head(f"Content-Length: {value}")) == 400


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Content-Length: 5", "Content-Length: 5"), 400),
        (("Content-Length: 5", "Transfer-Encoding: chunked"), 400),
        (("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
        (("Transfer-Encoding:",), 400),
        (("Transfer-Encoding: gzip, chunked",), 501),
        (("Transfer-Encoding: \x0bchunked",), 400),
        (("Content-Length: 9999999999999999999",), 413),
    ],
)
def test_a_body_has_one_length(lines, status):
    """RFC 9112 6.1, 6.3: whatever two readers could read in two ways is refused."""
    assert refused(head(*lines)) == status


def test_chunked_is_not_of_http_1_0():
    """RFC 9112 6.1."""
    assert refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400


@pytest.mark.parametrize("lines", [(), ("Host: a", "Host: b"), ("Host: a b",), ("Host: a/b",), ("Host: a@b",)])
def test_exactly_one_valid_host(lines):
    """RFC 9112 3.2."""
    assert refused(head(*lines, host=False)) == 400


def test_http_1_0_needs_no_host_and_closes():
    """RFC 9112 3.2, 9.3."""
    assert parse(b"GET / HTTP/1.0\r\n\r\n").close is True


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close", "x ,CLOSE"])
def test_close_in_any_list_closes(value):
    """RFC 9112 9.3, RFC 9110 7.6.1."""
    assert parse(head(f"Connection: {value}")).close is True


def test_forms_of_the_target():
    """RFC 9112 3.2: origin, absolute and asterisk form; no tunnel."""
    assert parse(b"GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n")._target == b"http://h/x"
    assert parse(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")._target == b"*"
    assert refused(b"GET * HTTP/1.1\r\nHost: h\r\n\r\n") == 400
    assert refused(b"GET x HTTP/1.1\r\nHost: h\r\n\r\n") == 400
    assert refused(b"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n") == 400
    assert refused(b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n") == 501


def test_another_version_is_505():
    """RFC 9110 15.6.6."""
    assert refused(b"GET / HTTP/2.0\r\nHost: h\r\n\r\n") == 505


def test_limits_have_their_status():
    """RFC 9112 3 (414), RFC 6585 5 (431)."""
    assert refused(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n") == 414
    assert refused(head("X: " + "y" * 40_000)) == 431
    assert refused(head(*(f"X{n}: y" for n in range(200)))) == 431


def test_expect_counts_with_a_body_only():
    """RFC 9110 10.1.1."""
    assert parse(head("Content-Length: 5", "Expect: 100-Continue")).expects is True
    assert parse(head("Expect: 100-continue")).expects is False


@given(st.integers(min_value=0, max_value=400), st.booleans())
def test_a_head_in_part_waits_and_means_the_same(cut, long):
    """One reading: whatever the cut, nothing is decided before the end, and then the same."""
    data = head("X-Request-ID: abc", "Accept: " + "y" * (200 if long else 2))
    if cut < len(data):
        assert parse(data[:cut]) is None
    found = parse(data)
    assert (found._method, found._target, found.end) == (b"GET", b"/", len(data))


@settings(max_examples=400)
@given(st.binary(max_size=200) | st.text(alphabet="GET /HP1.\r\n: aChunked0", max_size=120).map(str.encode))
def test_no_bytes_crash_the_parser(data):
    """Anything is a head, an unfinished one, or an error with its status; more bytes never turn an error to a head."""
    try:
        found = parse(data)
    except HTTPError as error:
        assert error.status in (400, 413, 414, 431, 501, 505)  # noqa: PT017
        with pytest.raises(HTTPError):
            parse(data + b"\r\n\r\n")
    else:
        assert found is None or 0 < found.end <= len(data)


def decode(data, cuts=(), limit=1 << 20):
    """Feed a chunked body in pieces; return the body, and what was left behind it."""
    chunks = Chunks(limit, 4096)
    out, rest = [], b""
    for piece in [data[a:b] for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True)]:
        rest += piece
        if not chunks.done:
            rest = rest[chunks.feed(rest, 0, out) :]
    return b"".join(out), rest, chunks.done


BODY = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\nGET"


def test_chunks_are_joined_and_what_follows_is_left():
    """RFC 9112 7.1: sizes, extensions, a trailer; then the next request."""
    assert decode(BODY) == (b"hello world", b"GET", True)


@given(st.lists(st.integers(min_value=0, max_value=len(BODY)), max_size=8).map(sorted))
def test_chunks_cut_anywhere_are_the_same(cuts):
    """One reading of a body, however it arrives."""
    assert decode(BODY, cuts) == (b"hello world", b"GET", True)


@pytest.mark.parametrize(
    "data",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n",
        b"-1\r\n",
        b"\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\n folded: t\r\n\r\n",
    ],
)
def test_malformed_chunks_are_refused(data):
    """RFC 9112 7.1: a size is hex digits, a chunk is as long as it says."""
    with pytest.raises(HTTPError) as error:
        decode(data)
    assert error.value.status in (400, 413)


def test_chunks_have_limits():
    """A body, a line, extensions and a trailer that do not end."""
    for data, status in (
        (b"6\r\nabcdef\r\n", 413),
        (b"1;" + b"x" * 5000, 400),
        (b"0\r\nX: " + b"y" * 5000, 431),
        (b"1;" + b"x" * 900 + b"\r\na\r\n", None),
    ):
        if status is None:
            assert decode(data, limit=5)[0] == b"a"
            continue
        with pytest.raises(HTTPError) as error:
            decode(data, limit=5)
        assert error.value.status == status
