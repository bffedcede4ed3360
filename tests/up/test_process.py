"""effetool.up.process: a child, its lines, its readiness, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from effetool.up.process import LONGEST, Process, fate
from tests.deploy.conftest import eventually

from .conftest import gone


def child(code: str, notify: Path | None = None) -> tuple[Process, list[str], list[str]]:
    lines: list[str] = []
    return Process(lines.append, notify), lines, [sys.executable, "-c", code]


def test_lines_of_both_streams_are_told_whole() -> None:
    """One that never ends comes in pieces, and what is no UTF-8 is marked."""
    code = (
        "import sys; print('one', flush=True); print('two', file=sys.stderr, flush=True); "
        f"sys.stdout.buffer.write(b'x' * {3 * LONGEST} + b'\\n\\xff\\r\\nend')"
    )

    async def run() -> list[str]:
        process, lines, command = child(code)
        await process.start(command)
        assert await process.wait() == 0
        return lines

    lines = asyncio.run(run())
    assert (lines[:2], lines[-2:]) == (["one", "two"], ["\ufffd", "end"])
    assert "".join(lines[2:-2]) == "x" * 3 * LONGEST
    assert max(map(len, lines)) <= 2 * LONGEST


def test_readiness_is_what_it_says_itself(tmp_path: Path) -> None:
    """READY=1 at the socket it was given, as sd_notify(3) has it; the end before it is no readiness."""
    say = (
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        "s.connect(os.environ['NOTIFY_SOCKET']); s.send(b'STATUS=x\\nREADY=1'); time.sleep(300)"
    )

    async def run() -> None:
        process, _, command = child(say, tmp_path / "n")
        await process.start(command)
        assert await process.ready(60)
        await process.stop(60)
        assert await process.wait() == -15
        assert not process.running and not (tmp_path / "n").exists()
        process, _, command = child("raise SystemExit(3)", tmp_path / "n")
        await process.start(command)
        assert not await process.ready(60)
        assert await process.wait() == 3
        process, _, command = child("import time; time.sleep(300)", tmp_path / "n")
        await process.start(command)
        assert not await process.ready(0.01)
        process.kill()
        assert await process.wait() == -9

    asyncio.run(run())


def test_who_does_not_end_is_ended_with_its_children() -> None:
    """SIGKILL goes to all of its session."""
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "p = subprocess.Popen(['sleep', '300']); print(p.pid, flush=True); time.sleep(300)"
    )

    async def run() -> int:
        process, lines, command = child(code)
        await process.start(command)
        while not lines:
            await asyncio.sleep(0.01)
        await process.stop(0.1)
        assert await process.wait() == -9
        return int(lines[0])

    grandchild = asyncio.run(run())
    eventually(lambda: gone(grandchild), "its child is ended too")


def test_the_end_does_not_wait_for_what_it_has_left_behind() -> None:
    """A grandchild in a session of its own keeps the pipe open: the end is the child's all the same."""
    code = "import subprocess; p = subprocess.Popen(['sleep', '300'], start_new_session=True); print(p.pid)"

    async def run() -> int:
        process, lines, command = child(code)
        await process.start(command)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        return int(lines[0])

    left = asyncio.run(run())
    assert not gone(left)
    os.kill(left, signal.SIGKILL)


def test_what_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OSError, and nothing is left."""

    async def run() -> None:
        process, _, _ = child("", tmp_path / "n")
        monkeypatch.setattr("effetool.up.process.lifeline", lambda: ())  # setpriv would start, and say so itself
        with pytest.raises(FileNotFoundError):
            await process.start([str(tmp_path / "nothing")])

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("code", "words"), [(0, "exit status 0"), (-9, "signal SIGKILL"), (-99, "signal 99")])
def test_fate(code: int, words: str) -> None:
    """In words."""
    assert fate(code) == words
