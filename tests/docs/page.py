"""Read a Markdown page into the blocks a reader would type: pure, no process, no file.

The convention is told in README.md beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Block", "Command", "Page", "PageError", "matches", "parse"]

FENCE = re.compile(r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
MARKER = re.compile(r"^\s*<!-- test: (?P<text>.+?) -->\s*$")
MARKERS = {"serves", "exit", "varies", "skip", "needs", "mark", "checkout"}
# Languages that are never run. Anything else is a mistake: a command in `bash` would not be tested.
SHOWN = {"text", "python", "json", "toml", "yaml", "ini", "html", "css", "javascript", "http", "haproxy", "dockerfile"}
SHOWN |= {"markdown", "jinja", "diff", "systemd", "make"}
RUN = {"console", "sh"}


class PageError(Exception):
    """The page breaks the convention; the message says where."""


@dataclass
class Command:
    """One command, and what the page says it prints (None: the page does not say)."""

    text: str
    line: int
    expected: list[str] | None = None

    @property
    def background(self) -> bool:
        """The command ends with a single `&`."""
        return bool(re.search(r"(?<![&>|])&\s*(#[^'\"]*)?$", self.text))

    @property
    def interrupted(self) -> bool:
        """The page shows `^C`: the command is stopped as a reader would stop it."""
        return self.expected is not None and "^C" in self.expected


@dataclass
class Block:
    """One fenced block.

    Attributes:
        language: the first word after the fence.
        name: the second word: the file the block is written to.
        markers: what the comments before the block say, by their first word.
        line: of the opening fence, from 1.
    """

    language: str
    name: str | None
    text: str
    line: int
    markers: dict[str, str] = field(default_factory=dict)

    def commands(self) -> list[Command]:
        """Return the commands of a `console` block, each with its output.

        Raises:
            PageError: text before the first `$ `.
        """
        found: list[Command] = []
        for number, line in enumerate(self.text.splitlines(), self.line + 1):
            if line.startswith("$ "):
                found.append(Command(line[2:], number, []))
            elif not found:
                raise PageError(f"line {number}: a console block begins with `$ `, not {line!r}")
            elif line.startswith("> ") and not found[-1].expected:
                found[-1].text += "\n" + line[2:]
            else:
                found[-1].expected.append(line)  # type: ignore[union-attr]
        return found


@dataclass
class Page:
    """Every block of a page, in order; `marks` are pytest's, `checkout` the name of a copy of the project."""

    blocks: list[Block]
    marks: list[str]
    checkout: str | None = None

    @property
    def ports(self) -> set[str]:
        """Every port the page speaks of, and 8080, which an effe takes by itself."""
        return {"8080"} | {
            port
            for block in self.blocks
            for port in re.findall(
                r"(?:localhost:|127\.0\.0\.1:|\[::1\]:|0\.0\.0\.0:|-p(?:ort)?[ =]|PORT=)(\d{4,5})\b", block.text
            )
        }


def parse(text: str) -> Page:
    """Read a page.

    Raises:
        PageError: a fence that is not closed, an unknown language or marker, a command outside a fence.
    """
    page = Page([], [])
    pending: dict[str, str] = {}
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if marker := MARKER.match(line):
            word, _, rest = marker["text"].partition(" ")
            if word not in MARKERS:
                raise PageError(f"line {number}: no marker {word!r}; there are {', '.join(sorted(MARKERS))}")
            if word == "mark":
                page.marks.append(rest)
            elif word == "checkout":
                page.checkout = rest
            else:
                pending[word] = rest
            continue
        opening = FENCE.match(line)
        if opening is None:
            if line.strip() and pending:
                raise PageError(f"line {number}: a marker stands directly before its block")
            if re.match(r"(?: {4,}|\t)(?:\$ |effe-tool |curl |\./\S+\.pex)", line):
                raise PageError(f"line {number}: a command outside a fence is never run: {line.strip()!r}")
            continue
        page.blocks.append(_block(opening, number, lines, pending))
        pending = {}
    if pending:
        raise PageError(f"a marker at the end of the page has no block: {pending}")
    return page


def _block(opening: re.Match[str], number: int, lines: Iterator[tuple[int, str]], markers: dict[str, str]) -> Block:
    words = opening["info"].split()
    language = words[0] if words else ""
    if language not in SHOWN | RUN:
        raise PageError(
            f"line {number}: a block is {', '.join(sorted(RUN))} (run) "
            f"or {', '.join(sorted(SHOWN))} (shown), not {language!r}"
        )
    body: list[str] = []
    for _, line in lines:
        if line.strip().startswith(opening["fence"]) and not line.strip().strip(opening["fence"][0]):
            break
        body.append(line.removeprefix(opening["indent"]))
    else:
        raise PageError(f"line {number}: the fence is not closed")
    text = "".join(line + "\n" for line in body)
    block = Block(language, words[1] if len(words) > 1 else None, text, number, markers)
    if language in SHOWN and re.search(r"^\$ ", text, re.M):
        raise PageError(f"line {number}: a {language} block shows a command: make it console")
    if language == "python" and block.name is None and re.search(r"^INFO\b", text, re.M) and "def run(" in text:
        raise PageError(f"line {number}: a whole effe names the file it is: ```python logic.py")
    return block


ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What no two runs agree on: a duration, a size, the time of day.
VARIES = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?= ?(?:ns|µs|ms|s|B|KB|MB|KiB|MiB)\b)")
CLOCK = re.compile(r"\b\d\d:\d\d:\d\d\b")
ANY = ("…", "...")


def matches(expected: list[str], actual: str, varies: list[str] | None = None, whole: bool = True) -> bool:
    """Tell whether `actual` is what the page shows, or begins so where it is not the whole of it.

    A line `…` stands for any lines, `…` in a line for any text. Durations, sizes, times of day and each text in
    `varies` may differ (a number by a number, else a word by a word). Runs of spaces are equal, colours do not count.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() in ANY else _line(line, varies or []) + r"\n" for line in _trimmed(expected)
    )
    text = "".join(line + "\n" for line in _trimmed(ESCAPE.sub("", actual).splitlines()))
    return (re.fullmatch if whole else re.match)(pattern, text) is not None


def _trimmed(lines: list[str]) -> list[str]:
    """Return the lines without trailing spaces, and without empty ones at the end."""
    text = "\n".join(line.rstrip() for line in lines)
    return text.rstrip("\n").split("\n") if text.strip() else []


def _line(line: str, varies: list[str]) -> str:
    parts = [
        CLOCK.pattern,
        VARIES.pattern,
        r"…|\.\.\.",
        r"\s+",
        *(rf"(?<!\w){re.escape(text)}(?!\w)" for text in varies),
    ]

    def one(match: re.Match[str]) -> str:
        text = match.group()
        if text in ANY:
            return ".*?"
        if text.isspace():
            return r"\s+"
        if CLOCK.fullmatch(text):
            return CLOCK.pattern
        return r"\d+(?:\.\d+)?" if re.fullmatch(r"[\d.]+", text) else r"\S+"

    done, pattern = 0, ""
    for match in re.finditer("|".join(f"(?:{part})" for part in parts), line.rstrip()):
        pattern += re.escape(line[done : match.start()]) + one(match)
        done = match.end()
    return pattern + re.escape(line.rstrip()[done:])
