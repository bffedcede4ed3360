"""A built file, started for a test: the same requests over a Unix socket."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from .modules import originals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

__all__ = ["LoggedError", "Started"]

PATIENCE = 30.0  # seconds for the file to listen, and to end


class LoggedError(Exception):
    """What a built file wrote to its log about a run: type and text of the author's error."""


class Started:
    """Start a .pex and speak to it."""

    def __init__(self, pex: str, logic: ModuleType | str | os.PathLike[str], flags: Sequence[str]) -> None:
        self._pex = pex
        self._flags = flags
        name = os.path.splitext(os.path.basename(logic))[0] if isinstance(logic, (str, os.PathLike)) else logic.__name__
        _refuse_patched(name)

    def enter(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="effe-", dir=_short())
        self._address = os.path.join(self._folder, "socket")
        self._log = os.path.join(self._folder, "log")
        command = [os.path.abspath(self._pex), "-unix", self._address, "-log", "json", *self._flags]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    said = self._said()[-2000:]
                    self.leave()
                    raise RuntimeError(f"{self._pex} does not start:\n{said}") from None
                time.sleep(0.01)  # between two looks

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self._address)
        except OSError:
            connection.close()
            raise
        return connection

    def leave(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors = self.errors
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def errors(self) -> list[BaseException]:
        if not os.path.exists(self._log):
            return self._errors
        found: list[BaseException] = []
        for line in self._said().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # what the author printed
            if isinstance(record, dict) and record.get("level") in ("error", "critical"):
                found.append(LoggedError(record.get("error", record.get("message"))))
        return found

    @property
    def contexts(self) -> list[Any]:
        import pytest

        pytest.skip("a built file does not show its contexts")

    def _said(self) -> str:
        with open(self._log, encoding="utf-8", errors="replace") as log:
            return log.read()


def _short() -> str:
    """Return a folder whose name leaves room: the path of a Unix socket ends at 104 bytes (macOS) or 108."""
    folder = tempfile.gettempdir()
    return folder if len(folder) < 60 else "/tmp"  # noqa: S108 - mkdtemp makes the folder in it safe


def _refuse_patched(name: str) -> None:
    """Skip a test that has replaced something in the module: nobody can replace it inside a built file."""
    known, module = originals.get(name), sys.modules.get(name)
    if known is None or module is None:
        return
    replaced = [name for name, value in vars(module).items() if known.get(name, value) is not value]
    if replaced:
        import pytest

        pytest.skip(f"replaces {', '.join(replaced)} in the module, which a built file cannot see")
