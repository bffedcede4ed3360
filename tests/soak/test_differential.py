"""Our parser beside h11 and llhttp on random streams: the same requests, but for the differences listed here.

EFFE_TEST_SECONDS is how long (120). EFFE_TEST_SEED begins elsewhere, 0 anywhere: what is new
is found by who looks for it, and not by whoever changes something else. A failure names its seed.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from .peers import Llhttp, Reading, read, read_by_h11
from .streams import next_stream

SECONDS = float(os.environ.get("EFFE_TEST_SECONDS", "120"))
SEED = int(os.environ.get("EFFE_TEST_SEED", "1")) or time.time_ns()
BATCH = 500
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "server.md"
LLHTTP_METHODS = (
    "ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY "
    "OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK "
    "UNLOCK UNSUBSCRIBE"
).replace(" ", "|")

# What is refused here, by the message of the refusal, though h11 or llhttp takes it.
STRICTER = {
    "malformed request line": (
        "a request line with a bare LF or CR, a second space or a malformed version",
        "9112 2.2, 3",
    ),
    "malformed header field": (
        "a field with a bare LF or CR, a space before the colon, a control, or a name that is not a token",
        "9112 2.2, 5",
    ),
    "folded header field": ("a folded field", "9112 5.2"),
    "a request begins with its request-line": ("more than one empty line before a request", "9112 2.2"),
    "exactly one valid Host is required": ("no Host, two, or a malformed one", "9112 3.2, 9110 7.2"),
    "malformed request target": ("a target that is not of one of the four forms", "9112 3.2"),
    "`*` is a target of OPTIONS only": ("`*` as a target of other methods", "9112 3.2.4"),
    "CONNECT is not served": ("CONNECT", "9110 9.3.6"),
    "HTTP/1.1 is spoken here": ("another major version", "9110 15.6.6"),
    "both Content-Length and Transfer-Encoding": ("a length together with chunks", "9112 6.1"),
    "malformed Content-Length": ("two lengths, equal or not, or a malformed one", "9112 6.3"),
    "malformed Transfer-Encoding": ("two lines of Transfer-Encoding, or an empty one", "9112 6.1"),
    "the only transfer coding served is chunked": ("another transfer coding", "9112 6.1"),
    "Transfer-Encoding in a request of HTTP/1.0": ("Transfer-Encoding in HTTP/1.0", "9112 6.1"),
    "malformed chunk size": (
        "a chunk line with a blank before `;`, a bare LF or CR, or an extension without a name",
        "9112 7.1",
    ),
    "malformed trailer": ("a malformed or folded trailer field", "9112 7.1.2"),
    "close": ("another request behind one of HTTP/1.0 with keep-alive", "9112 9.3"),
}


@dataclass(frozen=True)
class Laxer:
    """What is taken here though a peer refuses it.

    `why` is an expression for the peer's reason; `where` one for our request (method, target, octets of the body), a
    line, and behind it the stream.
    """

    peer: str
    what: str
    rfc: str
    why: str
    where: str


NOT_ASCII = r"\A[^ ]+ [^ ]*[\x80-\xff]"
LENGTHS = "CONTENT_LENGTH|TRANSFER_ENCODING"
FRAMING = r"(?i:content-length|transfer-encoding):"
LAXER = [
    Laxer("h11", "octets above 0x7f in a target", "3986 2", "illegal request line", NOT_ASCII),
    Laxer("h11", "one empty line before a request", "9112 2.2", "no request line", r"(?s)\A([^ ]+) .*\r\n\1 "),
    Laxer(
        "h11",
        "a malformed length or coding in a trailer, which is dropped",
        "9110 6.5.1",
        "Content-Length|Transfer-Encoding",
        r"(?is)\r\n0+(;[^\r\n]*)?\r\n.*?(content-length|transfer-encoding):",
    ),
    Laxer("llhttp", "a method not in its list", "9110 9.1", "METHOD|VERSION|CONSTANT", rf"\A(?!({LLHTTP_METHODS}) )"),
    Laxer("llhttp", "HTTP/1.2 to HTTP/1.9", "9110 2.5", "VERSION", r" HTTP/1\.[2-9]\r"),
    Laxer("llhttp", "octets above 0x7f in a target", "3986 2", "INVALID_URL", NOT_ASCII),
    Laxer("llhttp", "a tab behind a length or a coding", "9110 5.5", LENGTHS, rf"\n{FRAMING}[^\r]*\t *\r"),
    Laxer(
        *("llhttp", "a length or a coding in a trailer, which is dropped", "9110 6.5.1", LENGTHS),
        rf"\n0+(;[^\r]*)?\r\n([^\r]+\r\n)*?{FRAMING}",
    ),
    Laxer(
        *("llhttp", "blanks and any visible octets in a chunk extension", "9112 7.1.1", "STRICT|CHUNK"),
        r"\n[0-9a-fA-F]+;[^\r]+\r",
    ),
    Laxer("llhttp", "what comes behind a request for an upgrade", "9110 7.8", "upgrade", r"\n(?i:upgrade):"),
]


def difference(stream: bytes, ours: Reading, peer: str, theirs: Reading) -> str:
    """Name the difference, "" where there is none. Raises AssertionError for one that is not listed."""
    same = 0
    for mine, other in zip(ours[0], theirs[0], strict=False):
        if mine != other:
            break
        same += 1
    mine, other = ours[0][same:], theirs[0][same:]
    if not mine and not other:
        return ""
    assert not (mine and other), f"{peer} frames otherwise"
    if other:
        assert ours[1] in STRICTER, f"{peer} goes on, and here it ends with {ours[1]!r}"
        return STRICTER[ours[1]][0]
    method, target, body = mine[0]
    text = f"{method} {target} {len(body)}\n{stream.decode('latin-1')}"
    named = [
        one.what for one in LAXER if one.peer == peer and re.search(one.why, theirs[1]) and re.search(one.where, text)
    ]
    assert named, f"{peer} refuses it: {theirs[1]}"
    return named[0]


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 300)
def test_requests_are_those_that_h11_and_llhttp_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Each stream whole and in pieces; a legal one is read by all three to its end."""
    random, llhttp = Random(SEED), Llhttp()
    counts: Counter[str] = Counter()
    differences: Counter[tuple[str, str]] = Counter()
    until = time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            batch = [next_stream(random) for _ in range(BATCH)]
            llhttp.send([stream for stream, _ in batch])
            read_here = []
            for stream, _ in batch:
                ours = read(stream)
                cuts = sorted(random.randrange(len(stream) + 1) for _ in range(3))
                assert read(stream, cuts)[0] == ours[0], (SEED, stream, cuts)
                read_here.append((ours, read_by_h11(stream)))
            for (stream, legal), (ours, h11), other in zip(batch, read_here, llhttp.receive(BATCH), strict=True):
                counts["streams"] += 1
                counts["requests"] += len(ours[0])
                for peer, theirs in (("h11", h11), ("llhttp", other)):
                    try:
                        differences[peer, difference(stream, ours, peer, theirs)] += 1
                    except AssertionError as error:
                        pytest.fail(f"{error}\nseed {SEED}\n{stream!r}\nhere: {ours}\n{peer}: {theirs}")
                if legal:
                    counts["legal streams"] += 1
                    assert len(ours[0]) == len(h11[0]) == len(other[0]) == legal, (SEED, stream, ours, h11, other)
    finally:
        llhttp.close()
    assert counts["legal streams"] > counts["streams"] // 100
    with capsys.disabled():
        print(f"\n{dict(counts)}, seed {SEED}")
        for (peer, what), count in sorted(differences.items()):
            print(f"  {peer}: {count} {what or 'alike'}")


def test_the_page_of_the_server_lists_the_differences() -> None:
    """Each of them, with its paragraph."""
    page = PAGE.read_text()
    for what, rfc in STRICTER.values():
        assert f"| {what} | {rfc} |" in page
    for one in LAXER:
        assert f"| {one.what} | {one.peer} | {one.rfc} |" in page
