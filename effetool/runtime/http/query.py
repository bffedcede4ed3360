"""Decoded names and values: the query of a target, or a form in its notation."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder

from ..errors import HTTPError

# A request with more fields is an attack on whoever loops over them (CVE-2011-4885 and its kin).
MAX_FIELDS = 1000
# One call into C decodes so much of a value at most: other threads get the interpreter's lock in between.
_PIECE = 64 * 1024
_ESCAPES = re.compile(rb"%([0-9A-Fa-f]{2})").split


class Query(dict):  # type: ignore[type-arg]
    """First values by name; `get_all` returns every value of a name, in order."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(reversed(pairs))
        self._pairs = pairs

    def get_all(self, name: str) -> list[str]:
        """Return every value of the name."""
        return [value for key, value in self._pairs if key == name]


def parse(text: bytes) -> Query:
    """Decode `a=1&b=2` (WHATWG URL, application/x-www-form-urlencoded); HTTPError 400 for too many fields."""
    if not text:
        return Query([])
    if text.count(b"&") >= MAX_FIELDS:
        raise HTTPError(400, "too many fields")
    pairs = []
    for field in text.split(b"&"):
        if field:
            name, _, value = field.partition(b"=")
            pairs.append((_decoded(name), _decoded(value)))
    return Query(pairs)


def _decoded(text: bytes) -> str:
    """WHATWG URL 5.1: octets first, whether escaped or not, then UTF-8 of all of them."""
    if len(text) <= _PIECE:
        return _octets(text).decode("utf-8", "replace")
    decoder = getincrementaldecoder("utf-8")("replace")
    decoded = []
    start = 0
    while start < len(text):
        end = start + _PIECE
        begun = text.find(b"%", end - 2, end)  # an escape that may go on behind the piece
        if begun > 0 and end < len(text):
            end = begun
        decoded.append(decoder.decode(_octets(text[start:end])))
        start = end
    decoded.append(decoder.decode(b"", final=True))
    return "".join(decoded)


def _octets(text: bytes) -> bytes:
    text = text.replace(b"+", b" ")
    if b"%" in text:
        # No step of Python for an escape: a form may be nothing but escapes.
        parts = _ESCAPES(text)
        parts[1::2] = memoryview(bytes.fromhex(b"".join(parts[1::2]).decode("ascii"))).cast("c").tolist()
        text = b"".join(parts)
    return text
