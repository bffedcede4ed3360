"""What an author writes into a response, and the bytes it becomes (effetool/runtime/contract/response.py)."""

import csv
import http
import io
import re

import pytest

GET = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@pytest.fixture
def written(inside):
    """Run a function on a response; return status, fields (lower-case) and body of the answer."""

    def ask(write, request=GET):
        raised = []

        def run(context, error, response, request):
            try:
                write(response)
            except BaseException as error:
                raised.append(error)
                raise

        head, _, body = inside(run)(request).partition(b"\r\n\r\n")
        if raised:
            return raised[0]
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {}
        for line in lines:
            name, _, value = line.partition(": ")
            fields.setdefault(name.lower(), []).append(value)
        return int(first.split()[1]), fields, body

    return ask


@pytest.mark.parametrize(
    ("write", "kind", "body"),
    [
        (lambda r: r.write("ü"), "text/plain; charset=utf-8", "ü".encode()),
        (lambda r: r.write(b"\xff"), "application/octet-stream", b"\xff"),
        (lambda r: r.write(bytearray(b"x")), "application/octet-stream", b"x"),
        (lambda r: r.write(memoryview(b"x")), "application/octet-stream", b"x"),
        (lambda r: (r.write("a"), r.write(b"b")), "text/plain; charset=utf-8", b"ab"),
        (lambda r: r.json({"ü": [1, None]}), "application/json", '{"ü":[1,null]}'.encode()),
        (lambda r: (r.write(""), r.json(1)), "application/json", b"1"),
        (lambda r: r.writelines(["a", "b"]), "text/plain; charset=utf-8", b"ab"),
        (lambda r: print("a", 1, file=r), "text/plain; charset=utf-8", b"a 1\n"),
        (lambda r: csv.writer(r).writerow([1, "a,b"]), "text/plain; charset=utf-8", b'1,"a,b"\r\n'),
        (lambda r: io.TextIOWrapper(io.BufferedWriter(r)).write("x"), "application/octet-stream", b"x"),
        (lambda r: (r.headers.__setitem__("Content-Type", "text/html"), r.write("x")), "text/html", b"x"),
    ],
)
def test_it_is_a_file(written, write, kind, body):
    """What works with files works with it; the first write says the type, the author's word beats it."""
    status, fields, sent = written(write)
    assert (status, fields["content-type"], sent) == (200, [kind], body)
    assert fields["content-length"] == [str(len(body))]


def test_closing_it_ends_nothing(written):
    """As `with` does with what wraps it."""

    def write(response):
        with io.TextIOWrapper(io.BufferedWriter(response)) as file:
            file.write("a")
        response.write(f"b{response.closed}".encode())

    assert written(write)[2] == b"abTrue"


@pytest.mark.parametrize("data", [None, 1, [b"x"], object()])
def test_what_is_neither_text_nor_bytes_raises(written, data):
    """str(x) of it would be a silent mistake."""
    assert isinstance(written(lambda r: r.write(data)), TypeError)


@pytest.mark.parametrize("status", [100, 199, 600, 0, -1, "200", 200.0, None])
def test_a_status_is_a_number_from_200_to_599(written, status):
    """RFC 9110 15; 1xx are no answers."""
    assert isinstance(written(lambda r: setattr(r, "status", status)), ValueError)


def test_a_status_may_be_any_of_them(written):
    """With its phrase, or without one (RFC 9112 4)."""
    assert written(lambda r: setattr(r, "status", http.HTTPStatus.IM_A_TEAPOT))[0] == 418
    assert written(lambda r: setattr(r, "status", 599))[0] == 599


@pytest.mark.parametrize(
    ("status", "method", "length", "body"),
    [
        (200, b"HEAD", ["5"], b""),
        (204, b"GET", None, b""),
        (304, b"GET", None, b""),
        (404, b"HEAD", ["5"], b""),
        (205, b"GET", ["0"], b""),
    ],
)
def test_bodies_are_left_out_where_there_is_none(written, status, method, length, body):
    """RFC 9110 6.4.1: HEAD, 204 and 304; 8.6: no Content-Length in a 204; 15.3.6: a 205 has no content."""

    def write(response):
        response.status = status
        response.write("hello")

    found = written(write, method + GET[3:])
    assert (found[0], found[1].get("content-length"), found[2]) == (status, length, body)


def test_a_205_that_streams_has_no_body(written):
    """RFC 9110 15.3.6: Content-Length: 0 however much is written, and no chunks."""

    def write(response):
        response.status = 205
        response.write("x" * 300_000)

    found = written(write)
    assert (found[0], found[1]["content-length"], found[2]) == (205, ["0"], b"")
    assert "transfer-encoding" not in found[1]


def test_head_may_say_a_length_without_writing_it(written):
    """RFC 9110 9.3.2: what a GET would have sent."""
    found = written(lambda r: r.headers.__setitem__("Content-Length", 1000), b"HEAD" + GET[3:])
    assert (found[1]["content-length"], found[2]) == (["1000"], b"")


def test_fields_replace_and_are_added(written):
    """And the server's own may be set, once."""

    def write(response):
        response.headers["X-A"] = "1"
        response.headers["x-a"] = 2
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        response.headers["Server"] = "mine"
        response.headers["Date"] = "Thu, 01 Jan 1970 00:00:00 GMT"

    fields = written(write)[1]
    assert fields["x-a"] == ["2"] and fields["set-cookie"] == ["a=1", "b=2"]
    assert fields["server"] == ["mine"] and fields["date"] == ["Thu, 01 Jan 1970 00:00:00 GMT"]


def test_every_answer_has_date_and_server(written):
    """RFC 9110 6.6.1; the name without a version."""
    fields = written(lambda r: None)[1]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", fields["date"][0])
    assert fields["server"] == ["effe"] and fields["content-length"] == ["0"]


def test_the_request_id_comes_back(written):
    """Where the client sent one; not where the author sets another."""
    request = GET[:-2] + b"X-Request-ID: me\r\n\r\n"
    assert written(lambda r: None, request)[1]["x-request-id"] == ["me"]
    assert written(lambda r: r.headers.__setitem__("X-Request-ID", "other"), request)[1]["x-request-id"] == ["other"]


@pytest.mark.parametrize(
    ("request_line", "sent"),
    [(b"GET / HTTP/1.1", b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), (b"GET / HTTP/1.0", b"abc"), (b"HEAD / HTTP/1.1", b"")],
)
def test_after_flush_it_streams(written, request_line, sent):
    """RFC 9112 7.1 chunks; for HTTP/1.0 the end of the connection ends it; a HEAD has none."""

    def write(response):
        response.write("a")
        assert not response.started
        response.flush()
        assert response.started
        response.write("")
        response.write("bc")

    status, fields, body = written(write, GET.replace(b"GET / HTTP/1.1", request_line))
    assert (status, body) == (200, sent)
    assert ("transfer-encoding" in fields) == (b"HTTP/1.1" in request_line)


def test_a_declared_length_streams_without_chunks(written):
    """As many octets as were said."""

    def write(response):
        response.headers["Content-Length"] = 6
        response.write("abc")
        response.flush()
        response.write("def")

    _, fields, body = written(write)
    assert (fields["content-length"], body, "transfer-encoding" in fields) == (["6"], b"abcdef", False)


def test_what_is_written_in_many_pieces_streams_by_itself(written):
    """Beyond 256 KiB, so that memory does not fill."""

    def write(response):
        for _ in range(40):
            response.write(b"x" * 10_000)
        assert response.started

    _, fields, body = written(write)
    assert "transfer-encoding" in fields and body.count(b"x") == 400_000 and body.endswith(b"\r\n0\r\n\r\n")


def test_connection_close_is_the_authors_to_say(inside):
    """RFC 9112 9.6; other options are the server's."""

    def run(context, error, response, request):
        response.headers["Connection"] = "close" if request.path == "/close" else "keep-alive, X-A"

    talk = inside(run)
    answer = talk(
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /close HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"
    )
    assert (
        answer.count(b"HTTP/1.1 200") == 2 and answer.count(b"Connection: close") == 1 and b"keep-alive" not in answer
    )


def test_a_file_that_wraps_it_may_ask(written):
    """io's questions have answers."""
    found = []
    written(lambda r: found.append((r.writable(), r.readable(), r.seekable(), r.closed, repr(r))))
    assert found == [(True, False, False, False, "<Response 200>")]
