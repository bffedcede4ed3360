"""`effe-tool explain`."""

from __future__ import annotations

import json

from effetool.error_codes import CODES


def test_tells_a_paragraph(effe_tool) -> None:
    """In any case of letters; the result is on stdout."""
    done = effe_tool("explain", "e201")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"E201: exists\n\n{CODES['E201'].text}\n"


def test_lists_every_code(effe_tool) -> None:
    """Without a code: all of them, one a line."""
    done = effe_tool("explain")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(CODES)


def test_json(effe_tool) -> None:
    """One document: the entry, or the list."""
    assert json.loads(effe_tool("explain", "E101", "--json").stdout) == {
        "code": "E101",
        "title": "syntax error",
        "text": CODES["E101"].text,
    }
    listed = json.loads(effe_tool("explain", "--json").stdout)["codes"]
    assert [entry["code"] for entry in listed] == list(CODES)


def test_an_unknown_code(effe_tool) -> None:
    """Wrong usage: exit 2, with the way to the list."""
    done = effe_tool("explain", "E999")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error[E001]: no error code 'E999'\n  fix: effe-tool explain lists them\n"
