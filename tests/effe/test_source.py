"""effetool.effe.source: an author's module as text and tree, and places in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from effetool.effe.source import MAX_SOURCE, Source, read_source
from effetool.errors import SourceError


def source_of(directory: Path, text: str | bytes) -> Source:
    path = directory / "effe.py"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_source(path)


def string_of(source: Source) -> ast.Constant:
    return next(node for node in ast.walk(source.tree) if isinstance(node, ast.Constant))


@pytest.mark.parametrize(
    ("text", "line", "column", "shown"),
    [
        (b"def f(:\n", 1, 7, "def f(:"),
        (b"x = 1\r\n\tif:\r\n", 2, 1, "\tif:"),
        (b'x = "\xff"\n', 1, 6, 'x = "\ufffd"'),
        (b'# -*- coding: ascii -*-\nx = "\xc3\xa9"\n', 2, 6, 'x = "é"'),
        (b"x = 1\ny = '\0'\n", 2, 6, "y = '\0'"),
        (b"# coding: nope\n", 1, 1, "# coding: nope"),
    ],
)
def test_the_place_of_what_is_not_python(text: bytes, line: int, column: int, shown: str, tmp_path: Path) -> None:
    """E101 with the line as it stands in the file, the column in characters."""
    with pytest.raises(SourceError) as caught:
        source_of(tmp_path, text)
    place = caught.value.place
    assert caught.value.code == "E101"
    assert place is not None
    assert (place.line, place.column) == (line, column)
    assert place.text == shown


@pytest.mark.parametrize("text", ["x = " + "-" * 100_000 + "1", "x = " + "+".join(["1"] * 100_000), "(" * 5000])
def test_nesting_without_end_is_an_error_not_a_crash(text: str, tmp_path: Path) -> None:
    """Whatever the parser's limits are in this Python."""
    with pytest.raises(SourceError) as caught:
        source_of(tmp_path, text)
    assert caught.value.code == "E101"


def test_a_file_without_end_is_not_read_whole(tmp_path: Path) -> None:
    """A sparse file of a gigabyte is refused after the limit."""
    path = tmp_path / "effe.py"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(SourceError, match=f"larger than {MAX_SOURCE} bytes"):
        read_source(path)


def test_what_cannot_be_read_is_e150(tmp_path: Path) -> None:
    """With the system's word."""
    with pytest.raises(SourceError, match="Is a directory") as caught:
        read_source(tmp_path)
    assert caught.value.code == "E150"


def test_lines_end_as_in_python(tmp_path: Path) -> None:
    """A form feed, U+2028 or U+0085 ends none, so that lines and columns are Python's."""
    source = source_of(tmp_path, "a = 1\x0c\r\nb = '\u2028\x85'\rc = 3\n")
    assert source.lines == ("a = 1\x0c", "b = '\u2028\x85'", "c = 3", "")
    assert [node.lineno for node in source.tree.body] == [1, 2, 3]
    assert source.line(3) == "c = 3"
    assert source.line(0) == source.line(99) == ""


def test_columns_are_characters(tmp_path: Path) -> None:
    """`ast` counts bytes of UTF-8."""
    source = source_of(tmp_path, 'x = "ü€😀", y\n')
    value = source.tree.body[0].value  # type: ignore[attr-defined]
    place = source.at(value.elts[1])
    assert (place.line, place.column, place.text) == (1, 12, 'x = "ü€😀", y')


def test_the_place_of_a_name_in_its_def(tmp_path: Path) -> None:
    """The caret stands under the name, also where the word occurs before it."""
    source = source_of(tmp_path, "if 1:\n  async  def   f(f): pass\n\nclass  C: pass\n")
    function = source.tree.body[0].body[0]  # type: ignore[attr-defined]
    assert source.at_name(function).column == 16
    assert source.at_name(source.tree.body[1]).column == 8  # type: ignore[arg-type]


INSIDE = {
    "plain": ("x = 'abcX'", 3, (1, 9)),
    "raw": (r"x = r'\nX'", 2, (1, 9)),
    "bytes prefix letters in any case": (r"x = Rb'\nX'", 2, (1, 10)),
    "escapes": (r"x = '\n\x41\u00e9\U0001f600\N{BULLET}\101\\X'", 7, (1, 44)),
    "an unknown escape is two characters": (r"x = '\q\dX'", 4, (1, 10)),
    "a continued line": ("x = 'ab\\\ncdX'", 4, (2, 3)),
    "three quotes": ('x = """a\n  "b" X"""', 8, (2, 7)),
    "joined on one line": ("x = 'a' \"b\"  'X'", 2, (1, 15)),
    "joined over lines, with a comment": ("x = ('ab' # '\n\t'cX')", 3, (2, 4)),
    "after wide characters": ("x = 'ü😀X'", 2, (1, 8)),
    "indented": ("if 1:\n    x = '''a\nX'''", 2, (3, 1)),
    "past the end": ("x = 'ab'", 2, (1, 8)),
}


@pytest.mark.parametrize("case", INSIDE)
def test_the_place_of_a_character_in_a_string(case: str, tmp_path: Path) -> None:
    """Escapes, prefixes, joins and line ends are followed to the column in the file."""
    text, position, expected = INSIDE[case]
    source = source_of(tmp_path, text + "\n")
    place = source.inside(next(node.value for node in ast.walk(source.tree) if isinstance(node, ast.Assign)), position)
    assert (place.line, place.column) == expected
    if case != "past the end":
        assert place.text is not None and place.text[(place.column or 0) - 1] == "X"
