"""Podman and docker, where they are: to load an image, or to build one from a Containerfile."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from ..errors import EngineError

__all__ = ["ENGINES", "find_engine", "load", "run"]

ENGINES = ("podman", "docker")


def find_engine(name: str | None = None) -> str:
    """Return the engine of that name, or the first that is installed and answers.

    Raises:
        EngineError: E401 when there is none.
    """
    if name is not None and name not in ENGINES:
        raise EngineError(f"no such engine: {name}", code="E401", fix="--engine podman or --engine docker")
    installed = [engine for engine in ENGINES if name in (None, engine) and shutil.which(engine)]
    for engine in installed:
        if len(installed) == 1 or _answers(engine):
            return engine
    raise EngineError(
        f"{name or 'neither podman nor docker'} is {'not ' if name else ''}installed",
        code="E401",
        fix="install podman; --output FILE writes the image and --push REF sends it without an engine",
    )


def _answers(engine: str) -> bool:
    return subprocess.run([engine, "version"], capture_output=True, timeout=60).returncode == 0


def load(engine: str, write: Callable[[IO[bytes]], object]) -> None:
    """Hand an engine the archive that `write` writes.

    Raises:
        EngineError: E401 with the engine's own last lines.
    """
    with subprocess.Popen(
        [engine, "load"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            write(process.stdin)
            process.stdin.close()
        except BrokenPipeError:  # it refused; why stands on stderr
            pass
        words = process.stderr.read().decode(errors="replace")
    if process.returncode:
        raise _refused(engine, "load", words)


def run(engine: str, words: Sequence[str], cwd: Path) -> None:
    """Run an engine's command.

    Raises:
        EngineError: E401 with its last lines.
    """
    done = subprocess.run([engine, *words], cwd=cwd, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise _refused(engine, words[0], done.stderr)


def _refused(engine: str, word: str, said: str) -> EngineError:
    lines = tuple(line for line in said.splitlines() if line.strip())
    return EngineError(f"{engine} {word} failed", code="E401", notes=lines[-5:], fix=f"{engine} info")
