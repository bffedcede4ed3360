"""Bytes in, values out: the syntax of HTTP/1.1 and nothing else. No sockets, no clock, no state but a body's.

The law of this module
- A head is taken only if every octet of it matches one expression (RFC 9112 sections 2 to 5). Whatever is ambiguous is
  refused, and a refusal always ends the connection: nothing after it can be read as a request.
- Lines end with CRLF. A bare LF may be taken for a line end (RFC 9112 2.2), and so may be read differently by a proxy
  in front: it is refused. So are bare CR, NUL, obs-fold, white space round a field name.
- A body has one length or none: Content-Length once, digits only; or Transfer-Encoding, exactly "chunked"; never both
  (RFC 9112 6.1 and 6.3 allow to mend some of these; to refuse them is what stops request smuggling).
- Errors carry the status they deserve; the caller answers them in one place.
"""

from __future__ import annotations

import re

from ..errors import HTTPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    H = TypeVar("H", bound="Head")

# RFC 9110 5.6.2 a name is a token · RFC 9112 3.2 target (no control, no space; octets above 0x7f are opaque) ·
# RFC 9110 5.5 value
_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LINE = r"(" + _NAME + r") ([!-~\x80-\xff]+) HTTP/1\.([0-9])"
_FIELD = _NAME + r":[\t -~\x80-\xff]*\r\n"
# The usual head: origin-form, HTTP/1.1, a plain Host, a Content-Length before or after it, no other field that changes
# how the message is framed, and at most USUAL fields. One match, and nothing is left to check (but that there are not
# two lengths). What else is a head matches _HEAD.
USUAL = 100
_FRAMING = r"[cCtTeEhH](?i:on(?:nection(?!:[ \t]*keep-alive[ \t]*\r)|tent-length)|ransfer-encoding|xpect|ost):"
_PLAIN = r"(?:(?!" + _FRAMING + r")" + _FIELD + r"){0," + str((USUAL - 3) // 4) + r"}"
_PLAIN_AND_LENGTH = _PLAIN + r"(?:[cC](?i:ontent-length):[ \t]*([0-9]{1,18})[ \t]*\r\n" + _PLAIN + r"|)"
# Here as everywhere: a run of blanks is matched in one way only, else a head of 32 KiB takes seconds.
_PLAIN_HOST = r"[Hh][Oo][Ss][Tt]:[ \t]*(?:[0-9A-Za-z.\-]+(?::[0-9]*)?[ \t]*)?\r\n"
_USUAL = re.compile(
    r"(?!CONNECT )(" + _NAME + r") (/[!\"$&->@-~]*)([?%\x80-\xff][!\"$-~\x80-\xff]*)? HTTP/1\.1"
    r"(\r\n(?:" + _PLAIN_HOST + r"|" + _PLAIN_AND_LENGTH + _PLAIN_HOST + r")" + _PLAIN_AND_LENGTH + r")\r\n",
    re.ASCII,
).match
_HEAD = re.compile(_LINE + r"(\r\n(?:" + _FIELD + r")*)\r\n").match
_BEGUN = re.compile(_LINE + r"\r\n(?:" + _FIELD + r")*").match
_GOES_ON = re.compile((r"(?:" + _FIELD + r")*(?:" + _NAME[:-1] + r"[^\n]*|\r)?\Z").encode("latin-1")).match
_REQUEST_LINE = re.compile(_LINE + r"\r\n").match
_LINE_BEGUN = re.compile(_NAME + r"|\r\Z").match
_OTHER_VERSION = re.compile(_NAME + r" [!-~\x80-\xff]+ HTTP/[0-9]\.[0-9]\r\n").match
_ABSOLUTE = re.compile(r"https?://([^/?#]*)((?:[/?][^#]*)?)\Z", re.I | re.S | re.A).match
# RFC 9110 7.2 and RFC 3986 3.2.2: a name, an IPv4 address or a bracketed literal, then perhaps a port; empty is legal.
# No comma, which RFC 3986 allows: a proxy may have joined two Host lines by it (RFC 9110 5.3).
_AUTHORITY = r"(?:\[[0-9a-f:.v_~!$&'()*+;=%-]*\]|[0-9a-z._~%!$&'()*+;=-]*)(?::[0-9]*)?"
_HOST = re.compile(r"\nhost:([^\r]*)\r").search
_IS_AUTHORITY = re.compile(_AUTHORITY + r"\Z", re.I | re.A).match
_LENGTH = re.compile(r"\ncontent-length:[ \t]*([0-9]+)[ \t]*\r").search
_CODINGS = re.compile(r"\ntransfer-encoding:([^\r]*)\r").search
_CONNECTION = re.compile(r"\nconnection:([^\r]*)\r").findall
_EXPECT = re.compile(r"\nexpect:([^\r]*)\r").search
_FOLD = re.compile(r"\r\n[ \t]")

# A chunk-size line: 16 hex digits and an extension nobody uses (CVE-2023-39326: extensions are free traffic).
MAX_CHUNK_LINE = 1024
MAX_EXTENSIONS = 16 * 1024
CHUNKED = -1


class Limits:
    """The most that is read of a head: octets of all of it, octets of its target, number of its fields."""

    __slots__ = ("fields", "head", "small", "target", "usual")

    def __init__(self, head: int, target: int, fields: int) -> None:
        self.head = head
        self.target = target
        self.fields = fields
        # A head of this size meets all three: the shortest field line is `a:` and CRLF.
        self.small = min(head, target, 4 * fields)
        # The same of a usual head, whose fields are counted by its expression.
        self.usual = min(head, target) if fields >= USUAL else self.small

    def check(self, size: int, target: int, fields: int) -> None:
        """Raise HTTPError: RFC 9112 3 (414) and RFC 6585 5 (431)."""
        if target > self.target:
            raise HTTPError(414, "the request target is too long")
        if size > self.head:
            raise HTTPError(431, "the request header is too large")
        if fields > self.fields:
            raise HTTPError(431, "too many header fields")


class Head:
    """A valid request head.

    `method`, `target` and `path` are what the author sees; `_block` is the field block, from the CRLF before it, and
    `_low` the same in lower case. `length` is the body's (CHUNKED: the chunks tell), `end` where it begins, `close`
    whether the client asked to close, `expects` whether it waits for 100 (Continue), `named` where in the
    block the first X-Request-ID begins, 0 without one.
    """

    __slots__ = (
        "_block", "_low", "_minor", "close", "end", "expects", "length", "method", "named", "path", "target",
    )  # fmt: skip

    method: str
    target: str
    path: str
    _minor: str
    _block: str
    _low: str
    end: int
    length: int
    close: bool
    expects: bool
    named: int


_new = object.__new__


def parse_head(text: str, start: int, limits: Limits, kind: type[H]) -> H | None:
    """Read one request head at `start` into a new `kind`; None where octets are missing yet.

    `text` is what came, an octet a character (latin-1): Python's regular expressions and searches are faster on str.
    Raises HTTPError with the status for the client; then the connection must be closed, for nobody can say where the
    next request begins.
    """
    match = _USUAL(text, start)
    if match is None:
        return _parse_any(text, start, limits, kind)
    head = _new(kind)  # its __init__ would be a call more for each request
    head.method, path, rest, block, before, length = match.groups()
    if before is not None:
        if length is not None:
            return _parse_any(text, start, limits, kind)
        length = before
    head.end = end = match.end()
    if end - start > limits.usual:
        limits.check(end - start, len(path) + len(rest or ""), block.count("\n") - 1)
    if rest is None:
        head.target = head.path = path
    else:
        head.target = path + rest
        head.path = path if rest[0] == "?" else decode_path(path + rest)
    head._minor = "1"
    head._block = block
    head._low = low = block.lower()
    head.length = 0 if length is None else int(length)
    head.close = head.expects = False
    head.named = low.find("\nx-request-id:") + 1
    return head


def _parse_any(text: str, start: int, limits: Limits, kind: type[H]) -> H | None:
    """Read a head of any legal shape."""
    match = _HEAD(text, start)
    if match is None:
        return _incomplete(text, start, limits, kind)
    head = _new(kind)
    head.method, target, minor, block = match.groups()
    head.target = target
    head._minor = minor
    head._block = block
    head.end = end = match.end()
    if end - start > limits.small:
        limits.check(end - start, len(target), block.count("\n") - 1)
    head._low = low = block.lower()
    # RFC 9112 3.2: a request of HTTP/1.1 has exactly one Host, a valid one. HTTP/1.0 may have none.
    hosts = low.count("\nhost:")
    host = _HOST(low) if hosts == 1 else None
    if (host is None or _IS_AUTHORITY(host[1].strip(" \t")) is None) and (hosts or minor != "0"):
        raise HTTPError(400, "exactly one valid Host is required")
    if target[0] != "/" or "#" in target or head.method == "CONNECT":
        _check_target(head.method, target)
    head.path = decode_path(target)
    head.expects = False
    if "\ncontent-length:" in low or "\ntransfer-encoding:" in low:
        head.length = _body_length(low, minor)
        if "\nexpect:" in low and head.length and minor != "0":
            match = _EXPECT(low)
            head.expects = match is not None and match[1].strip(" \t") == "100-continue"
    else:
        head.length = 0
    head.close = minor == "0" or ("\nconnection:" in low and _closes(low))
    head.named = low.find("\nx-request-id:") + 1
    return head


def _incomplete(text: str, start: int, limits: Limits, kind: type[H]) -> H | None:
    """Decide between waiting for more and refusing, as early as the octets allow."""
    # RFC 9112 2.2: an empty line before the request-line is ignored. One; a flood of them is not a request.
    if text.startswith("\r\n", start):
        if text.startswith("\r\n", start + 2):
            raise HTTPError(400, "a request begins with its request-line")
        return parse_head(text, start + 2, limits, kind) if len(text) > start + 2 else None
    size = len(text) - start
    if size > limits.small:
        line = text.find("\n", start)
        blank = text.find(" ", start)
        target = 0 if blank < 0 else (len(text) if line < 0 else line) - blank - 11  # " HTTP/1.1" and its CR
        limits.check(size, target, text.count("\n", start) - 1)
    newline = text.rfind("\n", start)
    if newline < 0:
        # Nothing to check yet but what can never become a method (a TLS hello, say).
        if size and _LINE_BEGUN(text[start : start + 1]) is None:
            raise HTTPError(400, "a request begins with its method")
        return None
    begun = _BEGUN(text, start)
    if begun is not None and begun.end() == newline + 1 and not text.startswith("\r\n", begun.end()):
        # What follows the last line end is the start of a field line, or the CR of the end.
        tail = text[newline + 1 : newline + 3]
        if not tail or _LINE_BEGUN(tail) is not None:
            return None
    if _REQUEST_LINE(text, start) is None:
        if _OTHER_VERSION(text, start) is not None:
            raise HTTPError(505, "HTTP/1.1 is spoken here")
        raise HTTPError(400, "malformed request line")
    if _FOLD.search(text, start):
        raise HTTPError(400, "folded header field")
    raise HTTPError(400, "malformed header field")


def goes_on(before: bytes, data: bytes) -> bool:
    """Whether `before`, for which parse_head returned None, is with `data` an unfinished head still, and a valid one.

    Looks only at the line that `before` ends with and at `data`, so that a head that drips in is not read from its
    start for each of its lines.
    """
    if b"\n" not in data:
        return True
    line = before.rfind(b"\n") + 1
    return line > 0 and _GOES_ON(before[line:] + data) is not None


def _check_target(method: str, target: str) -> None:
    """RFC 9112 3.2: absolute-form is accepted, asterisk-form for OPTIONS; CONNECT makes no tunnel here.

    A fragment is not part of a target: nginx cuts it off before it looks for a location, and passes it on; Go takes it
    for the path; HAProxy refuses it (CVE-2023-45539).
    """
    if method == "CONNECT":
        raise HTTPError(501, "CONNECT is not served")
    if target == "*":
        if method != "OPTIONS":
            raise HTTPError(400, "`*` is a target of OPTIONS only")
        return
    match = _ABSOLUTE(target)
    if match is None or not match[1] or "@" in match[1] or not _IS_AUTHORITY(match[1]):
        raise HTTPError(400, "malformed request target")


def split_absolute(target: str) -> tuple[str, str] | None:
    """Split an absolute-form target in authority and origin-form; None for the other forms (RFC 9112 3.2.2)."""
    match = _ABSOLUTE(target)
    if match is None:
        return None
    origin = match[2]
    return match[1], origin if origin.startswith("/") else "/" + origin


def decode_path(target: str) -> str:
    """Return the target's path, percent-decoded as UTF-8."""
    if target[0] != "/":
        split = split_absolute(target)
        target = split[1] if split else target
    path = target.partition("?")[0]
    if "%" in path or not path.isascii():
        from urllib.parse import unquote  # with ipaddress a fifteenth of the start, and few paths have a %

        return unquote(path.encode("latin-1").decode("utf-8", "replace"), errors="replace")
    return path


def _body_length(low: str, minor: str) -> int:
    """RFC 9112 6.3, the strict reading: CHUNKED, or the one Content-Length."""
    codings = low.count("\ntransfer-encoding:")
    lengths = low.count("\ncontent-length:")
    if codings:
        if lengths:
            raise HTTPError(400, "both Content-Length and Transfer-Encoding")
        if minor == "0":
            raise HTTPError(400, "Transfer-Encoding in a request of HTTP/1.0")
        match = _CODINGS(low)
        coding = "" if match is None else match[1].strip(" \t")
        if codings != 1 or not coding:
            raise HTTPError(400, "malformed Transfer-Encoding")
        if coding != "chunked":
            raise HTTPError(501, "the only transfer coding served is chunked")
        return CHUNKED
    match = _LENGTH(low)
    if lengths != 1 or match is None:
        raise HTTPError(400, "malformed Content-Length")
    if len(match[1]) > 18:  # no wrap anywhere downstream, no quadratic int()
        raise HTTPError(413, "the body is too large")
    return int(match[1])


def _closes(low: str) -> bool:
    """RFC 9112 9.3: `close` in any Connection list. (HTTP/1.0 always closes: its keep-alive was never a standard.)"""
    if "\nconnection: close\r" in low:  # as nearly all write it
        return True
    return any(option.strip(" \t") == "close" for line in _CONNECTION(low) for option in line.split(","))


class Chunks:
    """Decode a chunked body (RFC 9112 7.1) as its bytes come; trailer fields are checked and dropped (RFC 9110 6.5.1).

    `limit` is the largest decoded body, `max_trailer` the largest trailer section, both in octets.
    """

    __slots__ = ("_extensions", "_left", "_limit", "_max_trailer", "_stage", "_trailer", "done", "total")

    def __init__(self, limit: int, max_trailer: int) -> None:
        self._limit = limit
        self._max_trailer = max_trailer
        self._stage = 0  # 0 size line · 1 data · 2 the CRLF after it · 3 trailer
        self._left = 0
        self._extensions = 0
        self._trailer = 0
        self.total = 0
        self.done = False

    def feed(self, data: bytes, start: int, out: list[bytes]) -> int:
        """Append what `data` holds from `start` on to `out`; return where it stopped.

        Octets behind that place belong to the next call (an unfinished line), or to the next request once `done`.
        Raises HTTPError: 400 malformed, 413 larger than the limit, 431 trailer too large.
        """
        end = len(data)
        while True:
            if self._stage == 1:
                if start == end:
                    return start
                piece = data[start : start + self._left]
                out.append(piece)
                start += len(piece)
                self._left -= len(piece)
                if self._left:
                    return start
                self._stage = 2
            if self._stage == 2:
                if end - start < 2:
                    if end - start == 1 and data[start] != 13:
                        raise HTTPError(400, "a chunk is longer than its size")
                    return start
                if not data.startswith(b"\r\n", start):
                    raise HTTPError(400, "a chunk is longer than its size")
                start += 2
                self._stage = 0
            if self._stage == 0:
                match = _CHUNK_LINE(data, start)
                if match is None:
                    return self._unfinished(data, start, _CHUNK_BEGUN, MAX_CHUNK_LINE)
                if match.end() - start > MAX_CHUNK_LINE:
                    raise HTTPError(400, "the chunk line is too long")
                size = int(match[1], 16)
                self._extensions += len(match[2])
                if self._extensions > MAX_EXTENSIONS:
                    raise HTTPError(400, "too many chunk extensions")
                self.total += size
                if self.total > self._limit:
                    raise HTTPError(413, "the body is too large")
                start = match.end()
                self._left = size
                self._stage = 1 if size else 3
            if self._stage == 3:
                while not data.startswith(b"\r\n", start):
                    match = _FIELD_LINE(data, start) if data.find(b"\n", start) >= 0 else None
                    if match is None:
                        return self._unfinished(data, start, _FIELD_BEGUN, self._max_trailer)
                    self._trailer += match.end() - start
                    start = match.end()
                    if self._trailer > self._max_trailer:
                        raise HTTPError(431, "the trailer section is too large")
                self.done = True
                return start + 2

    def _unfinished(self, data: bytes, start: int, begun: re.Pattern[bytes], limit: int) -> int:
        """Wait for the rest of a line only if what is there can still become one.

        A line of a trailer that is longer than any chunk's and drips in is checked at its end: each of its octets
        would cost a look at all of it.
        """
        size = len(data) - start
        if size > limit:
            raise HTTPError(431 if self._stage == 3 else 400, "the line is too long")
        if size > MAX_CHUNK_LINE and data.find(b"\n", start) < 0:
            return start
        if begun.fullmatch(data, start) is None:
            raise HTTPError(400, "malformed trailer" if self._stage == 3 else "malformed chunk size")
        return start


# RFC 9112 7.1.1: an extension has a name, a token; what stands behind its first octet is not looked at.
_EXTENSION = rb"(?:;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z][\t -~\x80-\xff]*)?"
_CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,16})(" + _EXTENSION + rb")\r\n").match
_CHUNK_BEGUN = re.compile(rb"(?:0*[0-9a-fA-F]{0,16}|[0-9a-fA-F]{1,16}(?:;[ \t]*|" + _EXTENSION + rb"))\r?")
_FIELD_LINE = re.compile(_FIELD.encode("latin-1")).match
_FIELD_BEGUN = re.compile(rb"(?:" + _NAME.encode() + rb"(?::[\t -~\x80-\xff]*)?)?\r?")
