"""The numbers that probe, drain, time-out and scaling share: each stands here or in the runtime's flags, once."""

from __future__ import annotations

from dataclasses import dataclass

from ..effe.conventions import Conventions
from ..runtime.flags import Settings

__all__ = ["ADMIN", "PORT", "USER", "Numbers", "numbers"]

PORT = 8080  # the main port inside a container
ADMIN = 9090  # /live, /ready, /metrics
USER = 65532  # who an image runs as
# Seconds after the end was announced in which load balancers still send: endpoints travel that slowly.
DRAIN = 5
# Seconds to stop the contexts in, after the last answer.
STOP = 5
# The shares of what one process can do at which another one is wanted: docs/explanation/scaling.md.
CPU_TARGET = 0.5
CONTEXTS_TARGET = 0.5


@dataclass(frozen=True)
class Numbers:
    """Times are whole seconds.

    Attributes:
        concurrency: runs at once in one process.
        timeout: a run's time to its first byte.
        drain: how long requests are still taken after the end was announced.
        grace: how long runs in flight may take after that: as long as any run may.
        termination: after which the platform kills.
        cpu: thousandths of a core that one process uses on average when another one is wanted.
        contexts: contexts in use on average when another process is wanted.
        memory: bytes it may take, None for no limit.
    """

    concurrency: int
    timeout: int
    drain: int
    grace: int
    termination: int
    cpu: int
    contexts: int
    memory: int | None


def numbers(conventions: Conventions) -> Numbers:
    """Return the numbers of one effe."""
    flags = Settings()
    concurrency = conventions.concurrency or flags.concurrency
    grace = int(max(flags.timeout, flags.grace))
    return Numbers(
        concurrency=concurrency,
        timeout=int(flags.timeout),
        drain=DRAIN,
        grace=grace,
        termination=DRAIN + grace + STOP,
        cpu=int(1000 * CPU_TARGET),
        contexts=max(1, int(concurrency * CONTEXTS_TARGET)),
        memory=conventions.memory,
    )
