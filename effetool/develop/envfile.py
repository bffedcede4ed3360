"""Read an --env-file: `NAME=value` lines, as shells, Docker and editors write them.

# a comment
NAME=value            without quotes to the end of the line, or to ` #`
export NAME="a\\nb"    double quotes know \\n, \\t, \\", \\\\, \\$ and may span lines
NAME='as it is'       single quotes know nothing
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import Place, UsageError

__all__ = ["read_env_file"]

_START = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_BARE = re.compile(r"[^\n]*")
_SINGLE = re.compile(r"'([^']*)'[ \t]*(?:#[^\n]*)?(?=\n|\Z)")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*(?:#[^\n]*)?(?=\n|\Z)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANS = {"n": "\n", "t": "\t", "r": "\r"}


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file.

    Raises:
        UsageError: E304 when it cannot be read or a line is not an assignment, with its place.
    """
    try:
        text = path.read_text("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="E304", fix="check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8", code="E304", place=Place(path), fix="save it as UTF-8") from None
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end].strip()
        if not line or line.startswith("#"):
            at = end + 1
            continue
        start = _START.match(text, at)
        if start is None:
            raise _wrong(path, text, at, "no assignment", "write NAME=value")
        at = start.end()
        quote = text[at : at + 1]
        if quote == '"' or quote == "'":
            match = (_DOUBLE if quote == '"' else _SINGLE).match(text, at)
            if match is None:
                raise _wrong(path, text, at, "a quoted value that does not end as it should", "close it")
            value = match[1]
            if quote == '"':
                value = _ESCAPE.sub(lambda escape: _MEANS.get(escape[1], escape[1]), value)
        else:
            match = _BARE.match(text, at)
            assert match is not None  # it matches nothing, too
            value = re.split(r"(?:^|[ \t])#", match[0], maxsplit=1)[0].strip()
        if "\0" in value:
            raise _wrong(path, text, at, "a NUL byte", "remove it")
        found[start[1]] = value
        at = match.end() + 1
    return found


def _wrong(path: Path, text: str, at: int, what: str, fix: str) -> UsageError:
    line = text.count("\n", 0, at) + 1
    begin = text.rfind("\n", 0, at) + 1
    shown = text[begin:].split("\n", 1)[0]
    # The value may be a secret: only what stands before it is shown. A line without `=` may be the rest of one.
    shown = shown.split("=", 1)[0] + "=…" if "=" in shown else "…"
    return UsageError(
        f"{path.name}: {what}", code="E304", fix=fix, place=Place(path, line, min(at - begin, len(shown)) + 1, shown)
    )
