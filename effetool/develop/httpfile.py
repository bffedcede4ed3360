"""Read `.http` files: requests as text, in the form that editors know.

    @name = world                 a variable, {{name}} from there on
    ### ask                       begins the next request
    # a comment, as is // this
    POST /greet?name={{name}} HTTP/1.1
    Content-Type: application/json

    {"a": 1}                      the body, up to the next ### (or `< ./file`: a file's content)

An absolute URL is taken for its path: where a request goes is the command's to say. Scripts of editors (`> {% … %}`)
are refused, not silently left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import Place, UsageError

__all__ = ["Saved", "read_http_file"]

_REQUEST = re.compile(r"(?:([A-Z][A-Z-]*)[ \t]+)?(\S+)(?:[ \t]+HTTP/[0-9.]+)?")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*)", re.DOTALL)
_VARIABLE = re.compile(r"@([A-Za-z_][\w.-]*)[ \t]*=[ \t]*(.*)", re.DOTALL)
_USE = re.compile(r"\{\{([^{}]*)\}\}")
_NAMED = re.compile(r"(?:#|//)[ \t]*@name[ \t=]+([^\s=]\S*)")


@dataclass(frozen=True)
class Saved:
    """One request of a file; `name` is what follows `###` or `# @name`."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    name: str | None = None


def read_http_file(path: Path) -> list[Saved]:
    """Return the requests of a file, in order.

    Raises:
        UsageError: E153 when it cannot be read or is malformed, with its place.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="E153", fix="check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8", code="E153", place=Place(path), fix="save it as UTF-8") from None
    variables: dict[str, str] = {}
    found: list[Saved] = []
    at = 0
    while at < len(lines):
        end = next((n for n in range(at, len(lines)) if n > at and lines[n].startswith("###")), len(lines))
        saved = _read_one(path, lines, at, end, variables)
        if saved is not None:
            found.append(saved)
        at = end
    if not found:
        raise UsageError(f"no request in {path}", code="E153", place=Place(path), fix="write GET /")
    return found


def _read_one(path: Path, lines: list[str], at: int, end: int, variables: dict[str, str]) -> Saved | None:
    name: str | None = None
    if lines[at].startswith("###"):
        name = lines[at].strip("# \t") or None
        at += 1
    while at < end:
        line = lines[at].strip()
        if (match := _NAMED.fullmatch(line)) is not None:
            name = match[1]
        elif (match := _VARIABLE.fullmatch(line)) is not None:
            variables[match[1]] = _fill(path, lines, at, match[2], variables)
        elif line and not line.startswith(("#", "//")):
            break
        at += 1
    else:
        return None
    match = _REQUEST.fullmatch(_fill(path, lines, at, line, variables))
    if match is None:
        raise _wrong(path, lines, at, "no request line", "write METHOD PATH, such as POST /greet?name=you")
    method, target = match[1] or "GET", match[2]
    at += 1
    while at < end and re.match(r"[ \t]+[?&]", lines[at]):
        target += _fill(path, lines, at, lines[at].strip(), variables)
        at += 1
    headers: list[tuple[str, str]] = []
    while at < end and lines[at].strip():
        if not lines[at].startswith(("#", "//")):
            field = _FIELD.fullmatch(_fill(path, lines, at, lines[at].strip(), variables))
            if field is None:
                raise _wrong(path, lines, at, "no header field", "write Name: value, and a blank line before the body")
            headers.append((field[1], field[2]))
        at += 1
    if "://" in target:
        parts = urlsplit(target)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not any(key.lower() == "host" for key, _ in headers):
            headers.insert(0, ("Host", parts.netloc.rpartition("@")[2]))
    elif not target.startswith("/") and target != "*":
        raise _wrong(path, lines, at - 1, f"no path: {target}", "a path begins with /")
    return Saved(method, target, tuple(headers), _body(path, lines, at + 1, end, variables), name)


def _body(path: Path, lines: list[str], at: int, end: int, variables: Mapping[str, str]) -> bytes:
    while end > at and not lines[end - 1].strip():
        end -= 1
    if at >= end:
        return b""
    for number in range(at, end):
        if lines[number].startswith("> ") or "{%" in lines[number]:
            raise _wrong(path, lines, number, "an editor's script", "remove it: only the request is sent")
    if end - at == 1 and lines[at].startswith("< "):
        file = path.parent / lines[at][2:].strip()
        try:
            return file.read_bytes()
        except OSError as error:
            raise _wrong(path, lines, at, f"cannot read {file}: {error.strerror}", "paths start at this file") from None
    return "\n".join(_fill(path, lines, n, lines[n], variables) for n in range(at, end)).encode()


def _fill(path: Path, lines: list[str], at: int, text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name not in variables:
            raise _wrong(path, lines, at, f"no variable {name!r}", f"write @{name} = … above it")
        return variables[name]

    return _USE.sub(value, text)


def _wrong(path: Path, lines: list[str], at: int, what: str, fix: str) -> UsageError:
    return UsageError(f"{path.name}: {what}", code="E153", place=Place(path, at + 1, 1, lines[at]), fix=fix)
