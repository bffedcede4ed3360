"""INFO in a checkout, read without running the module (effetool/runtime/info.py)."""

import json

import pytest

from effetool.runtime.info import InfoError, read


@pytest.fixture
def info(tmp_path):
    def of(source, name="logic.py"):
        (tmp_path / name).write_bytes(source if isinstance(source, bytes) else source.encode())
        return read(str(tmp_path if name == "logic.py" else tmp_path / name))

    return of


@pytest.mark.parametrize(
    "source",
    [
        "INFO = {'name': 'a', 'version': '1', 'doc': 'ü'}",
        "INFO: dict = {'name': 'a', 'version': '1', 'doc': 'ü'}",
        "X = INFO = {'name': 'a', 'version': '1', 'doc': 'ü'}",
        'INFO = \'{"name": "a", "version": "1", "doc": "ü"}\'',
        'raise SystemExit\nINFO = ("""{"name": "a",\n"version": "1",""" \'"doc": "ü"}\')',
        "# -*- coding: latin-1 -*-\nINFO = {'name': 'a', 'version': '1', 'doc': 'ü'}".encode("latin-1"),
    ],
)
def test_info_is_a_literal_or_a_string_of_json(info, source):
    """However it is assigned, and in whichever encoding the source is."""
    found = info(source)
    assert (found.name, found.version, found.doc, found.title) == ("a", "1", "ü", "a 1")
    assert json.loads(found.text) == {"name": "a", "version": "1", "doc": "ü"}


def test_an_effe_without_info_is_called_as_its_module(info):
    """It runs; only building names files."""
    found = info("def run(c, e, p, q): pass", "some.py")
    assert (found.text, found.name, found.title, found.module) == ("{}", None, "some", "some")
    assert info("INFO = {'name': 1, 'version': ''}").title == "logic"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("INFO = dict(a=1)", ":1: INFO is computed"),
        ("\nINFO = {'a': f'{x}'}", ":2: INFO is computed"),
        ("INFO = '{x}'", ":1: INFO is not JSON"),
        ("INFO = '[1]'", ":1: INFO is not a JSON object"),
        ("INFO = [1]", ":1: INFO is not a JSON object"),
        ("INFO = {'a': {1, 2}}", ":1: INFO is not JSON"),
        ("x = (", ":1: "),
        (b"\xff\xfe", ":1: "),
        (b"x\0y", ":1: "),
        ("INFO = " + "[" * 100_000, ":"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(info, source, said):
    """InfoError, one line, and never another exception."""
    with pytest.raises(InfoError) as caught:
        info(source)
    assert said in str(caught.value) and "\n" not in str(caught.value)
