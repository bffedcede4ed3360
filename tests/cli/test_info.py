"""`effe-tool info`: INFO as JSON, and every way to get it wrong as a whole terminal."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

RUN = "def run(context, error, response, request):\n    pass\n"

# For each: what the author wrote, and all that the terminal shows.
FAULTS = {
    "comment": (
        'INFO = r"""\n{\n  "name": "mail",  // used for the file name\n  "version": "1.0"\n}"""\n',
        """\
error[E112]: INFO is not JSON: expecting property name enclosed in double quotes
 --> effe.py:3:20
  |
3 |   "name": "mail",  // used for the file name
  |                    ^
  fix: JSON has no comments: delete from // to the end of the line
""",
    ),
    "trailing comma": (
        'INFO = \'{"name": "mail", "version": "1.0",}\'\n',
        """\
error[E112]: INFO is not JSON: no value after a comma
 --> effe.py:1:42
  |
1 | INFO = '{"name": "mail", "version": "1.0",}'
  |                                          ^
  fix: JSON has no trailing comma: delete the last `,`
""",
    ),
    "single quotes": (
        "INFO = \"{'name': 'mail', 'version': '1.0'}\"\n",
        """\
error[E112]: INFO is not JSON: expecting property name enclosed in double quotes
 --> effe.py:1:10
  |
1 | INFO = "{'name': 'mail', 'version': '1.0'}"
  |          ^
  fix: JSON strings take double quotes: write " for '
""",
    ),
    "newline escape in a plain string": (
        'INFO = """{"name": "mail", "version": "1.0",\n  "doc": "one\\ntwo"}"""\n',
        """\
error[E112]: INFO is not JSON: invalid control character
 --> effe.py:2:14
  |
2 |   "doc": "one\\ntwo"}\"""
  |              ^
  fix: the string is not raw, so \\n in it is a line break: write r\""" … \"""
""",
    ),
    "a fault behind escapes and joined strings": (
        'INFO = (\n    \'{"name": "x",\'  # the name\n\t"\\"doc\\": \\"\\N{BULLET}\\" " r\'"version": "1"}\'\n)\n',
        """\
error[E112]: INFO is not JSON: expecting ',' delimiter
 --> effe.py:3:31
  |
3 |     "\\"doc\\": \\"\\N{BULLET}\\" " r'"version": "1"}'
  |                                  ^
  fix: put a `,` between members and a `:` after each key
""",
    ),
    "a key twice in an object inside": (
        'INFO = {"name": "x", "version": "1", "more": [{"a": 1, "a": 2}]}\n',
        """\
error[E112]: INFO has the key "a" twice in one object
 --> effe.py:1:56
  |
1 | INFO = {"name": "x", "version": "1", "more": [{"a": 1, "a": 2}]}
  |                                                        ^
  fix: delete one of the two
""",
    ),
    "no INFO": (
        RUN,
        """\
error[E110]: no INFO in this module
 --> effe.py
  fix: add INFO = {"name": "effe", "version": "1.0"}
""",
    ),
    "INFO in lower case": (
        'info = {"name": "x", "version": "1"}\n',
        """\
error[E110]: no INFO: found `info`
 --> effe.py:1:1
  |
1 | info = {"name": "x", "version": "1"}
  | ^
  fix: rename `info` to `INFO`
""",
    ),
    "an f-string": (
        'N = "x"\nINFO = {"name": "x", "version": f"1.{N}"}\n',
        """\
error[E111]: INFO is computed: it is read without running the module, so it takes a literal
 --> effe.py:2:33
  |
2 | INFO = {"name": "x", "version": f"1.{N}"}
  |                                 ^
  fix: write INFO as one dict literal or one JSON string; effe-tool build --import-info runs the module for it
""",
    ),
    "under an if, with a tab before it": (
        'if True:\n\tINFO = {"name": "x", "version": "1"}\n',
        """\
error[E111]: INFO is computed: it is read without running the module, so it takes a literal
 --> effe.py:2:2
  |
2 |     INFO = {"name": "x", "version": "1"}
  |     ^
  fix: write INFO once, at the top level, as a literal
""",
    ),
    "no object": (
        'INFO = ["name"]\n',
        """\
error[E113]: INFO is of type list, not an object
 --> effe.py:1:8
  |
1 | INFO = ["name"]
  |        ^
  fix: write INFO = {"name": "hello", "version": "1.0"}
""",
    ),
    "a version that is a number": (
        'INFO = {"name": "mail", "version": 1.0}\n',
        """\
error[E114]: INFO: version is 1.0, not a string
 --> effe.py:1:36
  |
1 | INFO = {"name": "mail", "version": 1.0}
  |                                    ^
  fix: write "version": "1.0"
""",
    ),
    "a slash in the name": (
        'INFO = {"name": "a/b", "version": "1.0"}\n',
        """\
error[E115]: INFO: name "a/b" cannot name a file, an image and a service: it takes a lower-case letter first, then \
letters, digits, `-` or `_`, at most 63, the last one a letter or digit
 --> effe.py:1:17
  |
1 | INFO = {"name": "a/b", "version": "1.0"}
  |                 ^
  fix: write "name": "a-b"
""",
    ),
    "a version with a blank": (
        'INFO = {"name": "a", "version": "1 0"}\n',
        """\
error[E116]: INFO: version "1 0" cannot be part of a file name and an image tag: it takes letters, digits, `.`, `-` \
or `_`, at most 64, not `.` or `-` first
 --> effe.py:1:33
  |
1 | INFO = {"name": "a", "version": "1 0"}
  |                                 ^
  fix: write "version": "1-0"
""",
    ),
    "a syntax error": (
        "# €\ndef run(:\n    pass\n",
        """\
error[E101]: invalid syntax
 --> effe.py:2:9
  |
2 | def run(:
  |         ^
  fix: correct the line, then run the command again
""",
    ),
    "wide characters before the caret": (
        'INFO = {"名前": "é", "name": 3, "version": "1"}\n',
        """\
error[E114]: INFO: name is 3, not a string
 --> effe.py:1:28
  |
1 | INFO = {"名前": "é", "name": 3, "version": "1"}
  |                              ^
  fix: write "name": "3"
""",
    ),
    "CRLF and a byte order mark": (
        '\ufeffX = 1\r\nINFO = {"name": "É", "version": "1"}\r\n',
        """\
error[E115]: INFO: name "\\u00c9" cannot name a file, an image and a service: it takes a lower-case letter first, then \
letters, digits, `-` or `_`, at most 63, the last one a letter or digit
 --> effe.py:2:17
  |
2 | INFO = {"name": "É", "version": "1"}
  |                 ^
  fix: write "name": "hello"
""",
    ),
    "control characters in the source": (
        'INFO = {"name": "\x1b[31mred\u202e", "version": "1"}\n',
        """\
error[E115]: INFO: name "\\u001b[31mred\\u202e" cannot name a file, an image and a service: it takes a lower-case \
letter first, then letters, digits, `-` or `_`, at most 63, the last one a letter or digit
 --> effe.py:1:17
  |
1 | INFO = {"name": "\\x1b[31mred\\u202e", "version": "1"}
  |                 ^
  fix: write "name": "mred"
""",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_shows_code_place_caret_and_fix(fault: str, effe_tool, tmp_path: Path) -> None:
    """Nothing on stdout, exit 1, and on stderr what is wrong, where, and what to write instead."""
    source, expected = FAULTS[fault]
    (tmp_path / "effe.py").write_bytes(source.encode())
    done = effe_tool("info", "effe.py")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


def test_prints_a_dict_literal_as_json(effe_tool, tmp_path: Path) -> None:
    """Every key the author wrote, in order."""
    (tmp_path / "effe.py").write_text('INFO: dict = {"name": "a" "b", "version": "1", "team": ("x", None)}\n')
    done = effe_tool("info", "effe.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == '{"name": "ab", "version": "1", "team": ["x", null]}\n'


def test_prints_a_json_string_verbatim_in_utf8_whatever_the_locale(effe_tool, tmp_path: Path) -> None:
    """JSON is UTF-8, also where stdout is said to be ASCII."""
    text = '\n{ "name":"a",\n  "version" : "1", "doc": "grüße" }\n'
    (tmp_path / "effe.py").write_text(f"INFO = r'''{text}'''\n")
    done = effe_tool("info", "effe.py", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (done.returncode, done.stdout) == (0, text + "\n")


def test_runs_none_of_the_code(effe_tool, tmp_path: Path) -> None:
    """INFO is read, the module is not imported, so its dependencies need not be there."""
    (tmp_path / "effe.py").write_text(
        'import no_such_module\nopen("ran", "w")\nINFO = {"name": "a", "version": "1"}\nraise SystemExit(3)\n'
    )
    assert effe_tool("info", "effe.py").stdout == '{"name": "a", "version": "1"}\n'
    assert not (tmp_path / "ran").exists()


def test_a_missing_version_is_a_warning(effe_tool, tmp_path: Path) -> None:
    """An artefact can be named by a hash, so INFO is printed all the same; -q is silent about it."""
    (tmp_path / "effe.py").write_text('INFO = {"name": "a"}\n')
    done = effe_tool("info", "effe.py")
    assert (done.returncode, done.stdout) == (0, '{"name": "a"}\n')
    assert done.stderr == (
        'warning[E114]: INFO has no version\n --> effe.py:1:8\n  |\n1 | INFO = {"name": "a"}\n  |        ^\n'
        '  fix: add "version": "1.0"\n'
    )
    assert effe_tool("info", "-q", "effe.py").stderr == ""
    done = effe_tool("info", "--json", "effe.py")
    assert (done.stdout, done.stderr) == ('{"name": "a"}\n', "E114: INFO has no version\n")


def test_json_holds_the_error(effe_tool, tmp_path: Path) -> None:
    """--json: one document on stdout, nothing on stderr."""
    (tmp_path / "effe.py").write_text("INFO = 3\n")
    done = effe_tool("info", "effe.py", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout) == {
        "error": {
            "code": "E113",
            "message": "INFO is of type int, not an object",
            "file": "effe.py",
            "line": 1,
            "column": 8,
            "fix": 'write INFO = {"name": "hello", "version": "1.0"}',
        }
    }


def test_finds_the_effe_here_or_just_below(effe_tool, tmp_path: Path) -> None:
    """No argument: this directory; when it is no effe, its one child."""
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "logic.py").write_text('INFO = {"name": "hello", "version": "1"}\n')
    assert effe_tool("info").stdout == '{"name": "hello", "version": "1"}\n'
    assert effe_tool("info", cwd=tmp_path / "hello").stdout == '{"name": "hello", "version": "1"}\n'


def test_several_effes_are_listed(effe_tool, tmp_path: Path) -> None:
    """`info` takes one: exit 2 and their names."""
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text('INFO = {"name": "x", "version": "1"}\n')
    done = effe_tool("info")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("error[E151]: 2 effes here, this command takes one\n  a.py\n  b.py\n  fix: name one: a.py\n")


def test_no_effe(effe_tool, tmp_path: Path) -> None:
    """A path that is none: what is there, or what is meant."""
    (tmp_path / "hello.py").write_text('INFO = {"name": "x", "version": "1"}\n')
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    assert [effe_tool("info", path).stderr for path in ("helo.py", "notes.txt", "empty")] == [
        "error[E150]: no such file or directory: helo.py\n  fix: did you mean hello.py?\n",
        "error[E150]: notes.txt is no effe: an effe is a .py file or a directory with logic.py\n"
        "  fix: name the .py file or its directory\n",
        "error[E150]: no effe in empty\n  fix: effe-tool new hello\n",
    ]


def test_effes_one_directory_further_down_are_told(effe_tool, tmp_path: Path) -> None:
    (tmp_path / "effes" / "hello").mkdir(parents=True)
    (tmp_path / "effes" / "hello" / "logic.py").write_text('INFO = {"name": "x", "version": "1"}\n')
    done = effe_tool("build")
    assert done.stderr == f"error[E150]: no effe in {tmp_path}\n  fix: name the directory they are in: effes\n"


@pytest.mark.parametrize("quote", ["", "'"])
def test_a_number_longer_than_python_converts(quote: str, effe_tool, tmp_path: Path) -> None:
    """In our words, not in CPython's."""
    text = '{"name": "x", "version": "1", "long": ' + "9" * 5000 + "}"
    (tmp_path / "effe.py").write_text(f"INFO = {quote}{text}{quote}\n")
    told = effe_tool("info", "effe.py").stderr
    assert "a number of more than 4300 digits\n" in told and "set_int_max_str_digits" not in told and "fix: " in told


def test_here_is_no_place_worth_a_line(effe_tool, tmp_path: Path) -> None:
    """The message names the directory: no `--> .` besides."""
    (tmp_path / "empty").mkdir()
    done = effe_tool("info", cwd=tmp_path / "empty")
    assert done.stderr == f"error[E150]: no effe in {tmp_path / 'empty'}\n  fix: effe-tool new hello\n"


def test_a_file_in_utf_16_is_told_how_to_mend_it(effe_tool, tmp_path: Path) -> None:
    """No declaration in the first line can help: Python reads no source in it."""
    text = 'INFO = {"name": "x", "version": "1"}\n'
    (tmp_path / "wide.py").write_bytes(text.encode("utf-16"))
    (tmp_path / "nul.py").write_bytes(text.encode() + b"\0")
    assert "\n  fix: iconv -f UTF-16 -t UTF-8 wide.py > new.py\n" in effe_tool("info", "wide.py").stderr
    assert "\n  fix: delete the NUL byte" in effe_tool("info", "nul.py").stderr


def test_a_hostile_path_reaches_no_terminal(effe_tool) -> None:
    """Control characters and bytes that are no text are written out."""
    done = effe_tool("info", os.fsdecode(b"no\x1b[31m\xffpe\n"))
    assert done.returncode == 1
    assert done.stderr.startswith("error[E150]: no such file or directory: no\\x1b[31m\\udcffpe\\n\n")
    document = json.loads(effe_tool("info", os.fsdecode(b"\xff.py"), "--json").stdout)
    assert document["error"]["file"] == "\udcff.py"


def test_a_wrong_route_is_an_error_here_and_at_the_build(effe_tool, tmp_path: Path) -> None:
    """E117 at the value; nothing is built."""
    (tmp_path / "mail.py").write_text('INFO = {"name": "mail", "version": "1", "route": "mail/"}\n' + RUN)
    for command in ("info", "build"):
        done = effe_tool(command, "mail.py")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith('error[E117]: INFO: route is "mail/"; it takes a path such as /hello')
        assert " --> mail.py:1:50\n" in done.stderr
        assert done.stderr.endswith('  fix: write "route": "/mail"\n')
    assert not list(tmp_path.glob("*.pex"))
