"""Fuzz what reads bytes from the wire, guided by coverage; the suite's own share is hypothesis.

    pip install atheris
    python -m tests.runtime.fuzz CORPUS -max_total_time=3600

CORPUS is a directory that keeps what was found interesting; the rest are libFuzzer's options. An input that breaks a
rule below is written to ./crash-*: it becomes a case of the tests. With that file as CORPUS it is run again.
"""

import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["effetool.runtime"]):
    from effetool.runtime.errors import HTTPError
    from effetool.runtime.http import body, form, multipart, parser, query

    from .reading import LIMITS, Go, requests
from .test_reading import STREAMS, excused

GO = Go(tempfile.mkdtemp()) if shutil.which("go") else None
FIELDS = ("_minor", "_block", "_low", "close", "end", "expects", "length", "method", "named", "path", "target")


def one(data: bytes) -> None:
    """Take the first octets for the choice of a rule and the places to cut; the rest is what comes."""
    if len(data) < 6:
        return
    kind, *cuts = data[:5]
    stream = data[5:]
    if kind < 192:
        reads(stream, cuts)
    elif kind < 224:
        submits(stream, kind % 2)
    else:
        query.parse(stream)


def reads(stream: bytes, cuts: list[int]) -> None:
    """Have one reading of a stream however it is split, by either expression, and never a request Go does not see."""
    whole, status = requests(stream)
    split, split_status = requests(stream, sorted(min(cut * 2, len(stream)) for cut in cuts))
    assert whole == split, (whole, split)
    assert status == split_status or (isinstance(status, int) and isinstance(split_status, int)), (status, split_status)
    text = stream.decode("latin-1")
    usual, general = read(parser.parse_head, text), read(parser._parse_any, text)
    assert usual == general, (usual, general)
    if GO is not None and whole:
        go = GO.requests(stream)
        for number, request in enumerate(whole):
            if number >= len(go) or go[number] != request:
                assert excused(stream, request), (whole, go)
                break


def read(parse: object, text: str) -> object:
    """Return the fields of the first head, or the status of its refusal."""
    try:
        head = parse(text, 0, LIMITS, parser.Head)
    except HTTPError as error:
        return error.status
    return head and [getattr(head, name) for name in FIELDS]


def submits(stream: bytes, chunked: int) -> None:
    """Read a form: an error of the client's is an HTTPError; no other one comes."""
    with contextlib.suppress(HTTPError):
        if chunked:
            incoming = body.Incoming(parser.CHUNKED, 1 << 20, 1 << 15)
            incoming.feed(stream, 0)
        form.read_form(["multipart/form-data; boundary=b"], io.BytesIO(stream))
    with contextlib.suppress(HTTPError):
        form.read_form(["application/x-www-form-urlencoded"], io.BytesIO(stream))
    with contextlib.suppress(ValueError):
        multipart.parameters(stream.decode("latin-1"))


def main() -> None:
    """Begin with the streams of the tests."""
    corpus = next((Path(word) for word in sys.argv[1:] if not word.startswith("-")), None)
    if corpus is not None and not corpus.is_file():
        corpus.mkdir(parents=True, exist_ok=True)
        for number, (stream, _) in enumerate(STREAMS):
            (corpus / f"case-{number}").write_bytes(bytes([number % 192, 10, 20, 40, 80]) + stream)
        multi = b'--b\r\nContent-Disposition: form-data; name="a"; filename="x"\r\n\r\nvalue\r\n--b--\r\n'
        (corpus / "form").write_bytes(bytes([200, 0, 0, 0, 0]) + multi)
        (corpus / "query").write_bytes(bytes([230, 0, 0, 0, 0]) + b"a=%C3%BC&b=+&c")
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
