"""What is promised is checked: each construct and each module that the lowest or newest Python promised has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from effetool.builder import Options, build
from effetool.builder.interpreters import find_pythons
from effetool.builder.requirements.imports import follow
from effetool.builder.verify.python_support import check_promise
from effetool.effe.project import find_one
from effetool.errors import DependencyError, SourceError
from tests.parts import need

from ..shelf import LOGIC

MATCH = "def f(x):\n    match x:\n        case 1:\n            return 2\n"


def refused(
    folder: Path, text: str, python: str | None, minors: tuple[int, int] = (9, 13), *names: str
) -> DependencyError | None:
    block = f'# /// script\n# requires-python = "{python}"\n# ///\n' if python else ""
    (folder / "logic.py").write_text(f"{block}{text}\n{LOGIC}")
    project = find_one(folder)
    try:
        check_promise(project, follow(project), python or ">=3.9", minors, names)
    except DependencyError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("text", "row", "column", "since"),
    [
        (MATCH, 2, 5, 10),
        ("try:\n    pass\nexcept* ValueError:\n    pass", 1, 1, 11),
        ("import json\nimport tomllib", 2, 8, 11),
        ("from typing import Any, Self", 1, 1, 11),
        ("from datetime import UTC", 1, 1, 11),
        ("from itertools import batched", 1, 1, 12),
    ],
)
def test_too_new_for_the_lowest(tmp_path: Path, text: str, row: int, column: int, since: int) -> None:
    error = refused(tmp_path, text, None)
    assert error is not None and error.code == "E148" and error.place is not None
    assert (error.place.line, error.place.column) == (row, column) and "without requires-python 3.9" in error.message
    line = f'# requires-python = ">=3.{since}"'
    assert str(error.fix).startswith(f"write above everything else, three lines: # /// script | {line} | # ///")
    error = refused(tmp_path, text, ">=3.9")
    assert error is not None and str(error.fix).startswith(f"write in the script block: {line}")
    assert refused(tmp_path, text, f">=3.{since}", (since, 13)) is None


def test_gone_from_the_newest(tmp_path: Path) -> None:
    error = refused(tmp_path, "import imp", ">=3.9")
    assert error is not None and error.fix == 'write in the script block: # requires-python = ">=3.9,<3.12"'
    error = refused(tmp_path, "from cgi import parse_header", None)
    assert error is not None and str(error.fix).endswith(", or declare legacy-cgi")
    assert refused(tmp_path, "import cgi", ">=3.9,<3.13", (9, 12)) is None
    assert refused(tmp_path, "import cgi", ">=3.9", (9, 13), "cgi") is None, "a dependency has it"


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import tomllib\nexcept ImportError:\n    tomllib = None",
        "import sys\nif sys.version_info >= (3, 11):\n    import tomllib",
        "def later():\n    import tomllib",
        "def later():\n    import newer",
    ],
)
def test_what_need_not_run_is_no_promise(tmp_path: Path, text: str) -> None:
    (tmp_path / "newer.py").write_text(MATCH)
    assert refused(tmp_path, text, None) is None


def test_a_module_beside(tmp_path: Path) -> None:
    (tmp_path / "newer.py").write_text(f"X = 1\n{MATCH}")
    error = refused(tmp_path, "import newer", None)
    assert error is not None and error.place is not None
    assert (error.place.file.name, error.place.line) == ("newer.py", 3)


@pytest.mark.parametrize(
    ("text", "row"), [('X = "a"\nY = f"{X!r:{"x"}}"', 2), ("type X = int", 1), ("def f[T](): pass", 1)]
)
def test_each_interpreter_that_is_here_compiles_it(tmp_path: Path, text: str, row: int) -> None:
    """What `ast` of the tool's own Python takes for an older one, or knows no version of."""
    (tmp_path / "logic.py").write_text(f"{text}\n{LOGIC}")
    with pytest.raises(
        (SourceError, DependencyError)
    ) as caught:  # E101 where the tool's own Python is too old to read it
        build(find_one(tmp_path), Options(dirout=tmp_path))
    assert caught.value.code in ("E101", "E148")
    assert caught.value.place is not None and caught.value.place.line == row


def test_by_the_real_interpreter(tmp_path: Path) -> None:
    """A star in an index: 3.11 has it, `ast` takes it for 3.9 too. The next that is here and takes it is named."""
    if not {9, 10} & find_pythons().keys():
        need("python3.9")
    next_one = min(minor for minor in find_pythons() if minor > 10)
    (tmp_path / "logic.py").write_text(f"def f(*args: *tuple): pass\n{LOGIC}")
    with pytest.raises(DependencyError) as caught:
        build(find_one(tmp_path), Options(dirout=tmp_path))
    assert caught.value.code == "E148" and caught.value.place is not None and caught.value.place.line == 1
    assert f'requires-python = ">=3.{next_one}"' in str(caught.value.fix)
