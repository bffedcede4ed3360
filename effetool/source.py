"""An author's module as text and syntax tree: read, never run."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path

from .errors import Place, SourceError

__all__ = ["Source", "read_source"]


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
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror}",
            code="E150",
            place=Place(path),
            fix="check the path and its permissions",
        ) from error
    try:
        with warnings.catch_warnings():  # an invalid escape in the author's text is for the author's linter
            warnings.simplefilter("ignore")
            tree = ast.parse(raw, filename=str(path))
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        text = raw.decode(encoding)
    except SyntaxError as error:
        column = max(error.offset, 1) if error.offset else None
        line = (error.text or "").rstrip("\r\n") or None
        raise SourceError(
            error.msg,
            code="E101",
            place=Place(path, error.lineno, column, line),
            fix="correct the line, then run the command again",
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes, a wrong encoding, nesting too deep
        raise SourceError(
            f"not Python: {error}", code="E101", place=Place(path), fix="check that this is the right file"
        ) from error
    return Source(path, tuple(text.splitlines()), tree)
