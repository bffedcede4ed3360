"""What an author reads of a request (effetool/runtime/contract/request.py)."""

import json

import pytest

from effetool.runtime.flags import Settings


@pytest.fixture
def seen(inside):
    """Send a head (and a body), return what `read(request)` gave."""

    def ask(read, first, *lines, body=b"", host=b"Host: h", settings=None):
        found = []
        talk = inside(lambda context, error, response, request: found.append(read(request)), settings=settings)
        if body:
            lines = (*lines, b"Content-Length: %d" % len(body))
        answer = talk(b"\r\n".join([first, host, *lines, b"", b""]) + body)
        return found[0] if found else answer

    return ask


@pytest.mark.parametrize(
    ("target", "path", "query_string"),
    [
        (b"/", "/", ""),
        (b"/a%20b%2Fc?x=%20", "/a b/c", "x=%20"),
        (b"/%C3%BC", "/ü", ""),
        ("/ü".encode(), "/ü", ""),
        (b"/%FF", "/\ufffd", ""),
        (b"/%zz", "/%zz", ""),
        (b"//evil/x", "//evil/x", ""),
        (b"/a?b?c", "/a", "b?c"),
        (b"http://other/a%20b?c", "/a b", "c"),
        (b"http://other", "/", ""),
    ],
)
def test_the_path_is_decoded_and_the_target_is_not(seen, target, path, query_string):
    """RFC 9112 3.2, RFC 3986 2.1; what is no UTF-8 is replaced, never an exception."""
    found = seen(lambda r: (r.target.encode("latin-1"), r.path, r.query_string), b"GET " + target + b" HTTP/1.1")
    assert found == (target, path, query_string)


def test_fields_are_found_in_any_case_and_kept_in_order(seen):
    """RFC 9110 5: repeated ones too, white space round a value is none of it."""
    found = seen(
        lambda r: (r.headers["x-a"], r.headers.get_all("X-A"), r.headers.items(), "x-b" in r.headers),
        b"GET / HTTP/1.1", b"X-A: \t1 ", b"x-a:2", b"X-Ue: \xfc", b"X-Empty:",
    )  # fmt: skip
    fields = [("Host", "h"), ("X-A", "1"), ("x-a", "2"), ("X-Ue", "ü"), ("X-Empty", "")]
    assert found == ("1", ["1", "2"], fields, False)


def test_an_absolute_target_replaces_host(seen):
    """RFC 9112 3.2.2: an origin server must ignore the Host it received."""
    found = seen(lambda r: r.headers.get_all("host"), b"GET http://other:81/a HTTP/1.1")
    assert found == ["other:81"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(b"abc-1.2:3/x=@~", True), (b"a" * 128, True), (b"a" * 129, False), (b"a b", False), (b'"', False)],
)
def test_a_plain_request_id_is_taken_over_and_another_one_made(seen, sent, kept):
    """It goes to the log and back to the client: nothing that could forge either."""
    found = seen(lambda r: (r.id, r.id), b"GET / HTTP/1.1", b"X-Request-ID: " + sent)
    assert found[0] == found[1]
    assert found[0].encode() == sent if kept else len(found[0]) == 16


def test_json_is_read_and_malformed_json_is_400(seen):
    """Also where it is only too deep."""
    assert seen(lambda r: r.json(), b"POST / HTTP/1.1", body=b'{"a": [1, null]}') == {"a": [1, None]}
    for body in (b"", b"{", b"[" * 200_000, b"\xff"):
        lines = [b"Content-Length: 0"] if not body else []
        answer = seen(lambda r: r.json(), b"POST / HTTP/1.1", *lines, body=body)
        assert answer.startswith(b"HTTP/1.1 400 ") and answer.endswith(b"the body is not JSON\n")


def test_the_body_is_a_file(seen):
    """Lines, pieces, json.load; nothing where there is none."""
    body = b'{"a":\n1}\n'
    assert seen(lambda r: list(r.body), b"POST / HTTP/1.1", body=body) == [b'{"a":\n', b"1}\n"]
    assert seen(lambda r: json.load(r.body), b"POST / HTTP/1.1", body=body) == {"a": 1}
    assert seen(lambda r: (r.body.read(3), r.body.readline(), r.body.read()), b"POST / HTTP/1.1", body=body) == (
        b'{"a', b'":\n', b"1}\n",
    )  # fmt: skip
    assert seen(lambda r: (r.body.read(), r.body.readline()), b"GET / HTTP/1.1") == (b"", b"")


def test_a_large_body_is_a_file_that_reads_the_connection(seen):
    """With the same face, to its end and not beyond."""
    body = b"x" * 99_999 + b"\n"
    for read in (lambda f: f.read(), lambda f: b"".join(f), lambda f: b"".join(iter(lambda: f.read(4321), b""))):
        assert seen(lambda r, read=read: (read(r.body), r.body.read(1)), b"POST / HTTP/1.1", body=body * 5) == (
            body * 5, b"",
        )  # fmt: skip


def test_a_body_beyond_its_limit_is_413_before_the_run(seen):
    """-max-body."""
    answer = seen(lambda r: r.body.read(), b"POST / HTTP/1.1", body=b"x" * 11, settings=Settings(max_body=10))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_the_rest_of_it(seen):
    """Method and version as sent, the peer as it is, a repr for a log."""
    found = seen(lambda r: (r.method, r.version, r.client, repr(r)), b"pUt /a?b HTTP/1.0", b"X-Forwarded-For: 9.9.9.9")
    assert found == ("pUt", "HTTP/1.0", ("192.0.2.1", 1234), "<Request pUt /a?b>")
