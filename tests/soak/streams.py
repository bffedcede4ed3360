"""Byte streams that a server might read as requests: mostly legal, with a mistake or two."""

from __future__ import annotations

from random import Random

from tests.runtime.test_reading import STREAMS

__all__ = ["next_stream"]

# Each list: the usual first, then what is odd. `pick` takes the usual one most of the time.
METHODS = [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"get", b"BREW", b"G@T", b"G", b"PRI", b""]
TARGETS = [
    *(b"/", b"/a?b=c", b"/%41%zz", b"*", b"http://h/p", b"/a#b", b"h:80", b"/\xff", b"/a b", b"/\t", b"//h/p", b"?a"),
    *(b"http://u@h/p", b"/\x00", b"/\x7f", b"", b'/"<>', b"/{|}\\^`"),
]
VERSIONS = [
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"http/1.1",
    b"HTTP/1.10",
    b"HTTP/01.1",
    b"ICE/1.0",
    b"",
]
ENDS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n", b""]
COLONS = [b": ", b":", b":\t ", b" : ", b":\x0b", b"\t:", b":\r\n ", b"=", b": \x00", b": \xa0"]
NAMES = [b"X", b"x-1_2", b"X Y", b"", b"X\x00", b"\xe9", b"X(", b"Upgrade", b"Keep-Alive", b"Trailer", b"TE", b"Expect"]
VALUES = [
    b"v",
    b"",
    b"a b",
    b"\xff",
    b"\x01",
    b"\x7f",
    b"100-continue",
    b"h2c",
    b"websocket",
    b"a\x00b",
    b"a\tb",
    b'"a, b"',
]
HOSTS = [
    *(
        b"h",
        b"h:80",
        b"",
        b"[::1]:8",
        b"h, i",
        b"h/i",
        b"u@h",
        b"a b",
        b"h:x",
        b"\xe9",
        b"[",
        b"h?",
        b"h#",
        b"h\\i",
        b"%41",
    ),
]
LENGTHS = [
    *(b"3", b"0", b"03", b"+3", b"-1", b"3, 3", b"3,4", b"0x3", b"3 ", b"", b"3;a", b"99999999999999999999", b"1e1"),
    *(b"3_0", b"\x0b3", b"\xb2", b"18446744073709551619", b"3\x00"),
]
CODINGS = [
    *(b"chunked", b"Chunked", b"gzip, chunked", b"chunked, chunked", b"identity", b"chunked, identity", b"xchunked"),
    *(b"chunked;a", b"chunked,", b",chunked", b"\x0bchunked", b"", b'"chunked"', b"gzip", b"chunked\x00", b"deflate"),
]
CONNECTIONS = [
    b"keep-alive",
    b"close",
    b"x, close",
    b"upgrade",
    b"close, keep-alive",
    b"Close",
    b"closed",
    b"\x0bclose",
]
SIZES = [
    *(b"3", b"003", b"0x3", b"3 ", b"+3", b"-3", b"3;a=b", b"3 ;a", b"3;", b'3;a="b"', b"3;a=\x00", b"3;\n", b"g", b""),
    *(b"3\t", b" 3", b"3_", b"ffffffffffffffffff", b"10000000000000003", b"3;a\rb", b'3;a="\r\n"', b"3;=", b"3; a"),
]
TRAILERS = [b"", b"X: y\r\n", b"X\r\n", b"X : y\r\n", b"Content-Length: 5\r\n", b" X: y\r\n", b"X: \x00\r\n", b"X: y\n"]
SPLICES = [
    *(b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b":", b"0", b"\xff", b"Content-Length: 3\r\n", b"\r\n\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"0\r\n\r\n",
        b",",
        b";",
        b"\x0b",
        b"\x85",
    ),
]


def pick(random: Random, options: list[bytes], odd: float) -> bytes:
    """Return the first option, or one of the others with the chance `odd`."""
    return options[int(random.random() * len(options))] if random.random() < odd else options[0]


def request(random: Random, odd: float) -> bytes:
    """Return one request; `odd` is the chance of each of its parts to be unusual."""
    chance = random.random
    end = pick(random, ENDS, odd / 4)
    lines = [b" ".join((pick(random, METHODS, odd * 2), pick(random, TARGETS, odd * 2), pick(random, VERSIONS, odd)))]
    fields = [b"Host" + pick(random, COLONS, odd) + pick(random, HOSTS, odd)] if chance() > odd / 4 else []
    body = b""
    kind = chance()
    if kind < 0.35:
        length = pick(random, LENGTHS, odd)
        fields.append(b"Content-Length" + pick(random, COLONS, odd) + length)
        body = b"abc" if chance() > odd else random.choice([b"", b"ab", b"abcd"])
        if length == b"0":
            body = b""
    elif kind < 0.75:
        fields.append(b"Transfer-Encoding" + pick(random, COLONS, odd) + pick(random, CODINGS, odd))
        for _ in range(random.choice([1, 1, 2])):
            data_end = pick(random, ENDS, odd / 4)
            body += pick(random, SIZES, odd) + pick(random, ENDS, odd / 4) + b"abc" + data_end
        body += random.choice([b"0", b"0", b"0", b"00", b"0;a"]) + b"\r\n" + pick(random, TRAILERS, odd) + b"\r\n"
    if chance() < odd:
        fields.append(b"Connection" + pick(random, COLONS, odd) + random.choice(CONNECTIONS))
    if chance() < odd:
        fields.append(random.choice(NAMES) + pick(random, COLONS, odd) + random.choice(VALUES))
    if chance() < odd / 2:
        fields.append(random.choice([b"Content-Length: 3", b"Content-Length: 4", b"Transfer-Encoding: chunked"]))
    if chance() < odd / 2 and fields:
        fields.append(random.choice(fields))
    random.shuffle(fields)
    return end.join([*lines, *fields, b"", b""]) + body


def next_stream(random: Random) -> tuple[bytes, int]:
    """Return a stream of one to three requests, and how many it has if nothing is wrong with it, else 0."""
    legal = 0
    if random.random() < 0.15:
        stream = random.choice(STREAMS)[0]
    else:
        odd, count = random.choice([0.0, 0.04, 0.08, 0.08, 0.15, 0.3]), random.choice([1, 2, 2, 3])
        stream = b"".join(request(random, odd) for _ in range(count))
        legal = 0 if odd else count
    for _ in range(random.choice([0, 0, 0, 1, 1, 2])):
        legal = 0
        place = random.randrange(len(stream) + 1)
        stream = stream[:place] + random.choice(SPLICES) + stream[place + random.choice([0, 0, 1, 2]) :]
    return stream, legal
