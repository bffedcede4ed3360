"""The convention of README.md beside this file: reading a page, comparing what it shows."""

from __future__ import annotations

import re

import pytest

from .page import PageError, matches, parse


def test_commands_and_outputs_of_a_console_block() -> None:
    """`$ ` begins a command, `> ` continues it, the rest is what it prints."""
    page = parse("text\n\n```console\n$ cat <<E\n> one\n> E\none\n$ true\n```\n")
    first, second = page.blocks[0].commands()
    assert (first.text, first.expected, first.line) == ("cat <<E\none\nE", ["one"], 4)
    assert (second.text, second.expected) == ("true", [])


def test_markers_belong_to_the_next_block() -> None:
    """A marker stands directly before its block; mark and checkout are the page's."""
    page = parse(
        "<!-- test: mark container -->\n\n<!-- test: exit 1 -->\n<!-- test: varies 42 -->\n```sh\nfalse\n```\n"
    )
    assert page.marks == ["container"]
    assert page.blocks[0].markers == {"exit": "1", "varies": "42"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```bash\nls\n```\n", "not 'bash'"),
        ("```console\nls\n```\n", "begins with `$ `"),
        ("```sh\nls\n", "not closed"),
        ("```text\n$ ls\n```\n", "make it console"),
        ("    effe-tool build\n", "outside a fence"),
        ("<!-- test: sleep 3 -->\n```sh\nls\n```\n", "no marker 'sleep'"),
        ("<!-- test: exit 1 -->\nprose\n", "directly before"),
        ("```python\nINFO = {}\ndef run(a, b, c, d): ...\n```\n", "names the file"),
    ],
)
def test_what_would_not_be_tested_is_refused(text: str, told: str) -> None:
    """A command that the runner would miss is an error of the page."""
    with pytest.raises(PageError, match=re.escape(told)):
        [block.commands() for block in parse(text).blocks if block.language == "console"]


@pytest.mark.parametrize(
    ("command", "background"), [("a &", True), ("a & # b", True), ("a && b", False), ("a 2>&1", False), ("a", False)]
)
def test_background(command: str, background: bool) -> None:
    """One `&` at the end leaves a command running."""
    assert parse(f"```console\n$ {command}\n```\n").blocks[0].commands()[0].background is background


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (["built in 0.25 s, 31 KB"], "built in 12 s,  1.4 KB\n"),
        (["a", "…", "b"], "a\nx\ny\nb\n"),
        (["a", "…", "b"], "a\nb\n"),
        (["sha256 …"], "sha256 9f2c\n"),
        (["Hello: 42"], "\x1b[1mHello: 7\x1b[0m"),
        ([], ""),
    ],
)
def test_alike(expected: list[str], actual: str) -> None:
    """Durations, sizes, `…`, texts that vary, spaces and colours may differ."""
    assert matches(expected, actual, ["42"])


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (["HTTP/1.1 404 Not Found"], "HTTP/1.1 200 OK\n"),
        (["Hello: 42"], "Hello: x\n"),
        (["a", "…", "b"], "a\nx\n"),
        ([], "x\n"),
        (["1.0"], "1.1\n"),
    ],
)
def test_not_alike(expected: list[str], actual: str) -> None:
    """Nothing else may differ."""
    assert not matches(expected, actual, ["42"])


def test_beginning() -> None:
    """A server may have said more by now."""
    assert matches(["ready"], "ready\nGET /\n", whole=False)
    assert not matches(["ready"], "failed\n", whole=False)
