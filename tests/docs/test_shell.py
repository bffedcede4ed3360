"""The shell that pages are typed into: jobs, ports, failures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .page import parse
from .shell import PageFailure, Shell

SERVER = "python -u -m http.server 8080 --bind 127.0.0.1"


def play(tmp_path: Path, text: str) -> Shell:
    """Type a page; returns its shell, ended."""
    page = parse(text)
    here = tmp_path / "here"
    here.mkdir(parents=True)
    with Shell(here, page, tmp_path / "cache") as shell:
        for block in page.blocks:
            shell.run(block)
    assert shell._members() == set()
    return shell


def test_directory_variables_and_files_last(tmp_path: Path) -> None:
    """cd and variables last from block to block; a named block is a file where the shell stands."""
    play(
        tmp_path,
        "```sh\nmkdir a\ncd a  # here\nX='1\n2'\n```\n"
        "```json b.json\n{}\n```\n"
        "```console\n$ cat b.json; echo $X\n{}\n1 2\n```\n",
    )


def test_job_serves_until_it_is_killed(tmp_path: Path) -> None:
    """`&` leaves a server running, ready when its port answers; the reader's port is replaced on both sides."""
    curl = "curl -o out -w '%{http_code} %{remote_port}\\n' localhost:8080"
    shell = play(tmp_path, f"```console\n$ {SERVER} &\n$ {curl}\n200 8080\n$ kill %1\n```\n")
    assert shell.ports["8080"] != "8080"


def test_serves_marker(tmp_path: Path) -> None:
    """The last command of a block marked `serves` runs on while the next block is typed."""
    play(
        tmp_path,
        f"<!-- test: serves -->\n```sh\ntrue\n{SERVER}  # a comment\n```\n```sh\ncurl -f -o out localhost:8080\n```\n",
    )


def test_interrupt(tmp_path: Path) -> None:
    """`^C` is typed when what stands before it was printed; what follows is compared then."""
    play(tmp_path, f"```console\n$ {SERVER}\nServing HTTP on …\n^C\n\nKeyboard interrupt received, exiting.\n```\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\nfalse\n```\n", "exit status 1, not 0"),
        ("```console\n$ echo a\nb\n```\n", "another output"),
        ("```console\n$ echo a\n```\n", "another output"),
        ("```console\n$ false &\n```\n", "it ended"),
        ("```sh\nexit 3\n```\n", "ended its shell"),
    ],
)
def test_failures_are_told(tmp_path: Path, text: str, told: str) -> None:
    """Whatever the page does not show fails the page."""
    with pytest.raises(PageFailure, match=told):
        play(tmp_path, text)


def test_nothing_of_the_developer_reaches_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME is fresh, the tool's own variables are gone."""
    monkeypatch.setenv("EFFE_PORT", "1")
    play(
        tmp_path, '```sh\ntest -z "$EFFE_PORT"\ntest ! -e ~/.bashrc\ntest "$HOME" != ' + os.environ["HOME"] + "\n```\n"
    )
