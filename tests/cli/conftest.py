"""The command line as a user has it: a process, its two streams and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
# What would change the words or the colours of the tool.
STRAY = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "PYTHONWARNINGS")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment of its own: no colours forced, a home that is empty."""
    kept = {name: value for name, value in os.environ.items() if name not in STRAY and not name.startswith("EFFE_")}
    return {**kept, "HOME": str(tmp_path / "home"), "TERM": "xterm", "COLUMNS": "100", "LC_ALL": "C.UTF-8"}


@pytest.fixture
def effe_tool(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Run `effe-tool ARGUMENTS` in an empty directory; keywords as `subprocess.run`'s."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None, **options: object):
        return subprocess.run(
            [sys.executable, "-m", "effetool", *map(str, arguments)],
            **{
                "cwd": tmp_path,
                "capture_output": True,
                "encoding": "utf-8",
                "errors": "surrogateescape",
                "stdin": subprocess.DEVNULL,
                "timeout": 60,
                "env": {**environment, **(env or {})},
                **options,
            },
        )

    return run
