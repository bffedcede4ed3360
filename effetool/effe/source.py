"""An author's module as text and syntax tree: read, never run."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import Place, SourceError

__all__ = ["Source", "read_source"]

MAX_SOURCE = 16 * 1024 * 1024  # it is read whole, and a tree of it takes a hundred times as much
# An escape of a string that is not raw, Python's reference 2.4.1.1; group 1 is one that makes one character.
ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|[\\'\"abfnrtv])|\n)?", re.DOTALL
)


@dataclass(frozen=True)
class Source:
    """A module that parses.

    Attributes:
        path: the file.
        lines: its lines without their ends.
        tree: its syntax tree.
    """

    path: Path
    lines: tuple[str, ...]
    tree: ast.Module

    def line(self, number: int) -> str:
        """Return line `number`, counted from 1, empty past the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def at(self, node: ast.expr | ast.stmt | ast.arg | ast.alias) -> Place:
        """Return the place of a node; `ast` counts columns in bytes, a place in characters."""
        text = self.line(node.lineno)
        column = len(text.encode()[: node.col_offset].decode(errors="replace")) + 1
        return Place(self.path, node.lineno, column, text)

    def inside(self, node: ast.expr, position: int) -> Place:
        """Return where character `position` of a string constant's value stands: escapes and joins are followed."""
        first = self.at(node)
        before = (first.column or 1) - 1
        lines = list(self.lines[node.lineno - 1 : node.end_lineno])
        lines[0] = lines[0][before:]
        # In brackets, since a constant joined of several strings may span lines.
        text = "(" + "\n".join(lines) + "\n)"
        end = 0, 0
        try:
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                if token.type == tokenize.STRING:
                    for end in _characters(token.string, *token.start):
                        if position == 0:
                            return self._in_segment(first, *end)
                        position -= 1
                elif token.string == ")":
                    break
        except (tokenize.TokenError, SyntaxError):
            return first
        return self._in_segment(first, end[0], end[1] + 1) if end != (0, 0) else first

    def _in_segment(self, first: Place, row: int, column: int) -> Place:
        number = (first.line or 1) + row - 1
        # The bracket put before the first line takes one column of it.
        return Place(self.path, number, column + (first.column or 1) - 1 if row == 1 else column + 1, self.line(number))

    def at_name(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Place:
        """Return the place of the name in a `def` or `class` statement."""
        text = self.line(node.lineno)
        column = text.find(node.name, text.find("def ") + 4 if "def " in text else 0)
        return Place(self.path, node.lineno, max(column, 0) + 1, text)


def read_source(path: Path) -> Source:
    """Read and parse the module at `path` without running it.

    Raises:
        SourceError: E101 when it is not Python, with the place of the first fault; E150 when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SOURCE + 1)
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror}",
            code="E150",
            place=Place(path),
            fix="check the path and its permissions",
        ) from error
    if len(raw) > MAX_SOURCE:
        raise SourceError(
            f"larger than {MAX_SOURCE} bytes",
            code="E101",
            place=Place(path),
            fix="move its data into a file beside the module",
        )
    try:
        with warnings.catch_warnings():  # an invalid escape in the author's text is for the author's linter
            warnings.simplefilter("ignore")
            tree = ast.parse(raw, filename=str(path))
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        lines = _lines(raw.decode(encoding))
    except (SyntaxError, ValueError) as error:  # ValueError: a NUL byte before Python 3.12
        fault = _undecodable(raw)
        if fault is not None:
            raise _not_text(path, raw, fault) from error
        if not isinstance(error, SyntaxError):
            raise SourceError(str(error), code="E101", place=Place(path), fix="correct the file") from error
        number = max(error.lineno or 1, 1)
        found = _lines(raw.decode(errors="replace"))[number - 1 : number]
        digits = error.msg.startswith("Exceeds the limit")
        raise SourceError(
            "a number of more than 4300 digits" if digits else error.msg,
            code="E101",
            place=Place(path, number, max(error.offset, 1) if error.offset else None, found[0] if found else None),
            fix="write it in hexadecimal, or as a string" if digits else "correct the line, then run the command again",
        ) from error
    except (RecursionError, MemoryError) as error:  # what the parser says of a million brackets
        raise SourceError(
            "nested too deeply for Python to read",
            code="E101",
            place=Place(path),
            fix="split the expression, or move the data into a file beside the module",
        ) from error
    return Source(path, lines, tree)


def _lines(text: str) -> tuple[str, ...]:
    """Split as Python's tokenizer does: a form feed or U+2028 ends no line of a program."""
    return tuple(re.split("\r\n|[\r\n]", text))


def _characters(string: str, row: int, column: int) -> Iterator[tuple[int, int]]:
    """Yield the row and column of each character of a string token's value."""
    quote = min(found for found in (string.find("'"), string.find('"')) if found >= 0)
    raw = "r" in string[:quote].lower()
    width = 3 if string[quote : quote + 3] in ('"""', "'''") else 1
    index = quote + width
    column += index
    while index < len(string) - width:
        escape = None if raw else ESCAPE.match(string, index)
        taken = escape.group() if escape else string[index]
        if not escape or escape.group(1) or taken == "\\":
            yield row, column
        index += len(taken)
        if taken.endswith("\n"):
            row, column = row + 1, 0
        else:
            column += len(taken)


def _undecodable(raw: bytes) -> int | None:
    """Return the offset of the first byte that is no text, None when all is."""
    if (nul := raw.find(0)) >= 0:
        return nul
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    except SyntaxError:  # from detect_encoding: no such encoding, or the first lines are not UTF-8
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            return error.start
    return None


def _not_text(path: Path, raw: bytes, offset: int) -> SourceError:
    before = re.split(b"\r\n|[\r\n]", raw[:offset])
    rest = re.split(b"[\r\n]", raw[offset:], maxsplit=1)[0]
    line = (before[-1] + rest).decode(errors="replace")
    fix = "save the file as UTF-8, or declare its encoding in the first line: # -*- coding: latin-1 -*-"
    if 0 in raw:  # no encoding that Python reads source in has it
        wide = raw.startswith((b"\xff\xfe", b"\xfe\xff")) or raw.count(0) * 3 > len(raw)
        fix = (
            f"iconv -f UTF-16 -t UTF-8 {path} > new.py" if wide else "delete the NUL byte, or take the whole file back"
        )
    return SourceError(
        f"not a text file in UTF-8: it holds the byte 0x{raw[offset]:02x}",
        code="E101",
        place=Place(path, len(before), len(before[-1].decode(errors="replace")) + 1, line),
        fix=fix,
    )
