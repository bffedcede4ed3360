"""Header fields: what a request brought, and what a response will carry."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# RFC 9110 5.5: no control character but TAB; octets above 0x7f are opaque (latin-1 here, as everywhere on the wire).
_VALUE = re.compile(r"[\t -~\x80-\xff]*").fullmatch
# RFC 9110 7.6.1 and RFC 9112 6: the framing of a message belongs to the server; an author's copy would contradict it.
_RESERVED = frozenset(("transfer-encoding", "keep-alive", "upgrade", "trailer"))
# What replaces the server's own line, or is part of how it frames the message. Response._head has the rule of each.
FRAMED = frozenset(("connection", "content-length", "server", "date", "x-request-id"))
# So many fields are looked up in the block as it came: a run that asks for one or two saves the splitting.
LOOKUPS = 2


class Headers:
    """The fields of a request: names are case-insensitive, order and repetitions are kept.

    `headers["Accept"]`, `.get` give the first value, `.get_all` every one. Values are str, decoded as latin-1.
    """

    __slots__ = ("_asked", "_block", "_fields", "_low")

    _fields: list[tuple[str, str, str]] | None  # lower-cased name, name, value; None: not split yet

    def __init__(self, block: str, low: str) -> None:
        # Valid field lines, from the CRLF before the first to the CRLF of the last; the same in lower case.
        self._block = block
        self._low = low
        self._fields = None
        self._asked = 0

    def _split(self) -> list[tuple[str, str, str]]:
        fields = self._fields
        if fields is None:
            self._fields = fields = []
            for line in self._block.split("\r\n")[1:-1]:
                name, _, value = line.partition(":")
                fields.append((name.lower(), name, value.strip(" \t")))
        return fields

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of the field, or the default."""
        key = name.lower()
        fields = self._fields
        if fields is None:
            if self._asked < LOOKUPS:
                self._asked += 1
                place = self._low.find(f"\n{key}:")
                if place < 0 or ":" in key:
                    return default
                start = place + len(key) + 2
                return self._block[start : self._block.index("\r", start)].strip(" \t")
            fields = self._split()
        for field in fields:
            if field[0] == key:
                return field[2]
        return default

    def get_all(self, name: str) -> list[str]:
        """Return every value of the field, in the order they came."""
        key = name.lower()
        return [field[2] for field in self._split() if field[0] == key]

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._split())

    def keys(self) -> list[str]:
        """Return the names as they were sent; a repeated field is named each time."""
        return [field[1] for field in self._split()]

    def values(self) -> list[str]:
        """Return the values, in the order of `keys`."""
        return [field[2] for field in self._split()]

    def items(self) -> list[tuple[str, str]]:
        """Return (name, value) for each field line."""
        return [(field[1], field[2]) for field in self._split()]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.items()!r})"


class ResponseHeaders(Headers):
    """The fields of a response. `headers[k] = v` replaces, `.add(k, v)` appends.

    A name that is not a token, or a CR, LF, NUL in a value, raises ValueError: this is where response splitting ends.
    After the response has begun, every change raises RuntimeError.
    """

    __slots__ = ("_framed", "sent")

    _fields: list[tuple[str, str, str]]
    _framed: bool  # a field was set that the server has a say in
    sent: bool

    def __init__(self) -> None:
        self._fields = []
        self._framed = self.sent = False

    def __setitem__(self, name: str, value: object) -> None:
        known = None if self.sent or type(value) is not str else _known.get((name, value))
        field = known or self._checked(name, value)
        fields = self._fields
        if fields:
            for place, old in enumerate(fields):
                if old[0] == field[0]:
                    fields[place] = field
                    fields[place + 1 :] = [other for other in fields[place + 1 :] if other[0] != field[0]]
                    return
        fields.append(field)

    def add(self, name: str, value: object) -> None:
        """Append a field line, beside those of the same name (Set-Cookie, say)."""
        self._fields.append(self._checked(name, value))

    def __delitem__(self, name: str) -> None:
        self._writable()
        key = name.lower()
        kept = [field for field in self._fields if field[0] != key]
        if len(kept) == len(self._fields):
            raise KeyError(name)
        self._fields[:] = kept

    def setdefault(self, name: str, value: str) -> str:
        """Set the field unless it is there; return its value."""
        old = self.get(name)
        if old is None:
            self[name] = old = value
        return old

    def update(self, fields: dict[str, str]) -> None:
        """Set several fields."""
        for name, value in fields.items():
            self[name] = value

    def _writable(self) -> None:
        if self.sent:
            raise RuntimeError("the response has begun: its headers are on their way")

    def _checked(self, name: str, value: object) -> tuple[str, str, str]:
        if self.sent:
            self._writable()
        key = _keys.get(name) or _key(name)
        if not isinstance(value, str):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"the value of {name} must be a str, not {type(value).__name__}")
            value = str(value)
        # Printable ASCII needs no regular expression.
        if not (value.isascii() and value.isprintable()) and _VALUE(value) is None:
            raise ValueError(f"the value of {name} holds a character no header field may hold: {value!r}")
        field = key, name, value.strip(" \t")
        if key in FRAMED:
            self._framed = True
            if key == "content-length" and not (value.isascii() and value.isdigit()):
                raise ValueError(f"Content-Length is a number, not {value!r}")
        elif len(value) <= SHORT and len(_known) < KEPT:
            _known[name, value] = field
        return field


# Names that were checked, in lower case, and short fields that were; as many as an effe can have use for, not as many
# as it can make. A dict's get and set are atomic.
_keys: dict[str, str] = {}
_known: dict[tuple[str, str], tuple[str, str, str]] = {}
KEPT = 256
SHORT = 64


def _key(name: str) -> str:
    """Check a field's name, and return it in lower case."""
    if _NAME(name) is None:
        raise ValueError(f"not a name of a header field: {name!r}")
    key = name.lower()
    if key in _RESERVED:
        raise ValueError(f"{name} is set by the server, which frames the response")
    if len(_keys) < KEPT:
        _keys[name] = key
    return key
