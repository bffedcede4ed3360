"""What each effe's module held when its tests were collected: so a test against a built file sees what was patched."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["originals"]

originals: dict[str, dict[str, Any]] = {}
