"""See a save within one look: stat of the few files an effe consists of and imports.

No inotify: it knows directories, overflows, and differs on each system; fifty files cost 0.1 ms to stat, and a thousand
others that lie around cost nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

__all__ = ["INTERVAL", "Watch"]

INTERVAL = 0.05  # seconds between two looks: half of it is what a save waits on average
# An editor that writes by rename, and a checkout, take a file away before the new one is there.
AWAY = 0.4
# A file that was cut to nothing is about to be written.
EMPTY = 0.1

Signature = tuple[int, int, int] | None


class Watch:
    """The files of an effe and what they were when last seen."""

    def __init__(self) -> None:
        self._seen: dict[str, Signature] = {}
        self._since: dict[str, float] = {}

    def add(self, paths: Iterable[str]) -> None:
        """Watch further files; what they are now is what they were."""
        for path in paths:
            if path not in self._seen:
                self._seen[path] = _signature(path)

    def replace(self, paths: Iterable[str]) -> None:
        """Watch these files only; a change since the last look at one that stays is still a change."""
        wanted = set(paths)
        self._seen = {path: seen for path, seen in self._seen.items() if path in wanted}
        self.add(wanted)

    @property
    def paths(self) -> frozenset[str]:
        """The files that are watched."""
        return frozenset(self._seen)

    def look(self) -> list[str]:
        """Return the files that changed since they were last returned; a file in the middle of a save is not yet."""
        changed = []
        now = time.monotonic()
        for path, seen in self._seen.items():
            found = _signature(path)
            if found == seen:
                self._since.pop(path, None)
                continue
            patience = AWAY if found is None else EMPTY if found[1] == 0 else 0.0
            if now - self._since.setdefault(path, now) < patience:
                continue
            changed.append(path)
            self._seen[path] = found
            self._since.pop(path, None)
        return changed


def _signature(path: str) -> Signature:
    try:
        found = os.stat(path)  # noqa: PTH116 - twenty times a second
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
