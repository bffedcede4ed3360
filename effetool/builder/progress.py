"""What a build reports while it works."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Clock", "Progress", "Step", "quiet"]


@dataclass(frozen=True)
class Step:
    """One thing that a build did.

    Attributes:
        stage: check, resolve, base, bundle, verify, built, scie or fresh.
        subject: what it was done to.
        detail: what came of it.
        seconds: how long it took.
    """

    stage: str
    subject: str
    detail: str
    seconds: float


Progress = Callable[[Step], None]


def quiet(step: Step) -> None:
    """Report nothing."""


class Clock:
    """Report each step with the time since the one before."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._then = time.perf_counter()

    def step(self, stage: str, subject: str, detail: str) -> None:
        now = time.perf_counter()
        self._progress(Step(stage, subject, detail, now - self._then))
        self._then = now
