"""Decoded names and values: the query of a target, or a form in its notation."""

from __future__ import annotations

from urllib.parse import parse_qsl

from .errors import HTTPError

# A request with more fields is an attack on whoever loops over them (CVE-2011-4885 and its kin).
MAX_FIELDS = 1000


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
    try:
        pairs = parse_qsl(text.decode("utf-8", "replace"), True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise HTTPError(400, "too many fields") from None
    return Query(pairs)
