"""Decoded names and values: the query of a target, or a form in its notation."""

from __future__ import annotations

import re

from ..errors import HTTPError

# A request with more fields is an attack on whoever loops over them (CVE-2011-4885 and its kin).
MAX_FIELDS = 1000
# Runs of escapes: urllib.parse takes a step of Python, and an exception, for each `%` that is none.
_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2})+").sub


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
    text = text.replace(b"+", b" ")
    if b"%" in text:
        text = _ESCAPES(lambda run: bytes.fromhex(run[0].replace(b"%", b"").decode("ascii")), text)
    return text.decode("utf-8", "replace")
