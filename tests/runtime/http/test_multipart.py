"""Multipart forms (effetool/runtime/http/multipart.py): what is read, what is refused, what is bounded. Pure: no
sockets."""

import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effetool.runtime.errors import HTTPError
from effetool.runtime.http.multipart import MAX_HEADER, MAX_KEPT, parameters, read_multipart
from effetool.runtime.http.query import MAX_FIELDS
from effetool.runtime.http.upload import MAX_HELD

TEXT = b'Content-Disposition: form-data; name="a"'
FILE = b'Content-Disposition: form-data; name="f"; filename="x.txt"'


class Dripping(io.RawIOBase):
    """A body that comes in pieces of random sizes."""

    def __init__(self, data, sizes):
        self.data, self.sizes = io.BytesIO(data), iter(sizes)

    def read(self, size=-1):
        return self.data.read(min(size, next(self.sizes, size)))


def part(content, *lines):
    return b"--b\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + content + b"\r\n"


def form(*parts, end=b"--b--\r\n"):
    return b"".join(parts) + end


def read(body, boundary="b"):
    fields, files = read_multipart(io.BytesIO(body), boundary)
    return fields, [(name, each.filename, each.content_type, each.file.read()) for name, each in files]


def refused(body, boundary="b"):
    with pytest.raises(HTTPError) as caught:
        read(body, boundary)
    return caught.value.status


def test_fields_and_files_come_apart():
    """RFC 7578 4.2: a part with a file name is a file, of the type it says; order and repeats stay."""
    body = form(
        part(b"one", TEXT),
        part("zwölf".encode(), TEXT),
        part(b"\x00\r\n--\r\n", FILE, b"Content-Type: image/png"),
        part(b"", b'CONTENT-DISPOSITION:form-data;name=f;filename="y"'),
    )
    assert read(body) == (
        [("a", "one"), ("a", "zwölf")],
        [("f", "x.txt", "image/png", b"\x00\r\n--\r\n"), ("f", "y", "application/octet-stream", b"")],
    )


def test_no_file_chosen_is_no_file():
    """A browser sends an empty part without a name for it."""
    assert read(form(part(b"", b'Content-Disposition: form-data; name="f"; filename=""'))) == ([], [])


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (rb'filename="a b.txt"', "a b.txt"),
        (rb'filename="../../etc/passwd"', "passwd"),
        (rb'filename="C:\dir\x.txt"', "x.txt"),
        (rb'filename="say \"hi\".txt"', 'say "hi".txt'),
        (rb'filename=".."', ""),
        (rb'filename="a/"', ""),
        (rb"filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
        (rb"filename=x; filename*=utf-8'de'%C3%A4%2F..%2Fb", "b"),
        ('filename="naïve\u202f.txt"'.encode(), "naïve\u202f.txt"),
        (b'filename="\xff"', "\ufffd"),
    ],
)
def test_a_file_name_is_a_name(sent, name):
    """RFC 7578 4.2: directories are not used; RFC 8187 for those who send what they should not."""
    ((_, found, _, _),) = read(form(part(b"x", b"Content-Disposition: form-data; name=f; " + sent)))[1]
    assert found == name


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Content-Disposition: form-data",
        b'Content-Disposition: attachment; name="a"',
        b'Content-Disposition: form-data; name="a"; name="b"',
        b'Content-Disposition: form-data; name="a',
        b'Content-Disposition: form-data; name="a"b"',
        b'Content-Disposition: form-data; name="a\\"; filename="x"',
        b'Content-Disposition: form-data; name="a" filename="x"',
        b"Content-Disposition: form-data; name*=utf-8''a",
        b'Content-Disposition: form-data; name=a; filename="a\xe2\x80\xa8b"',
        b"Content-Disposition: form-data; name=a; filename*=utf-8''a%00b",
        b"Content-Disposition: form-data; name=a; filename*=utf-8''a%0d%0ab",
        b"Content-Disposition: form-data; name=a; filename*=utf-8''%ff",
        b"Content-Disposition: form-data; name=a; filename*=latin-1''x",
        TEXT + b"\r\n" + TEXT,
        TEXT + b"\r\n folded",
        TEXT + b"\r\nno colon",
        TEXT + b"\r\nX : 1",
        TEXT + b"\r\nX: \x00",
        TEXT + b"\nX: 1",
        b" " + TEXT,
    ],
)
def test_a_malformed_part_is_400(line):
    """What two readers could read in two ways is refused, as in a request's own head."""
    assert refused(form(part(b"x", *([line] if line else [])))) == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"--b\r\n",
        b"--b\r\n\r\n",
        form(part(b"x", TEXT), end=b""),
        form(part(b"x", TEXT), end=b"--b"),
        form(part(b"x", TEXT), end=b"--b-"),
        form(part(b"x", TEXT), end=b"--bb--\r\n"),
        form(part(b"x", TEXT), end=b"--b--x\r\n"),
        form(part(b"x", TEXT), end=b"--b--" + b" " * 200),
        b"--b\n" + TEXT + b"\n\nx\n--b--\n",
        b"--b\r\n" + TEXT + b"\r\n\r\n--b--\r\n",
        b"no delimiter",
    ],
)
def test_a_malformed_frame_is_400(body):
    """RFC 2046 5.1.1: a form that is cut short never looks complete, and a delimiter is a whole line."""
    assert refused(body) == 400


def test_the_frame_may_have_what_the_rfc_allows():
    """RFC 2046 5.1.1: a preamble, white space behind a delimiter, no line end at the end, or an epilogue."""
    inner = part(b"x", TEXT)
    for body in (
        form(b"a preamble\r\n", inner),
        form(b"\r\n", inner),
        form(inner.replace(b"--b\r\n", b"--b \t\r\n")),
        form(inner, end=b"--b--"),
        form(inner, end=b"--b-- \t"),
        form(inner, end=b"--b--\r\nan epilogue --b"),
    ):
        assert read(body) == ([("a", "x")], [])
    assert read(form()) == ([], [])


@pytest.mark.parametrize("boundary", ["", " ", "a ", "a" * 71, "a\r\nb", 'a"b', "ä"])
def test_a_malformed_boundary_is_400(boundary):
    """RFC 2046 5.1.1: 1 to 70 characters of a small set, the last no space."""
    assert refused(b"", boundary) == 400


def test_an_encoded_part_is_415():
    """RFC 7578 4.7: not to be used; base64 that is taken for the content would be a silent mistake."""
    assert refused(form(part(b"eA==", TEXT, b"Content-Transfer-Encoding: base64"))) == 415
    assert read(form(part(b"x", TEXT, b"Content-Transfer-Encoding: 8bit")))[0] == [("a", "x")]


def test_everything_that_grows_has_an_end():
    """The parts, a header, what is kept in memory; the disk is bounded by -max-body."""
    assert len(read(form(*[part(b"", TEXT)] * MAX_FIELDS))[0]) == MAX_FIELDS
    assert refused(form(*[part(b"", TEXT)] * (MAX_FIELDS + 1))) == 400
    assert refused(form(part(b"", TEXT, b"X: " + b"x" * MAX_HEADER))) == 400
    assert refused(form(part(b"", TEXT, *[b"X-%d: 1" % i for i in range(1000)]))) == 400
    assert refused(form(part(b"x" * MAX_KEPT, TEXT))) == 413
    assert refused(form(*[part(b"x" * (MAX_KEPT // 4), TEXT)] * 4)) == 413
    assert refused(form(*[part(b"", FILE, b"X: " + b"x" * (MAX_HEADER - 200))] * 200)) == 413


def test_a_large_file_goes_to_the_disk():
    """Thirty megabytes of two files cost no more memory than the pieces in hand."""
    one, two = b"1" * 20_000_000, b"2" * 10_000_000
    body = io.BytesIO(form(part(one, FILE), part(two, FILE)))
    tracemalloc.start()
    _, files = read_multipart(body, "b")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MAX_HELD + 1_000_000
    assert [each.size for _, each in files] == [20_000_000, 10_000_000]
    assert files[1][1].file.read() == two and files[0][1].file.read() == one


def test_errors_of_the_body_pass():
    """A body that stalls or is too large has its own status."""

    class Stalled(io.RawIOBase):
        def __init__(self):
            self.begun = False

        def read(self, size=-1):
            if self.begun:
                raise HTTPError(408, "the body has stalled")
            self.begun = True
            return form(part(b"x", TEXT), end=b"--b--")

    with pytest.raises(HTTPError) as caught:
        read_multipart(Stalled(), "b")
    assert caught.value.status == 408


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("form-data", ("form-data", {})),
        ("Form-Data ; a=b;", ("form-data", {"a": "b"})),
        (r'x; A="b;c\"d"; e=f', ("x", {"a": 'b;c"d', "e": "f"})),
    ],
)
def test_parameters_are_split(text, value):
    """RFC 9110 5.6.6: names in any case, values quoted or not."""
    assert parameters(text) == value


# A boundary's look-alikes, line ends and dashes: what a search for delimiters could trip over.
NASTY = st.lists(
    st.sampled_from([b"--b", b"\r\n", b"\r", b"\n", b"-", b"--", b"b", b"\r\n-", b"\r\n--", b"\x00", b"x" * 70]),
    max_size=12,
).map(b"".join)
CONTENT = st.one_of(NASTY, st.binary(max_size=300)).filter(lambda data: b"\r\n--b" not in b"\r\n" + data + b"\r")
PARTS = st.lists(st.tuples(st.booleans(), CONTENT), max_size=6)


@given(PARTS, st.lists(st.integers(1, 90), max_size=200))
def test_what_was_written_is_read_however_it_comes(parts, sizes):
    """Any content without the delimiter, in pieces of any sizes."""
    body = form(*[part(content, FILE if file else TEXT) for file, content in parts])
    fields, files = read_multipart(Dripping(body, sizes), "b")
    assert [value for _, value in fields] == [content.decode("utf-8", "replace") for file, content in parts if not file]
    assert [each.file.read() for _, each in files] == [content for file, content in parts if file]


PIECES = st.sampled_from(
    [b"--b\r\n", b"--b--\r\n", b"--b--", b"--b", b"\r\n", b"\n", b"\r", TEXT, FILE, TEXT + b"\r\n\r\n",
     FILE + b"\r\n\r\n", b"x", b": ", b'"', b"; filename*=utf-8''%0a", b"Content-Transfer-Encoding: base64\r\n",
     b"\xff\x00", b" "]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=14).map(b"".join), st.lists(st.integers(1, 9), max_size=200))
def test_a_hostile_body_has_one_reading_or_none(body, sizes):
    """The same fields and files, or the same refusal, for any split of it; never another exception."""

    def reading(source):
        try:
            fields, files = read_multipart(source, "b")
        except HTTPError as error:
            return error.status
        return fields, [(name, each.filename, each.file.read()) for name, each in files]

    assert reading(Dripping(body, sizes)) == reading(io.BytesIO(body))
