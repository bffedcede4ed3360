"""What a stranger sends is read in a time that grows with its size and no faster."""

import contextlib
import io
from time import thread_time

import pytest

from effetool.runtime import multipart, query
from effetool.runtime.body import Incoming
from effetool.runtime.errors import HTTPError
from effetool.runtime.wire import CHUNKED, Head, Limits, parse_head

LIMITS = Limits(32 * 1024, 8 * 1024, 100)
HEAD = LIMITS.head - 200
START = "POST / HTTP/1.1\r\n"


def head(text):
    with contextlib.suppress(HTTPError):
        parse_head(text, 0, LIMITS, Head)


def chunks(text):
    with contextlib.suppress(HTTPError):
        Incoming(CHUNKED, 1 << 20, LIMITS.head).feed(text.encode("latin-1"), 0)


def form(text):
    with contextlib.suppress(HTTPError):
        multipart.read_multipart(io.BytesIO(text.encode("latin-1")), "b")


def value(text):
    with contextlib.suppress(ValueError):
        multipart.parameters(text)


def fields(text):
    with contextlib.suppress(HTTPError):
        query.parse(text.encode("latin-1"))


# What reads it, the most octets it reads, and its worst shapes.
CASES = [
    (read, most, make)
    for read, most, makes in [
        (
            head,
            HEAD,
            [
                lambda n: START + "Host:" + " " * n + "!\r\n\r\n",
                lambda n: START + "Host:" + " " * n + "!",
                lambda n: START + "Host:" + " \t" * (n // 2) + "\x01\r\n\r\n",
                lambda n: START + "Host: h" + " " * n + "!\r\n\r\n",
                lambda n: START + "Host: " + "a" * n + "!!\r\n\r\n",
                lambda n: START + "Host: [" + ":" * n + "\r\n\r\n",
                lambda n: START + "Host: h:" + "1" * n + "x\r\n\r\n",
                lambda n: START + "Host: h\r\nContent-Length: 1\r\nExpect: x" + " " * n + "y\r\n\r\n",
                lambda n: START + "Host: h\r\nTransfer-Encoding: x" + " " * n + "y\r\n\r\n",
                lambda n: START + "Host: h\r\nContent-Length:" + " " * n + "x\r\n\r\n",
                lambda n: START + "Host: h\r\nContent-Length: 1" + " " * n + "x\r\n\r\n",
                lambda n: START + "Host: h\r\nContent-Length: " + "1" * n + "x\r\n\r\n",
                lambda n: START + "Host: h\r\nConnection:" + " " * n + "keep-alive x\r\n\r\n",
                lambda n: START + "Host: h\r\nConnection: " + "," * n + "\r\n\r\n",
                lambda n: START + "Host: h\r\n" + ("a:" + " " * (n // 90) + "\r\n") * 90 + "\x01",
                lambda n: START + "Host: h\r\na:" + " " * n,
                lambda n: "GET /" + "?" * n + "\r\n\r\n",
                lambda n: "GET /" + "%" * n + "\r\n\r\n",
                lambda n: "A" * n + "\r\n",
            ],
        ),
        (
            chunks,
            128 * 1024,
            [
                lambda n: "1\r\na\r\n" * (n // 6),
                lambda n: "1;" + " " * 900 + "\r\n",
                lambda n: "1;a" + " " * n,
                lambda n: "0\r\n" + "a:\r\n" * (n // 4),
                lambda n: "0\r\na:" + " " * n + "\x01",
            ],
        ),
        (
            form,
            multipart.MAX_HEADER - 100,
            [
                lambda n: "--b\r\na:" + " " * n + "\x01\r\n\r\n\r\n--b--",
                lambda n: '--b\r\nContent-Disposition: form-data; name="' + "\\" * n + "\r\n\r\n\r\n--b--",
            ],
        ),
        (
            value,
            HEAD,
            [
                lambda n: "a" + ";" * n + "x",
                lambda n: "a" + " " * n + "x",
                lambda n: 'a;b="' + "\\" * n,
                lambda n: "a" + "".join(f";{number:x}=" for number in range(n // 6)),
            ],
        ),
        (
            fields,
            256 * 1024,
            [
                lambda n: "%" * n,
                lambda n: "%41" * (n // 3),
                lambda n: "%4" * (n // 2),
                lambda n: "a&" * (n // 2),
                lambda n: "=" * n,
                lambda n: "+" * n,
            ],
        ),
    ]
    for make in makes
]


def cost(read, text):
    """Return seconds of processor time, the least of three."""
    spent = []
    for _ in range(3):
        begun = thread_time()
        read(text)
        spent.append(thread_time() - begun)
    return min(spent)


@pytest.mark.parametrize(("read", "most", "make"), CASES)
def test_the_time_grows_with_the_size(read, most, make):
    """Four times the octets take at most seven times as long, unless it is next to nothing; the limit, 50 ms here."""
    quarter, whole = (cost(read, make(size)) for size in (most // 4, most))
    assert whole < max(7 * quarter, 0.002), (quarter, whole)
    assert whole < 0.05, whole
