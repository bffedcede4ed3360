"""What a build keeps for the next: pex bases, compiled code, resolutions. Losing it costs time, nothing else.

An entry is a file whose first line is the SHA-256 of the rest. It is written beside and renamed, so a reader sees
all of it or nothing, and an entry that does not fit its digest (a full disk, a flipped bit, a hand) counts as
missing. The folder is the user's alone (0700); one that another user owns or may write to is not used at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from ...effe.artifact import open_regular
from .files import write_atomic

__all__ = ["Cache"]


class Cache:
    """Entries under `root`, each named by a kind and a key that holds everything it depends on.

    With no root, or one that cannot be written or trusted, nothing is found and nothing is kept.
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root if root is not None and _own(root) else None

    def path(self, kind: str, key: str) -> Path | None:
        """Return where an entry is or would be."""
        return None if self.root is None else self.root / kind / key

    def get(self, kind: str, key: str) -> bytes | None:
        """Return an entry, None when it is missing or damaged."""
        path = self.path(kind, key)
        if path is None:
            return None
        try:
            with open_regular(path) as file:
                raw = file.read()
        except OSError:
            return None
        digest, _, data = raw.partition(b"\n")
        if hashlib.sha256(data).hexdigest().encode() != digest:
            return None
        return data

    def put(self, kind: str, key: str, data: bytes) -> None:
        """Keep an entry; where that fails, the next build does the work again."""
        path = self.path(kind, key)
        if path is None:
            return
        digest = hashlib.sha256(data).hexdigest().encode()
        with contextlib.suppress(OSError):
            write_atomic(path, digest + b"\n" + data)


def _own(root: Path) -> bool:
    """Make `root` and tell whether it can be trusted: ours, and writable by nobody else."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = root.stat()
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
