"""Find the interpreter of an effe aside, while the loop goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..effe.project import Project

__all__ = ["Finding"]


class Finding(threading.Thread):
    """A thread that finds it: installing a new dependency takes its time, and no save waits for it."""

    def __init__(self, find: Callable[[Project], str], project: Project, environ: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._find = find
        self.project = project
        self.environ = environ
        self.python: str | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.python = self._find(self.project)
        except Exception as error:  # raised, or served, where the answer is taken
            self.error = error
