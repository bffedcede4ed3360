"""effetool.error_codes: each code with its paragraph."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import effetool
from effetool.error_codes import CODES, explain
from effetool.errors import UsageError


def test_every_code_that_is_raised_is_explained() -> None:
    """Every `code="E…"` of the sources has an entry, and every entry is raised somewhere."""
    sources = Path(effetool.__file__).parent.rglob("*.py")
    text = "\n".join(path.read_text() for path in sources if path.name != "codes.py" and "runtime" not in path.parts)
    raised = set(re.findall(r'"(E\d{3})"', text))
    assert raised - set(CODES) == set()


def test_entries_are_sorted_sentences() -> None:
    """By number; a title without a full stop, a text that ends in one."""
    assert list(CODES) == sorted(CODES)
    for code, entry in CODES.items():
        assert re.fullmatch(r"E\d{3}", code)
        assert entry.title and not entry.title.endswith("."), code
        assert entry.text.endswith("."), code
        assert "\n" not in entry.text, code


def test_explain_takes_any_case() -> None:
    """What a user types from memory."""
    assert explain("e112") is CODES["E112"]


def test_explain_refuses_what_there_is_not() -> None:
    """Wrong usage."""
    with pytest.raises(UsageError, match="no error code 'E999'"):
        explain("E999")
