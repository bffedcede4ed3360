"""Where an error is: the author's innermost frame."""

import sys

import pytest

from effetool.develop.fault import authored, fault_of


def raised(source, path):
    """Run a source as the author's file, and return what it raised."""
    path.write_text(source)
    with pytest.raises(BaseException) as caught:
        exec(compile(source, str(path), "exec"), {})
    return caught.value


def test_the_frames_of_libraries_are_left_out(tmp_path):
    """An error deep in the standard library stands at the author's call."""
    fault = fault_of(raised("import json\n\njson.loads('{')\n", tmp_path / "logic.py"), "E305")
    assert (fault.code, fault.line, fault.text) == ("E305", 3, "json.loads('{')")
    assert fault.message.startswith("JSONDecodeError: Expecting property name")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="columns are PEP 657, Python 3.11")
def test_the_caret_counts_characters(tmp_path):
    """Letters of two bytes before the fault do not move the caret; tabs are drawn as four."""
    fault = fault_of(raised("if True:\n\tä = 'äää'; 1 / 0\n", tmp_path / "logic.py"), "E305")
    assert fault.column == 13
    lines = str(fault).splitlines()
    assert lines[3] == "2 |     ä = 'äää'; 1 / 0"
    assert lines[4] == "  |                ^"


def test_a_syntax_error_has_its_own_place(tmp_path):
    """The file and the column that the compiler names, not those of the import."""
    fault = fault_of(raised("x = (\n", tmp_path / "logic.py"), "E305")
    assert (fault.code, fault.line, fault.column) == ("E101", 1, 5)


def test_an_error_that_cannot_be_told(tmp_path):
    """A __str__ that raises is no second error."""
    source = "class E(Exception):\n    def __str__(self): raise ValueError\nraise E\n"
    assert fault_of(raised(source, tmp_path / "logic.py"), "E305").message == "E: (its __str__ raises)"


def test_whose_file_it_is(tmp_path):
    """Standard library, installed distributions and the tool are not the author's."""
    import json

    import effetool.develop.fault

    assert authored(str(tmp_path / "logic.py"))
    assert not authored(json.__file__)
    assert not authored(pytest.__file__)
    assert not authored(effetool.develop.fault.__file__)
    assert not authored("<string>")
