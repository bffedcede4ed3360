"""What `up` has to say while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import EffeToolError

__all__ = ["Event", "Say"]


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: line (of a child's output), built, ended, error, stopping, stopped, or up (all
            have been started, and HAProxy answers).
        name: whose: an effe's name, haproxy, or empty for the whole.
        text: in words.
        error: what a command draws instead.
    """

    kind: str
    name: str
    text: str = ""
    error: EffeToolError | None = None


Say = Callable[[Event], None]
