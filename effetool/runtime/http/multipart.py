"""Read a multipart/form-data body (RFC 7578, RFC 2046 5.1) as it comes: fields, and files.

As strict as wire.py, for the same reason: a filter in front and the author's code must read the same form. So lines end
with CRLF, a part has one Content-Disposition with a name, and a delimiter with anything behind it but white space is
refused. Everything a client could make grow has a limit here; the body as a whole has `-max-body`.
"""

from __future__ import annotations

import re

from ..errors import HTTPError
from .query import MAX_FIELDS
from .upload import Spool, Upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

# One part's header: Content-Disposition with a name and a file name is 200 octets; 8 KiB is what -max-target allows.
MAX_HEADER = 8 * 1024
# What is kept in memory of a form: all part headers and the values of all fields that are not files (413 beyond).
MAX_KEPT = 1024 * 1024
_PIECE = 64 * 1024
_PADDING = 100  # RFC 2046 5.1.1 transport-padding: white space that a gateway may have added behind a delimiter

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_FIELD = re.compile((r"(" + _NAME + r"):([\t -~\x80-\xff]*)").encode()).fullmatch
_VALUE = re.compile(r"[ \t]*([^;\s\"]+)").match
_PARAMETER = re.compile(r"[ \t]*;[ \t]*(" + _NAME + r")=(?:\"((?:[^\"\\]|\\.)*)\"|([^;\s\"]*))[ \t]*", re.DOTALL).match
# RFC 2046 5.1.1: 1 to 70 of these, the last no space.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
# No NUL in what may go to open(), no line end in what may go to a log.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]").search
# RFC 8187 3.2.1
_EXTENDED = re.compile(r"utf-8'[^']*'((?:[!#$&+\-.^_`|~0-9A-Za-z]|%[0-9a-f]{2})*)", re.IGNORECASE).fullmatch


def parameters(text: str) -> tuple[str, dict[str, str]]:
    """Split `multipart/form-data; boundary="x"` in its value and its parameters, names lower-cased (RFC 9110 5.6.6).

    Raises ValueError: malformed, or a parameter twice.
    """
    match = _VALUE(text)
    if match is None:
        raise ValueError(text)
    value, values = match[1].lower(), {}
    end = len(text.rstrip("; \t"))
    while match.end() < end:
        match = _PARAMETER(text, match.end())
        if match is None or match[1].lower() in values:
            raise ValueError(text)
        quoted = match[2]
        # A backslash before anything else is part of a Windows path, as browsers have sent it for decades.
        values[match[1].lower()] = match[3] if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
    return value, values


def read_multipart(source: BinaryIO, boundary: str) -> tuple[list[tuple[str, str]], list[tuple[str, Upload]]]:
    """Return the fields and the files, by their names, in the order they came.

    Raises HTTPError: 400 malformed or too many parts, 413 too much that would have to stay in memory, 415 an encoded
    part; and whatever reading the source raises.
    """
    if _BOUNDARY(boundary) is None:
        raise HTTPError(400, "malformed boundary")
    reader = _Reader(source, boundary.encode("ascii"))
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, str, str, int]] = []
    spool = Spool()
    kept = 0

    def keep(data: bytes) -> None:
        nonlocal kept
        kept += len(data)
        if kept > MAX_KEPT:
            raise HTTPError(413, "the form is too large")
        value.append(data)

    reader.skip(lambda data: None)  # RFC 2046 5.1.1: a preamble is ignored
    while reader.part():
        if len(fields) + len(files) >= MAX_FIELDS:
            raise HTTPError(400, "too many fields")
        value: list[bytes] = []
        name, filename, kind = _described(reader.header(keep))
        value.clear()
        if filename is None:
            reader.skip(keep)
            fields.append((name, b"".join(value).decode("utf-8", "replace")))
        else:
            begin = spool.size
            reader.skip(spool.write)
            if filename or spool.size > begin:  # else a browser says that no file was chosen
                files.append((name, filename, kind, begin))
    ends = [begin for *_, begin in files[1:]] + [spool.size]
    return fields, [
        (name, Upload(filename, kind, spool.file(begin, end), end - begin))
        for (name, filename, kind, begin), end in zip(files, ends)
    ]


def _described(header: dict[str, str]) -> tuple[str, str | None, str]:
    """Return name, file name (None: it is not a file) and media type of a part."""
    encoding = header.get("content-transfer-encoding", "binary").lower()
    if encoding not in ("7bit", "8bit", "binary"):  # RFC 7578 4.7: deprecated, and nobody agrees who decodes it
        raise HTTPError(415, "a part of the form has a Content-Transfer-Encoding")
    try:
        disposition, values = parameters(header["content-disposition"])
        name = values["name"]
        extended = values.get("filename*")
        filename = values.get("filename") if extended is None else _decoded(extended)
        if filename and _CONTROL(filename):
            raise ValueError(filename)
    except (KeyError, ValueError):
        raise HTTPError(400, "a part of the form has no valid Content-Disposition") from None
    if disposition != "form-data":
        raise HTTPError(400, "a part of the form has no valid Content-Disposition")
    kind = header.get("content-type", "text/plain" if filename is None else "application/octet-stream")
    if filename is None:
        return name, None, kind
    filename = re.split(r"[/\\]", filename)[-1]
    return name, "" if filename in (".", "..") else filename, kind


def _decoded(text: str) -> str:
    """Decode `UTF-8''na%C3%AFve.txt` (RFC 8187), which some clients send though RFC 7578 4.2 tells them not to."""
    from urllib.parse import unquote

    match = _EXTENDED(text)
    if match is None:
        raise ValueError(text)
    return unquote(match[1], errors="strict")


class _Reader:
    """The bytes of the body, from delimiter to delimiter."""

    def __init__(self, source: BinaryIO, boundary: bytes) -> None:
        self._read = source.read
        self._delimiter = b"\r\n--" + boundary
        self._data = b"\r\n"  # the first delimiter needs none before it

    def _more(self) -> bool:
        piece = self._read(_PIECE)
        self._data += piece
        return bool(piece)

    def _need(self) -> None:
        if not self._more():
            raise HTTPError(400, "the form ended early")

    def skip(self, keep: Callable[[bytes], Any]) -> None:
        """Go behind the next delimiter; hand on what stands before it."""
        delimiter = self._delimiter
        while True:
            data = self._data
            place = data.find(delimiter)
            # The end of what is here may be the beginning of a delimiter.
            sure = place if place >= 0 else len(data) - len(delimiter) + 1
            if sure > 0:
                keep(data[:sure])
            if place >= 0:
                self._data = data[place + len(delimiter) :]
                return
            self._data = data[max(0, sure) :]
            self._need()

    def part(self) -> bool:
        """Go to the header of the part behind a delimiter; False behind the last one."""
        while len(self._data) < 2:
            self._need()
        last = self._data.startswith(b"--")
        if last:
            self._data = self._data[2:]
            # RFC 2046: the body may end here without a line end; what comes after one is an epilogue, and ignored.
            while b"\r\n" not in self._data and len(self._data) <= _PADDING and self._more():
                pass
            padding = self._data.partition(b"\r\n")[0]
        else:
            padding = self._line(_PADDING)
        if len(padding) > _PADDING or padding.strip(b" \t"):
            raise HTTPError(400, "a delimiter of the form has something behind it")
        return not last

    def header(self, keep: Callable[[bytes], Any]) -> dict[str, str]:
        """Read a part's header: lower-case names to values."""
        fields: dict[str, str] = {}
        left = MAX_HEADER
        while line := self._line(left):
            keep(line)
            left -= len(line) + 2
            match = _FIELD(line)
            if match is None:
                raise HTTPError(400, "malformed header in the form")
            name = match[1].decode("ascii").lower()
            if name in fields:
                raise HTTPError(400, "a header of the form is there twice")
            fields[name] = match[2].decode("utf-8", "replace").strip(" \t")
        while len(self._data) < len(self._delimiter) - 2:
            self._need()
        if self._data.startswith(self._delimiter[2:]):
            # RFC 2046 lets a part without content leave out a line end; other readers take this for content.
            raise HTTPError(400, "a part of the form has no content")
        return fields

    def _line(self, limit: int) -> bytes:
        while True:
            line, end, rest = self._data.partition(b"\r\n")
            if len(line) > limit:
                raise HTTPError(400, "a line of the form is too long")
            if end:
                self._data = rest
                return line
            self._need()
