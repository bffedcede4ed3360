"""Programs the tests drive that Python does not bring: missing is a skip for a developer and a failure in CI."""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["need"]


def need(*programs: str) -> None:
    """Skip, saying what is missing; where `$CI` is set, fail: tests/parts.sh installs every part."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    words = f"{', '.join(missing)} not found: run tests/parts.sh"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)
