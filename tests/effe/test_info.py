"""effetool.effe.info: INFO, read without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from effetool.effe.info import MAX_INFO, Info, check_name, check_version, parse_info, read_info
from effetool.errors import InfoError, Place


def info_of(directory: Path, text: str) -> Info:
    path = directory / "effe.py"
    path.write_text(text, encoding="utf-8")
    return read_info(path)


def refused(directory: Path, text: str) -> InfoError:
    with pytest.raises(InfoError) as caught:
        info_of(directory, text)
    return caught.value


FIT = {
    "a dict literal": 'INFO = {"name": "a", "version": "1"}',
    "annotated": 'INFO: dict[str, str] = {"name": "a", "version": "1"}',
    "two names": 'OTHER = INFO = {"name": "a", "version": "1"}',
    "joined strings": 'INFO = {"na" "me": "a", "version": "1"}',
    "JSON": """INFO = '{"name": "a", "version": "1"}'""",
    "JSON joined of strings": """INFO = ('{"name": "a",' ' "version": "1"}')""",
    "the last one counts, as when it runs": 'INFO = {"name": "b"}\nINFO = {"name": "a", "version": "1"}',
    "read afterwards": 'INFO = {"name": "a", "version": "1"}\nV = INFO["version"]; N = INFO.get("name"); print(INFO)',
    "another one in a function": 'INFO = {"name": "a", "version": "1"}\ndef f():\n    INFO = 3\nclass C:\n  INFO = 4',
}


@pytest.mark.parametrize("case", FIT)
def test_what_is_read(case: str, tmp_path: Path) -> None:
    """A literal at the top level, in any way Python writes one."""
    info = info_of(tmp_path, FIT[case])
    assert (info.text, info.name, info.version) == ('{"name": "a", "version": "1"}', "a", "1")
    assert info.usable
    assert info.stem == "a-1"
    assert info.doc == ""


COMPUTED = {
    'INFO = dict(name="a")': (1, 8),
    'N = 1\nINFO = {"name": N}': (2, 17),
    'INFO = {"name": "a", "tags": ["x", [1, y]]}': (1, 40),
    'INFO = {"name": f"a{1}"}': (1, 17),
    'INFO = {**OTHER, "name": "a"}': (1, 11),
    'INFO = "{" + "}"': (1, 8),
    'INFO = """{}""".strip()': (1, 8),
    "INFO = [x for x in y]": (1, 8),
    'INFO = {"name": "a"}\nINFO["version"] = "1"': (2, 1),
    'INFO = {"a": {}}\nINFO["a"]["b"] = "1"': (2, 1),
    'INFO = {"name": "a"}\nINFO |= {"version": "1"}': (2, 1),
    'INFO = {"name": "a"}\nINFO.update(version="1")': (2, 1),
    'INFO = {"name": "a"}\ndel INFO["name"]': (2, 5),
    'INFO = {"name": "a"}\nif 1:\n    INFO = {}': (3, 5),
    'try:\n    INFO = {"name": "a"}\nfinally:\n    pass': (2, 5),
    "for INFO in []: pass": (1, 5),
    "INFO, X = {}, 1": (1, 1),
    "from other import INFO": (1, 19),
    "import info as INFO": (1, 8),
    "with open(x) as INFO: pass": (1, 17),
    "print(INFO := {})": (1, 7),
}


@pytest.mark.parametrize("text", COMPUTED)
def test_a_computed_info_is_refused_where_it_is_computed(text: str, tmp_path: Path) -> None:
    """E111, the place that of the first thing no literal has, or of what changes it."""
    error = refused(tmp_path, text + "\n")
    assert error.code == "E111"
    assert error.place is not None
    assert (error.place.line, error.place.column) == COMPUTED[text]


@pytest.mark.parametrize(
    ("text", "code", "message", "column"),
    [
        ("INFO = 3", "E113", "INFO is of type int, not an object", 8),
        ("INFO = '[1]'", "E113", "INFO holds an array, not an object", 8),
        ("INFO = 'null'", "E113", "INFO holds null, not an object", 8),
        ('INFO = {"a": b"x"}', "E112", "INFO does not fit JSON: Object of type bytes is not JSON serializable", 14),
        (
            'INFO = {"a": 1, "b": [{1}]}',
            "E112",
            "INFO does not fit JSON: Object of type set is not JSON serializable",
            22,
        ),
        ('INFO = {"a": 1e999}', "E112", "INFO does not fit JSON: Out of range float values are not JSON compliant", 14),
        (
            'INFO = {"a": "\\ud800"}',
            "E112",
            "INFO does not fit JSON: 'utf-8' codec can't encode character '\\ud800'",
            14,
        ),
        ('INFO = {1: "a"}', "E112", "INFO has a key that is not a string", 9),
        ('INFO = {"a": 1, "a": 2}', "E112", 'INFO has the key "a" twice', 17),
        ('INFO = {"name": "a", "version": None}', "E114", "INFO has no version", 33),
        ('INFO = {"name": "a", "version": 1.10}', "E114", "INFO: version is 1.1, not a string", 33),
        ('INFO = {"name": ["a"], "version": "1"}', "E114", 'INFO: name is ["a"], not a string', 17),
        ('INFO = {"name": True, "version": "1"}', "E114", "INFO: name is true, not a string", 17),
        ('INFO = \'{"name": 3, "version": "1"}\'', "E114", "INFO: name is 3, not a string", 18),
        ("Info = 1", "E110", "no INFO: found `Info`", 1),
        ("INFO: dict", "E110", "no INFO in this module", None),
        ("", "E110", "no INFO in this module", None),
    ],
)
def test_what_is_refused(text: str, code: str, message: str, column: int | None, tmp_path: Path) -> None:
    """Each with its code, its words and its column."""
    error = refused(tmp_path, text + "\n")
    assert error.code == code
    assert error.message.startswith(message)
    assert error.place is not None and error.place.column == column
    assert error.fix


def test_the_fix_for_a_missing_info_names_the_effe(tmp_path: Path) -> None:
    """After the file, unless that is `logic` or no name."""
    for file, name in (("mail.py", "mail"), ("logic.py", "hello"), ("Über.py", "hello")):
        path = tmp_path / file
        path.write_text("")
        with pytest.raises(InfoError) as caught:
            read_info(path)
        assert caught.value.fix == f'add INFO = {{"name": "{name}", "version": "1.0"}}'


def test_a_missing_name_or_version_is_kept_for_later(tmp_path: Path) -> None:
    """A hash can name the artefact; `stem` raises what is missing."""
    info = info_of(tmp_path, 'INFO = {"doc": "x"}\n')
    assert not info.usable
    assert info.doc == "x"
    assert (info.name, info.version) == (None, None)
    with pytest.raises(InfoError, match="INFO has no name"):
        _ = info.stem


@pytest.mark.parametrize("quote", ["{!r}", "'''{}'''"])
def test_a_huge_info_is_refused(quote: str, tmp_path: Path) -> None:
    """It is printed, baked into the file and put into labels: 64 KiB are plenty."""
    value = {"name": "a", "version": "1", "doc": "x" * MAX_INFO}
    text = str(value) if "r" in quote else '{"name": "a", "doc": "' + "x" * MAX_INFO + '"}'
    error = refused(tmp_path, f"INFO = {text if 'r' in quote else quote.format(text)}\n")
    assert error.code == "E112"
    assert "at most 65536" in error.message


def test_deep_nesting_in_a_string(tmp_path: Path) -> None:
    """Deeper than a Python's stack takes, which is an error, not a crash; 3.14 reads it: an array, and no object."""
    assert refused(tmp_path, f"INFO = '{'[' * 30000}{']' * 30000}'\n").code in {"E112", "E113"}


NAMES = ["a", "hello", "a1", "mail-sender", "a_b", "a" * 63, "x-1_2"]
BAD_NAMES = {
    "": "hello",
    "A": "a",
    "1a": "a",
    "-a": "a",
    "a-": "a",
    "a_": "a",
    "a" * 64: "a" * 63,
    "a/b": "a-b",
    "../a": "a",
    "a b": "a-b",
    "a.b": "a-b",
    "a\n": "a",
    "ä": "hello",
    "con": "con-effe",
    "lpt1": "lpt1-effe",
    "a\x00b": "a-b",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_name(name: str) -> None:
    """A file, an OCI repository component and a Kubernetes object at once."""
    assert check_name(name) == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_unfit_name_has_a_near_one(name: str) -> None:
    """E115, and the name in the fix is fit."""
    place = Place(Path("a.py"), 1)
    with pytest.raises(InfoError) as caught:
        check_name(name, place)
    assert (caught.value.code, caught.value.place) == ("E115", place)
    assert caught.value.fix == f'write "name": "{BAD_NAMES[name]}"'
    check_name(BAD_NAMES[name])


@pytest.mark.parametrize("version", ["1", "1.0", "1.0-rc.1", "2026.11.24", "v1_2", "_", "a" * 64])
def test_a_fit_version(version: str) -> None:
    """Part of a file name and of an image tag."""
    assert check_version(version) == version


@pytest.mark.parametrize(
    ("version", "near"),
    [
        ("", "1.0"),
        (".1", "1"),
        ("-1", "1"),
        ("1 0", "1-0"),
        ("1+a", "1-a"),
        ("1/2", "1-2"),
        ("a" * 65, "a" * 64),
        ("1\n", "1"),
    ],
)
def test_an_unfit_version_has_a_near_one(version: str, near: str) -> None:
    """E116, and the version in the fix is fit."""
    with pytest.raises(InfoError) as caught:
        check_version(version)
    assert (caught.value.code, caught.value.fix) == ("E116", f'write "version": "{near}"')
    check_version(near)


def test_json_text_keeps_its_form() -> None:
    """`-info` prints what the author wrote."""
    text = ' {"version":"1" ,"name": "a"}\n'
    info = parse_info(text)
    assert info.text == text
    assert info.stem == "a-1"
