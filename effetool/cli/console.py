"""What the tool says: results on stdout, everything else on stderr. Only importer of rich.

Lines, errors and their carets are written plainly, so that `build` and `info` start without rich; it is imported for
what it is good at: trees, tables and progress.
"""

from __future__ import annotations

import json as _json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as RichProgress

    from ..errors import EffeToolError, Place

__all__ = ["Console", "plain", "size_text", "time_text"]

# C0 and C1 controls, DEL, the bidirectional overrides and surrogates: a file name or an author's line may hold any of
# them, and none may reach a terminal.
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
STYLES = {"red": "1;31", "yellow": "1;33", "green": "1;32", "cyan": "36", "bold": "1", "dim": "2"}
STYLES |= {"magenta": "35", "blue": "34"}


def plain(text: str) -> str:
    """Return `text` with every control character written out, tabs kept."""
    return CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def size_text(size: int) -> str:
    """Return a size in bytes for people: `412 KB`."""
    if size < 1000:
        return f"{size} B"
    if size < 999_500:
        return f"{size / 1000:.0f} KB"
    return f"{size / 1_000_000:.1f} MB"


def time_text(seconds: float) -> str:
    """Return a duration in seconds for people: `0.25 s`, `12 s`."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _coloured(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


class Console:
    """Both streams of one command.

    Args:
        quiet: only results and errors.
        verbose: details too.
        json: one document on stdout instead of lines.
        tracebacks: show the traceback of an error as well.
    """

    def __init__(
        self, *, quiet: bool = False, verbose: bool = False, json: bool = False, tracebacks: bool = False
    ) -> None:
        self.quiet = quiet or json
        self.verbose = verbose
        self.json = json
        self.tracebacks = tracebacks
        self.colour = _coloured(sys.stderr)

    def styled(self, text: str, style: str) -> str:
        """Return `text` in a style where stderr shows colours."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.colour else text

    def write(self, line: str = "") -> None:
        """Write one line of status to stderr, unless quiet."""
        if not self.quiet:
            self._stderr(line)

    def detail(self, line: str) -> None:
        """Write one line to stderr when verbose."""
        if self.verbose:
            self._stderr(self.styled(plain(line), "dim"))

    def stage(self, verb: str, subject: str, seconds: float | None = None) -> None:
        """Write what happened, to what, and the time it took: `  check    hello/logic.py    0.03 s`."""
        taken = f"  {time_text(seconds):>8}" if seconds is not None else ""
        style = "green" if verb in ("built", "fresh", "created") else "cyan"
        self.write(f"  {self.styled(f'{verb:<8}', style)} {plain(subject):<58}{self.styled(taken, 'dim')}".rstrip())

    def result(self, text: str) -> None:
        """Write the result to stdout; a JSON document takes its place with `--json`."""
        if not self.json:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def document(self, value: object) -> None:
        """Write the one JSON document of `--json` to stdout."""
        if self.json:  # in ASCII: holds a file name that is not valid text, and suits any terminal
            sys.stdout.write(_json.dumps(value, default=str) + "\n")
            sys.stdout.flush()

    def next(self, steps: Sequence[tuple[str, str]]) -> None:
        """Write what to type next, each with a word on it."""
        width = max(len(command) for command, _ in steps)
        for number, (command, word) in enumerate(steps):
            label = "next:" if number == 0 else "     "
            self.write(f"{label}  {self.styled(command, 'bold')}{' ' * (width - len(command))}  {word}".rstrip())

    def warning(self, error: EffeToolError) -> None:
        """Draw something that did not stop the command."""
        if not self.quiet:
            self._draw(error, self.styled(f"warning[{error.code}]", "yellow"))

    def error(self, error: EffeToolError, about: str | None = None) -> None:
        """Draw an error: on stderr, and as the document on stdout with `--json`."""
        if self.json:
            self.document({"error": error.as_dict()})
        else:
            prefix = f"{plain(about)}: " if about else ""
            self._draw(error, prefix + self.styled(f"error[{error.code}]", "red"))
        if self.tracebacks:
            import traceback

            traceback.print_exception(error, file=sys.stderr)

    def table(self, rows: Iterable[Sequence[str]], header: Sequence[str]) -> None:
        """Write a table to stderr; the last columns are right-aligned numbers."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=True, show_edge=False, header_style="bold")
        for name in header:
            table.add_column(name, no_wrap=True, overflow="ignore", justify="right" if name in RIGHT else "left")
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        if not self.quiet:
            self.rich().print(table)

    def files(self, root: str, entries: Mapping[str, str]) -> None:
        """Write a tree of files below `root`, the root to stdout, each entry with a word on it."""
        self.result(root)
        width = max((len(name) for name in entries), default=0) + 2
        names = list(entries)
        for name in names:
            branch = "└──" if name == names[-1] else "├──"
            self.write(f"{branch} {plain(name):<{width}}{self.styled(entries[name], 'dim')}".rstrip())

    def progress(self, total: int) -> Progress:
        """Return a bar on stderr that counts to `total`, on a terminal only; a context manager."""
        return Progress(self.rich() if sys.stderr.isatty() and not self.quiet else None, total)

    def rich(self) -> RichConsole:
        """Return rich's console on stderr, never wrapping and never reading markup."""
        from rich.console import Console as RichConsole

        return RichConsole(stderr=True, markup=False, highlight=False, soft_wrap=True, emoji=False)

    def _draw(self, error: EffeToolError, title: str) -> None:
        self._stderr(f"{title}: {self.styled(plain(error.message), 'bold')}")
        if error.place is not None:
            self._draw_place(error.place, named=str(error.place.file) in error.message)
        for note in error.notes:
            for line in note.splitlines():
                self._stderr(f"  {plain(line)}")
        if error.fix:
            self._stderr(f"  {self.styled('fix:', 'green')} {plain(error.fix)}")

    def _draw_place(self, place: Place, *, named: bool) -> None:
        if place.line is None and named:  # the message says it already
            return
        self._stderr(f" {self.styled('-->', 'cyan')} {plain(str(place))}")
        if place.text is None:
            return
        number = str(place.line)
        bar = self.styled("|", "cyan")
        text, column = _window(place.text, place.column)
        self._stderr(f"{' ' * len(number)} {bar}")
        self._stderr(f"{self.styled(number, 'cyan')} {bar} {text}")
        if column is not None:
            self._stderr(f"{' ' * len(number)} {bar} {' ' * column}{self.styled('^', 'red')}")

    def _stderr(self, line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class Progress:
    """A progress bar, drawn while its `with` block runs; silent where there is no terminal."""

    def __init__(self, console: RichConsole | None, total: int) -> None:
        self._bar: RichProgress | None = None
        if console is not None:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
            from rich.progress import Progress as RichProgress

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
            self._bar = RichProgress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, subject: str) -> None:
        """Count one more, naming it."""
        if self._bar is not None:
            self._bar.update(self._task, advance=1, description=plain(subject))


RIGHT = frozenset({"size", "time", "ms", "seconds"})


def _window(text: str, column: int | None, width: int = 160) -> tuple[str, int | None]:
    """Return what of a source line is shown and the caret's offset in it, in cells."""
    first = 0
    if len(text) > width:
        first = max(0, (column or 1) - width // 2)
        text = text[first : first + width]
    shown = plain(text.replace("\t", "    "))
    if column is None:
        return shown, None
    return shown, _cells(plain(text[: max(column - 1 - first, 0)].replace("\t", "    ")))


def _cells(text: str) -> int:
    """Return how many cells of a terminal a line takes: a wide character two, a combining mark none (UAX 11)."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)
