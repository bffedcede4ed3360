"""effetool.errors: what can go wrong, as values."""

from __future__ import annotations

from pathlib import Path

import pytest

from effetool import errors
from effetool.errors import EffeToolError, Place, UsageError


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Place(Path("a.py")), "a.py"),
        (Place(Path("a.py"), 3), "a.py:3"),
        (Place(Path("a.py"), 3, 7), "a.py:3:7"),
        (Place(Path("a.py"), None, 7), "a.py"),
    ],
)
def test_a_place_is_written_as_editors_read_it(place: Place, expected: str) -> None:
    """file:line:column, as far as it is known."""
    assert str(place) == expected


def test_as_dict_is_the_json_document() -> None:
    """All six keys, always: who reads it need not ask which are there."""
    error = EffeToolError("no", code="E101", fix="yes", place=Place(Path("a.py"), 3, 7, "text"))
    assert error.as_dict() == {
        "code": "E101",
        "message": "no",
        "file": "a.py",
        "line": 3,
        "column": 7,
        "fix": "yes",
    }
    assert EffeToolError("no", code="E101").as_dict() == {
        "code": "E101",
        "message": "no",
        "file": None,
        "line": None,
        "column": None,
        "fix": None,
    }


def test_only_wrong_usage_exits_2() -> None:
    """Every child is exported, drawn in the docstring and exits 1, the usage error 2."""
    children = EffeToolError.__subclasses__()
    assert {child.__name__ for child in children} | {"EffeToolError", "Place"} == set(errors.__all__)
    for child in children:
        assert child.exit_code == (2 if child is UsageError else 1)
        assert errors.__doc__ is not None and child.__name__ in errors.__doc__
