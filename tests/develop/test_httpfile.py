"""Saved requests: the .http files of editors."""

import pytest

from effetool.develop.httpfile import Saved, read_http_file
from effetool.errors import UsageError


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "events.http"
        path.write_text(text)
        return read_http_file(path)

    return read


def test_one_line_is_a_request(read):
    """A path alone is a GET; METHOD, URL and version may stand on the line."""
    assert read("/") == [Saved("GET", "/")]
    assert read("GET /a?b=1 HTTP/1.1\n") == [Saved("GET", "/a?b=1")]


def test_fields_blank_line_body(read):
    """The body is what follows the blank line, without the blank lines at its end."""
    saved = read('POST /\nContent-Type: application/json\nX-Two:2\n\n{"a":\n\n 1}\n\n\n')
    assert saved == [Saved("POST", "/", (("Content-Type", "application/json"), ("X-Two", "2")), b'{"a":\n\n 1}')]


def test_several_requests_names_comments_and_variables(read):
    """### begins a request and names it, # @name does too; a variable holds from its line on."""
    saved = read(
        "@who = world\n# comment\n### hello\nGET /{{who}}\n// comment\nX: {{ who }}\n\n###\n# @name second\n"
        "DELETE http://user@example.org:81/x?y\n    &z={{who}}\n###\n# nothing here\n"
    )
    assert saved == [
        Saved("GET", "/world", (("X", "world"),), b"", "hello"),
        Saved("DELETE", "/x?y&z=world", (("Host", "example.org:81"),), b"", "second"),
    ]


def test_a_body_from_a_file(read, tmp_path):
    """`< ./file` is that file's bytes, found from where the .http file is."""
    (tmp_path / "body.bin").write_bytes(b"\0\xff")
    assert read("PUT /\n\n< ./body.bin\n")[0].body == b"\0\xff"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "no request"),
        ("# only a comment", None, "no request"),
        ("get /", 1, "no request line"),
        ("GET path", 1, "no path"),
        ("GET /\nno field", 2, "no header field"),
        ("GET /{{missing}}", 1, "no variable 'missing'"),
        ("GET /\n\n< ./missing", 3, "cannot read"),
        ("GET /\n\nbody\n> {% client.log() %}", 4, "an editor's script"),
    ],
)
def test_faults_have_a_place(read, text, line, message):
    """What cannot be sent is refused at its line."""
    with pytest.raises(UsageError, match=message) as caught:
        read(text)
    assert caught.value.code == "E153"
    assert line is None or caught.value.place.line == line


def test_what_dev_records_reads_the_same(tmp_path):
    """Each request that --record saved is the request again, whatever its body holds."""
    from types import SimpleNamespace

    from effetool.develop.record import Recorder

    bodies = [b"", b"text\nlines", b"\0\xff", b"### no separator", b"{{no}} variable", b"ends\n", b"< ./x", b"a\r\nb"]
    recorder = Recorder(str(tmp_path / "events"))
    for body in bodies:
        request = SimpleNamespace(method="POST", target="/a?b=1", path="/a", headers={"X": "1", "Content-Length": "9"})
        path = recorder.record(request, body)
        assert read_http_file(tmp_path / path) == [Saved("POST", "/a?b=1", (("X", "1"),), body)]


def test_a_recorded_path_stays_in_its_directory(tmp_path):
    """A client that asks for ../../etc names no file elsewhere."""
    from types import SimpleNamespace

    from effetool.develop.record import Recorder

    request = SimpleNamespace(method="GET", target="/../../etc/x", path="/../../etc/x", headers={})
    path = Recorder(str(tmp_path / "events")).record(request, b"")
    assert path == str(tmp_path / "events" / "get-etc-x-1.http")
