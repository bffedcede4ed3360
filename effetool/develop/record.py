"""Save what came in as `.http` files, which editors know and `effe-tool invoke` sends again."""

from __future__ import annotations

import os
import re
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Recorder"]

# These would put a password into a directory that is committed; a comment says that they were there.
SECRET = frozenset(("authorization", "cookie", "proxy-authorization", "x-api-key"))
# The sender sets these again.
FRAMING = frozenset(("content-length", "transfer-encoding", "connection", "expect", "accept-encoding"))
LIMIT = 9999


class Recorder:
    """Write each request into a file of its own in `folder`: `get-hello-1.http`, a binary body beside it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def record(self, request: Any, body: bytes) -> str | None:
        """Write one request; return its file, None where there are too many already."""
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        for name, value in request.headers.items():
            key = name.lower()
            if key in SECRET:
                lines.insert(0, f"# {name} was sent and is not kept here")
            elif key not in FRAMING:
                lines.append(f"{name}: {value}")
        text = _text(body)
        with self._lock:
            path = self._free(request)
            if path is None:
                return None
            if text is None:
                with open(path[: -len(".http")] + ".bin", "wb") as file:
                    file.write(body)
                text = f"< ./{os.path.basename(path)[: -len('.http')]}.bin"
            written = "\n".join(lines) + "\n" + (f"\n{text}\n" if text else "")
            with open(path, "w", encoding="utf-8", newline="\n") as file:
                file.write(written)
        return path

    def _free(self, request: Any) -> str | None:
        os.makedirs(self._folder, exist_ok=True)
        # A client chose the path: what is kept of it is a word, never a way to another directory.
        word = re.sub(r"[^a-z0-9]+", "-", request.path.lower()).strip("-")[:40] or "root"
        method = re.sub(r"[^a-z]", "", request.method.lower())[:16]
        for number in range(1, LIMIT + 1):
            path = os.path.join(self._folder, f"{method}-{word}-{number}.http")
            if not os.path.lexists(path):
                return path
        return None


def _text(body: bytes) -> str | None:
    """Return a body as text that a .http file can hold and give back unchanged; None where it cannot."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    plain = not any((ord(c) < 32 and c not in "\n\t") or c == "\x7f" for c in text)
    ends = text != text.rstrip("\n") or text != text.lstrip("\n")
    special = any(line.startswith(("###", "<")) or "{{" in line for line in text.split("\n"))
    return text if plain and not special and not ends else None
