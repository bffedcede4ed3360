"""--env-file."""

import pytest

from effetool.develop.envfile import read_env_file
from effetool.errors import UsageError


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / ".env"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_env_file(path)

    return read


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("# comment\n\n  \n", {}),
        ("A=1", {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("  export A = 1  ", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=a b # comment", {"A": "a b"}),
        ("A=a#b", {"A": "a#b"}),
        ("A= # only a comment", {"A": ""}),
        ("A='a \\n $B # x' # c", {"A": "a \\n $B # x"}),
        ('A="a\\n\\"b\\"\\t\\\\ \\$"', {"A": 'a\n"b"\t\\ $'}),
        ('A="two\nlines"\nB=1', {"A": "two\nlines", "B": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("\ufeffA=ä", {"A": "ä"}),
        ("URL=postgres://u:p@h/d?x=1", {"URL": "postgres://u:p@h/d?x=1"}),
    ],
)
def test_what_is_read(read, text, found):
    """Bare values end with the line or ` #`, single quotes know nothing, double quotes know escapes and lines."""
    assert read(text) == found


@pytest.mark.parametrize(
    ("text", "line"),
    [("A", 1), ("A=a\nMII1B/x 1", 2), ("A=1\n1B=2", 2), ('A="1', 1), ("A='1' x", 1), ("A=\0", 1), (b"A=\xff", None)],
)
def test_faults_have_a_place_and_show_no_value(read, text, line):
    """The line is named; what may be a secret is not shown."""
    with pytest.raises(UsageError) as caught:
        read(text)
    assert caught.value.code == "E304"
    assert caught.value.place.line == line
    assert "1" not in (caught.value.place.text or "").replace("1B=", "")


def test_a_file_that_is_not_there(tmp_path):
    """The path is named."""
    with pytest.raises(UsageError, match="cannot read"):
        read_env_file(tmp_path / "none")
