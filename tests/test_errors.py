"""effetool.errors: what can go wrong, as values."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from effetool import errors
from effetool.effe.conventions import KEYS
from effetool.error_codes import CODES
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


def test_the_table_of_errors_names_what_is_raised() -> None:
    """The docstring of effetool.errors has each class with exactly the codes that the tool raises it with."""
    raised: dict[str, set[str]] = {"InfoError": {key.code for key in KEYS.values()}}
    for path in Path(errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
                for given in (word.value for word in node.keywords if word.arg == "code"):
                    texts = [one.value for one in ast.walk(given) if isinstance(one, ast.Constant)]
                    codes = {text for text in texts if isinstance(text, str) and re.fullmatch(r"E\d{3}", text)}
                    raised.setdefault(ast.unparse(node.func), set()).update(codes)
    table: dict[str, set[str]] = {}
    for name, line in re.findall(r"(\w+Error)  +(.*)", errors.__doc__ or ""):
        spans = [(first, last or first) for first, last in re.findall(r"(E\d{3})(?:–(E\d{3}))?", line)]
        table[name] = {code for first, last in spans for code in CODES if first <= code <= last}
    assert table == raised
