"""The syntax of requests, rule by rule: what is served, what is refused and with which status. Pure: no sockets."""
# ruff: noqa: E501  (tables of cases read better in long lines)

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from effetool.runtime.errors import HTTPError
from effetool.runtime.http import parser
from effetool.runtime.http.parser import (
    CHUNKED,
    MAX_CHUNK_LINE,
    Chunks,
    Head,
    Limits,
    goes_on,
    parse_head,
    split_absolute,
)

LIMITS = Limits(4096, 1024, 20)


def head(data, start=0, limits=LIMITS):
    return parse_head(data.decode("latin-1"), start, limits, Head)


def get(*lines, first=b"GET / HTTP/1.1", host=b"Host: h"):
    return b"\r\n".join([first, *([host] if host else []), *lines]) + b"\r\n\r\n"


def refused(data):
    with pytest.raises(HTTPError) as caught:
        head(data)
    return caught.value.status


def test_a_head_is_read_whole():
    """RFC 9112 2: method, target, version, fields, and where the body begins."""
    data = get(b"Content-Length: 5", first=b"POST /a?b HTTP/1.1") + b"hello"
    found = head(b"xx" + data, 2)
    assert (found.method, found.target, found.path, found._minor) == ("POST", "/a?b", "/a", "1")
    assert (found.length, found.close, found.expects) == (5, False, False)
    assert (b"xx" + data)[found.end :] == b"hello"


def test_every_prefix_of_a_head_waits():
    """RFC 9112 2: a head may come byte by byte; nothing is decided before it is complete."""
    data = get(b"X-A: 1", b"Content-Length: 0")
    for cut in range(len(data)):
        assert head(data[:cut]) is None
    assert head(data).end == len(data)


@given(st.lists(st.sampled_from([b"a:b", b"\r\n", b"\n", b"\r", b"a", b":", b" ", b"\x00", b"x: y\r\n"]), max_size=12))
@example([b"x: y\r\n", b"\r", b"a:b"])
def test_a_head_goes_on_where_the_whole_of_it_would_wait(pieces):
    """Behind a request-line, in any cut; an unfinished line is looked at less closely, for it may take long to come."""
    data = b"".join(pieces)
    for cut in range(len(data) + 1):
        before = b"GET / HTTP/1.1\r\n" + data[:cut]
        try:
            if head(before) is not None:
                return
        except HTTPError:
            return
        try:
            waits = head(before + data[cut:]) is None
        except HTTPError:
            waits = False
        on = goes_on(before, data[cut:])
        if b"\n" in data[cut:]:
            assert on == waits
        else:
            assert on


def test_one_empty_line_before_a_request_is_ignored_and_two_are_refused():
    """RFC 9112 2.2."""
    assert head(b"\r\n" + get()).end == len(get()) + 2
    assert head(b"\r\n") is None
    assert refused(b"\r\n\r\n" + get()) == 400


@pytest.mark.parametrize(
    "line",
    [b"GET  / HTTP/1.1", b" GET / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET\t/ HTTP/1.1", b"GET / HTTP/1", b"GET /",
     b"G(T / HTTP/1.1", b"GET /a\x00 HTTP/1.1", b"GET /a\rb HTTP/1.1", b"GET /a b HTTP/1.1", b"GET HTTP/1.1",
     b"GET\xa0/\xa0HTTP/1.1", b"GET / http/1.1", b"GET / HTTP/1.10", b"\x16\x03\x01"],
)  # fmt: skip
def test_a_malformed_request_line_is_400(line):
    """RFC 9112 3: one SP between the parts, no other white space, a token, a version of two digits."""
    assert refused(get(first=line)) == 400


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/9.9"])
def test_another_major_version_is_505(version):
    """RFC 9110 15.6.6."""
    assert refused(get(first=b"GET / " + version)) == 505


def test_a_later_minor_version_is_served_as_1_1():
    """RFC 9110 2.5."""
    assert head(get(first=b"GET / HTTP/1.7")).close is False


def test_http_1_0_closes():
    """RFC 9112 9.3: it has no persistence by default, and its keep-alive was never a standard."""
    assert head(get(b"Connection: keep-alive", first=b"GET / HTTP/1.0")).close


@pytest.mark.parametrize(
    "host", [None, b"Host: a\r\nHost: a", b"Host: a b", b"Host: u@h", b"Host: h/x", b"Host: [::1", b"Host: h,evil"]
)
def test_host_is_there_once_and_valid(host):
    """RFC 9112 3.2: 400 otherwise."""
    assert refused(get(host=host)) == 400


@pytest.mark.parametrize("host", [b"Host:", b"hOsT: h:80", b"Host: [::1]:8080", b"Host:\t127.0.0.1 "])
def test_a_valid_host_is_served(host):
    """RFC 9110 7.2; an empty one is legal."""
    assert head(get(host=host)) is not None


def test_http_1_0_needs_no_host_but_may_not_have_two():
    """RFC 9112 3.2."""
    assert head(get(first=b"GET / HTTP/1.0", host=None)) is not None
    assert refused(get(b"Host: evil", first=b"GET / HTTP/1.0")) == 400


@pytest.mark.parametrize(
    "line",
    [b"X-A : 1", b"X-A\t: 1", b" X-A: 1", b": 1", b"NoColon", b"X\x00: 1", b"X-A: a\x00", b"X-A: a\rb: c", b"X-A: a\nB: c",
     b"X-A: 1\r\n folded", b"X\xe9: 1", b"X-A: \x01", b"X-A: \x7f"],
)  # fmt: skip
def test_a_malformed_field_is_400(line):
    """RFC 9112 5 and 2.2: no space before the colon, no folding, no bare CR or LF, no control character."""
    assert refused(get(line)) == 400


@pytest.mark.parametrize(
    "begun", [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nX : ", b"GET / HTTP/1.1\r\nX : 1\r\n", b"GET / HTTP/1.1\r\n x"]
)
def test_what_can_no_longer_become_a_head_is_refused_at_once(begun):
    """A client that will never send the rest must not hold the connection until the time-out."""
    if begun.endswith(b"X : "):
        assert head(begun) is None  # the line may be refused only once it is there
    else:
        assert refused(begun) == 400


def test_limits_have_their_statuses():
    """RFC 9112 3: 414 for the target; RFC 6585 5: 431 for the fields, their number and their size."""
    assert refused(get(first=b"GET /" + b"a" * 1024 + b" HTTP/1.1")) == 414
    assert refused(b"GET /" + b"a" * 5000) == 414
    assert refused(get(*[b"X: 1"] * 21)) == 431
    assert refused(b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 30) == 431
    assert refused(get(b"X: " + b"v" * 4096)) == 431
    assert refused(b"GET / HTTP/1.1\r\nX: " + b"v" * 5000) == 431
    assert refused(b"A" * 5000) == 431
    assert head(get(first=b"GET /" + b"a" * 1000 + b" HTTP/1.1")) is not None
    assert head(b"GET / HTTP/1.1\r\nX: " + b"v" * 2000) is None


def test_two_lengths_are_two_wherever_host_stands():
    """RFC 9112 6.3."""
    for first, second in ((b"1", b"2"), (b"1", b"1")):
        with pytest.raises(HTTPError) as caught:
            head(b"POST / HTTP/1.1\r\nContent-Length: %b\r\nHost: h\r\nContent-Length: %b\r\n\r\na" % (first, second))
        assert caught.value.status == 400
    assert head(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nHost: h\r\n\r\na").length == 1


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"GET http://h/a HTTP/1.1", None), (b"GET http://h HTTP/1.1", None), (b"OPTIONS * HTTP/1.1", None),
     (b"GET * HTTP/1.1", 400), (b"GET a/b HTTP/1.1", 400), (b"GET h:443 HTTP/1.1", 400), (b"CONNECT h:443 HTTP/1.1", 501),
     (b"GET http:///a HTTP/1.1", 400), (b"GET http://u@h/ HTTP/1.1", 400), (b"GET http://h\\x/ HTTP/1.1", 400),
     (b"GET http://h# HTTP/1.1", 400), (b"GET http://h/#a HTTP/1.1", 400), (b"GET /a#b HTTP/1.1", 400),
     (b"GET /# HTTP/1.1", 400), (b"GET /a?b#c HTTP/1.1", 400), (b"GET /%41#c HTTP/1.0", 400),
     (b"CONNECT / HTTP/1.1", 501), (b"CONNECT /a?b HTTP/1.1", 501)],
)  # fmt: skip
def test_target_forms(line, status):
    """RFC 9112 3.2: origin and absolute form are served, `*` for OPTIONS, CONNECT makes no tunnel, nothing has a fragment."""
    if status is None:
        assert head(get(first=line)) is not None
    else:
        assert refused(get(first=line)) == status


def test_an_absolute_target_is_split():
    """RFC 9112 3.2.2; a path is never empty, and a fragment makes it no absolute-URI (RFC 3986 4.3)."""
    assert split_absolute("HTTP://h:1/a?b") == ("h:1", "/a?b")
    assert split_absolute("http://h?b") == ("h", "/?b")
    assert split_absolute("http://h?b#c") is None
    assert split_absolute("/a") is None


@pytest.mark.parametrize(
    "value", [b"+5", b"-1", b"0x5", b"5.0", b"5 5", b"1_0", b"", b"5, 5", b"\xb2", b"5;x", b'"5"', b"five"]
)
def test_content_length_is_digits(value):
    """RFC 9112 6.3: what int() would take is not what a proxy takes."""
    assert refused(get(b"Content-Length: " + value)) == 400


def test_content_length_is_there_once_and_not_huge():
    """RFC 9112 6.3; nineteen digits would wrap in somebody's 64 bits."""
    assert refused(get(b"Content-Length: 5", b"Content-Length: 5")) == 400
    assert refused(get(b"Content-Length: " + b"9" * 19)) == 413
    assert head(get(b"Content-Length: \t010 ")).length == 10


@pytest.mark.parametrize(
    ("lines", "status"),
    [([b"Transfer-Encoding: chunked", b"Content-Length: 5"], 400), ([b"Transfer-Encoding: gzip, chunked"], 501),
     ([b"Transfer-Encoding: identity"], 501), ([b"Transfer-Encoding:"], 400), ([b"Transfer-Encoding: chunked"] * 2, 400),
     ([b"Transfer-Encoding: \x0bchunked"], 400), ([b"Transfer-Encoding: xchunked"], 501)],
)  # fmt: skip
def test_transfer_encoding_is_chunked_alone(lines, status):
    """RFC 9112 6.1 and 6.3: never beside Content-Length, once, no other coding."""
    assert refused(get(*lines)) == status


def test_chunked_is_read_in_any_case_and_not_from_http_1_0():
    """RFC 9112 6.1 and 7."""
    assert head(get(b"Transfer-Encoding: \tChUnKeD ")).length == CHUNKED
    assert refused(get(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0")) == 400


@pytest.mark.parametrize(
    ("lines", "close"),
    [([b"Connection: close"], True), ([b"Connection: foo, CLOSE "], True), ([b"Connection: a", b"Connection: close"], True),
     ([b"Connection: x-close"], False), ([b"Connection: keep-alive"], False)],
)  # fmt: skip
def test_connection_is_a_list(lines, close):
    """RFC 9110 7.6.1."""
    assert head(get(*lines)).close is close


def test_expect_counts_only_with_a_body_and_http_1_1():
    """RFC 9110 10.1.1."""
    expect = b"Expect: 100-Continue"
    assert head(get(expect, b"Content-Length: 5")).expects
    assert not head(get(expect, b"Content-Length: 0")).expects
    assert not head(get(expect)).expects
    assert not head(get(b"Expect: tea", b"Content-Length: 5")).expects
    assert not head(get(expect, b"Content-Length: 5", first=b"POST / HTTP/1.0")).expects


def decode(data, limit=1000, trailer=200):
    chunks, out = Chunks(limit, trailer), []
    end = chunks.feed(data, 0, out)
    return chunks, b"".join(out), end


def test_chunks_are_decoded_and_the_next_request_is_left():
    """RFC 9112 7.1: extensions and trailers are dropped."""
    data = b"5;a=b\r\nhello\r\n0A\r\n0123456789\r\n0;z\r\nX-T: 1\r\n\r\nGET"
    chunks, body, end = decode(data)
    assert (chunks.done, body, data[end:], chunks.total) == (True, b"hello0123456789", b"GET", 15)


@pytest.mark.parametrize(
    "data",
    [b"5 \r\n", b" 5\r\n", b"\r\n", b"g\r\n", b"0x5\r\n", b"+5\r\n", b"5\n", b"5;a\rb\r\n", b"5\r\r\n", b"f" * 17 + b"\r\n",
     b"5\r\nhelloX\r\n", b"5\r\nhelloX", b"5\r\nhello\n0", b"0\r\nbad\r\n\r\n", b"0\r\nX : 1\r\n\r\n", b"0\r\n\n",
     b"5;\r\nhello\r\n", b"5;=a\r\nhello\r\n", b"5; ;a\r\nhello\r\n",
     b"5;" + b"x" * MAX_CHUNK_LINE + b"\r\n", b"5;" + b"x" * MAX_CHUNK_LINE],
)  # fmt: skip
def test_malformed_chunks_are_400(data):
    """RFC 9112 7.1: hexadecimal digits, CRLF, exactly the size."""
    with pytest.raises(HTTPError) as caught:
        decode(data)
    assert caught.value.status == 400


def test_chunks_have_limits():
    """413 for the body, 431 for the trailer, 400 for extensions without end (CVE-2023-39326)."""
    for data, status in (
        (b"3e9\r\n", 413),
        (b"ffffffffffffffff\r\n", 413),
        (b"0\r\n" + b"X: 1\r\n" * 50, 431),
        (b"0\r\nX: " + b"1" * 300, 431),
        ((b"1;" + b"x" * 1000 + b"\r\nA\r\n") * 20, 400),
    ):
        with pytest.raises(HTTPError) as caught:
            decode(data)
        assert caught.value.status == status


BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=5)


@given(BODIES, st.data())
def test_chunks_decode_alike_however_they_are_split(pieces, data):
    """Never two readings of one byte stream: any split gives what the whole gives."""
    stream = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\nrest"
    chunks, out, kept, place = Chunks(10_000, 100), [], b"", 0
    while place < len(stream) and not chunks.done:
        step = data.draw(st.integers(1, 9))
        kept += stream[place : place + step]
        place += step
        kept = kept[chunks.feed(kept, 0, out) :]
    assert chunks.done
    assert b"".join(out) == b"".join(pieces)
    assert kept + stream[place:] == b"rest"


FIELDS = st.sampled_from(
    [b"Host: h", b"hOST:\th:80 ", b"Host: [::1]", b"Content-Length: 3", b"content-length:0", b"Content-Length: -1", b"X: y",
     b"Transfer-Encoding: chunked", b"Connection: close", b"Connection:keep-alive", b"Connection: keep-alive, x", b"Cookie: c",
     b"Expect: 100-continue", b"X-Request-ID: a", b"TE: trailers", b"X\xe9: y", b"X: \xe9\xdf"]
)  # fmt: skip
FIRST = st.sampled_from(
    [b"GET / HTTP/1.1", b"HEAD /a%20b?c HTTP/1.1", b"PUT /\xc3\xa9 HTTP/1.1", b"GET h:1 HTTP/1.1", b"GET /?% HTTP/1.0"]
)


@given(FIRST, st.lists(FIELDS, max_size=6))
@settings(max_examples=300)
def test_the_usual_head_is_read_as_any_other(first, fields):
    """The short way takes only heads that the general one reads in the same way, octet for octet."""
    text = b"\r\n".join([first, *fields, b"", b"tail"]).decode("latin-1")

    def outcome(read):
        try:
            found = read(text, 0, LIMITS, Head)
        except HTTPError as error:
            return error.status
        return found and [getattr(found, name) for name in Head.__slots__]

    assert outcome(parse_head) == outcome(parser._parse_any)


@pytest.mark.parametrize(
    ("most", "fields", "served"),
    [(100, 100, True), (100, 101, False), (150, 150, True), (150, 151, False), (9, 10, False)],
)
def test_the_fields_are_counted_by_either_way(most, fields, served):
    """RFC 6585 5: the limit holds below, at and above what the usual head may have."""
    data = get(*[b"X: y"] * (fields - 1))
    limits = Limits(4096, 4096, most)
    if served:
        assert head(data, limits=limits).end == len(data)
    else:
        with pytest.raises(HTTPError) as caught:
            head(data, limits=limits)
        assert caught.value.status == 431


LINES = st.sampled_from(
    [b"GET / HTTP/1.1", b"POST /x HTTP/1.1", b"Host: h", b"Host: a b", b"Content-Length: 3", b"Content-Length : 3", b"X: y",
     b"Transfer-Encoding: chunked", b"Connection: close", b" fold", b"", b"abc", b"3", b"0", b"X\rY: z", b"X: a\nb"]
)  # fmt: skip
STREAMS = st.one_of(
    st.lists(LINES, max_size=12).map(lambda lines: b"\r\n".join([b"GET / HTTP/1.1", *lines, b"", b""])),
    st.lists(LINES, max_size=12).map(b"\n".join),
    st.binary(max_size=200),
)


def read(stream, cuts):
    """Read a byte stream as a connection does, in pieces; return what is seen: requests, then a refusal or nothing."""
    seen, kept, place = [], b"", 0
    incoming = None
    for cut in [*cuts, len(stream)]:
        kept += stream[place:cut]
        place = max(place, cut)
        while True:
            try:
                if incoming is None:
                    found = head(kept)
                    if found is None:
                        break
                    seen.append((found.method, found.target, found._block, found.length))
                    kept = kept[found.end :]
                    incoming = Chunks(1000, 100) if found.length == CHUNKED else found.length
                if isinstance(incoming, int):
                    if len(kept) < incoming:
                        break
                    seen.append(kept[:incoming])
                    kept, incoming = kept[incoming:], None
                else:
                    out = []
                    kept = kept[incoming.feed(kept, 0, out) :]
                    seen += [b"".join(out)] if out else []
                    if not incoming.done:
                        break
                    incoming = None
            except HTTPError:
                return [*seen, "refused"]
    return seen


def joined(seen):
    """Join neighbouring pieces of a body: where they were cut is no difference."""
    out = []
    for item in seen:
        if isinstance(item, bytes) and out and isinstance(out[-1], bytes):
            out[-1] += item
        else:
            out.append(item)
    return out


@settings(max_examples=400)
@given(STREAMS, st.lists(st.integers(0, 300), max_size=6))
def test_a_stream_has_one_reading_however_it_is_split(stream, cuts):
    """Requests, bodies and refusals are the same for the whole and for any split of it."""
    cuts = sorted(min(cut, len(stream)) for cut in cuts)
    assert joined(read(stream, cuts)) == joined(read(stream, []))
