"""What went wrong in the author's code, and where: the innermost frame that is the author's own.

Made in the child, drawn by the parent on the terminal and by `page` for a client: the same text in both.
"""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig

from ..runtime.secrets import scrub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Optional

__all__ = ["Fault", "authored", "fault_of", "faulty_file"]

_RUNTIME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIBRARIES = tuple(
    {
        os.path.join(os.path.realpath(path), "")
        for key in ("stdlib", "platstdlib", "purelib", "platlib")
        if (path := sysconfig.get_path(key))
    }
)


class Fault:
    """An error for the author.

    `code` is the tool's, `message` one line; `file`, `line`, `column` (from 1) and `text` (the source line) say where,
    None where nobody can say; `fix` is what to do.
    """

    __slots__ = ("code", "column", "file", "fix", "line", "message", "text")

    def __init__(
        self,
        code: str,
        message: str,
        file: Optional[str] = None,
        line: Optional[int] = None,
        column: Optional[int] = None,
        text: Optional[str] = None,
        fix: Optional[str] = None,
    ) -> None:
        self.code, self.message = code, message
        self.file, self.line, self.column, self.text = file, line, column, text
        self.fix = fix

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return {name: getattr(self, name) for name in ("code", "message", "file", "line", "column", "fix", "text")}

    def __str__(self) -> str:
        """Draw it as the terminal does: title, place, source line, caret, fix."""
        lines = [f"error[{self.code}]: {self.message}"]
        if self.file is not None and self.line is not None:
            place = f"{shown(self.file)}:{self.line}" + (f":{self.column}" if self.column else "")
            lines.append(f" --> {place}")
            if self.text is not None:
                margin = " " * len(str(self.line))
                text = self.text.rstrip().replace("\t", "    ")
                lines += [f"{margin} |", f"{self.line} | {text}"]
                if self.column:
                    before = self.text[: self.column - 1].replace("\t", "    ")
                    lines.append(f"{margin} | {' ' * len(before)}^")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


def shown(file: str) -> str:
    """Return a file's name as the author types it: relative where it is below the working directory."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):
        return file
    return file if relative.startswith("..") else relative


def authored(file: str) -> bool:
    """Tell whether a file is the author's: no library's, not the runtime's, and a file at all."""
    if file.startswith("<"):
        return False
    real = os.path.realpath(file)
    if real.startswith(os.path.join(_RUNTIME, "")):
        return False
    return not real.startswith(_LIBRARIES) and f"{os.sep}site-packages{os.sep}" not in real


def fault_of(error: BaseException, code: str, what: str = "") -> Fault:
    """Make a fault of an exception; `what` is put before its type and text."""
    message = what + _described(error)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        text = error.text or linecache.getline(error.filename, error.lineno)
        return Fault(
            "E101", f"{what}{type(error).__name__}: {error.msg}", error.filename, error.lineno, error.offset or None,
            text.rstrip("\n") or None, "correct it and save: the effe is back by itself",
        )  # fmt: skip
    place = _innermost(error.__traceback__)
    fix = _fix(error)
    if place is None:
        return Fault(code, message, fix=fix)
    file, line, column = place
    linecache.checkcache(file)
    text = linecache.getline(file, line).rstrip("\n")
    if column is not None:  # the compiler counts bytes of UTF-8, people characters
        column = len(text.encode()[:column].decode(errors="replace")) + 1
    return Fault(code, message, file, line, column, text or None, fix)


def _described(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # an author's __str__ may raise
        text = "(its __str__ raises)"
    first = scrub(text.splitlines()[0]) if text else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _innermost(trace: Optional[TracebackType]) -> Optional[tuple[str, int, Optional[int]]]:
    found = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if authored(file):
            found = (file, trace.tb_lineno, _column(trace))
        trace = trace.tb_next
    return found


def _column(trace: TracebackType) -> Optional[int]:
    """Return the offset in bytes of what raised (PEP 657, Python 3.11)."""
    if sys.version_info < (3, 11):
        return None
    positions = list(trace.tb_frame.f_code.co_positions())
    place = trace.tb_lasti // 2
    return positions[place][2] if place < len(positions) else None


def _fix(error: BaseException) -> Optional[str]:
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        # What it is called on the index is not guessed: a like name may be a stranger's.
        return (
            f"declare the distribution that {error.name} is from in the script block, or write {top}.py beside the effe"
        )
    if isinstance(error, SystemExit):
        return "an effe does not exit: raise an error instead"
    return None


def faulty_file(error: BaseException, root: str) -> list[str]:
    """Return the files that would cure a failed import: the one with the error, or those that are missing."""
    if isinstance(error, SyntaxError) and error.filename:
        return [error.filename]
    if isinstance(error, ModuleNotFoundError) and error.name:
        base = os.path.join(root, *error.name.split("."))
        return [base + ".py", os.path.join(base, "__init__.py")]
    return []
