"""What is run of a byte stream, beside what Go's net/http runs of it: never more, and never another request.

`go_reads.json` holds streams with what Go 1.19 read in them. Where Go refuses or ends and this server goes on, the
request says why: the four differences in sixty thousand streams, none of which moves the place where a request begins.
EFFE_WRITE_CASES=1 asks Go again (it needs `go`).
"""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .reading import Go, requests

CASES = Path(__file__).with_name("go_reads.json")


def cases():
    return [
        (stream.encode("latin-1"), [tuple(each) for each in seen]) for stream, seen in json.loads(CASES.read_text())
    ]


STREAMS = cases()


@pytest.fixture(scope="module", autouse=True)
def asked_again(tmp_path_factory):
    """With EFFE_WRITE_CASES: have Go read the streams, and keep what it reads."""
    if os.environ.get("EFFE_WRITE_CASES"):
        go = Go(tmp_path_factory.mktemp("go"))
        STREAMS[:] = [(stream, go.requests(stream)) for stream, _ in STREAMS]
        go.close()
        rows = [json.dumps([stream.decode("latin-1"), seen]) for stream, seen in STREAMS]
        CASES.write_text("[\n" + ",\n".join(rows) + "\n]\n")


def excused(stream, request):
    """Whether Go refuses this request for what is no matter of framing."""
    method, target = request[0].encode(), bytes.fromhex(request[1])
    return (
        (method, target) == (b"OPTIONS", b"*")  # answered by the server itself
        or re.search(rb"%(?![0-9a-fA-F]{2})", target)  # Go parses the target as a URL; here it is opaque
        or re.search(rb"\nexpect:(?!\s*100-continue\s*\r)", stream.lower())  # 417, which RFC 9110 10.1.1 allows
        or b"\r\n" + method + b" " + target in stream  # RFC 9112 2.2: an empty line before it is ignored
    )


def test_no_request_is_run_that_go_does_not_run():
    """Smuggling needs a server that sees a request where another one sees none."""
    compared = 0
    for stream, go in STREAMS:
        seen, _ = requests(stream)
        for number, request in enumerate(seen):
            if number >= len(go) or go[number] != request:
                assert excused(stream, request), (stream, seen, go)
                break
            compared += 1
    assert compared > 200


def test_the_differences_are_the_known_ones():
    """Without them the streams prove more: most have none, and each difference occurs."""
    differing = [stream for stream, go in STREAMS if requests(stream)[0] != go[: len(requests(stream)[0])]]
    assert 3 < len(differing) < len(STREAMS) // 10


@settings(max_examples=300)
@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 700), max_size=8), st.data())
def test_a_stream_has_one_reading_however_it_is_split_and_mended(case, cuts, data):
    """The requests are the same for any split of it, also after a change somewhere."""
    stream = case[0]
    place = data.draw(st.integers(0, len(stream)))
    width = data.draw(st.sampled_from([0, 0, 1, 2]))
    put = data.draw(
        st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"\0", b":", b"0", b"\xff", b"Content-Length: 3\r\n"])
    )
    stream = stream[:place] + put + stream[place + width :]
    whole, split = requests(stream), requests(stream, sorted(min(cut, len(stream)) for cut in cuts))
    assert whole[0] == split[0] and (whole[1] == split[1] or (isinstance(whole[1], int) and isinstance(split[1], int)))
