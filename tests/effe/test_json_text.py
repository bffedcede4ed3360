"""effetool.effe.json_text: JSON, and what people write instead."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effetool.effe.json_text import JsonFault, parse

FAULTS = {
    '{"a": 1, // x\n}': (9, "JSON has no comments: delete from // to the end of the line"),
    '{"a": 1 /* x */}': (8, "JSON has no comments: delete from /* to `*/`"),
    '# x\n{"a": 1}': (0, "JSON has no comments: delete from # to the end of the line"),
    '{"u": "http://x",}': (16, "JSON has no trailing comma: delete the last `,`"),
    '{"a": [1, 2 , ]}': (12, "JSON has no trailing comma: delete the last `,`"),
    "{'a': 1}": (1, "JSON strings take double quotes: write \" for '"),
    "{\"a\": 'b'}": (6, "JSON strings take double quotes: write \" for '"),
    '{"a": "b\nc"}': (8, 'the string is not raw, so \\n in it is a line break: write r""" … """'),
    '{"a": "b\tc"}': (8, "write it as an escape such as \\t, in a raw string"),
    '{"a": "\\d"}': (7, 'in a raw string r""" … """ write \\\\ for a backslash'),
    '{"a": True}': (6, "JSON writes true, false and null in lower case"),
    '{"a": None}': (6, "JSON writes true, false and null in lower case"),
    '{"a": 1': (6, "the JSON ends too early: close every { and ["),
    "": (0, "the JSON ends too early: close every { and ["),
    '{"a": "b}': (6, 'close it with a `"`'),
    "{a: 1}": (1, "write every key in double quotes"),
    '{"a" 1}': (5, "put a `,` between members and a `:` after each key"),
    '{"a": 1 "b": 2}': (8, "put a `,` between members and a `:` after each key"),
    '{"a": 1} x': (9, "keep one object and delete what follows it"),
    '{"a": ?}': (6, 'write it as JSON, for example {"name": "hello", "version": "1.0"}'),
    '{"a": NaN}': (None, "write null, or a string"),
    '{"a": -Infinity}': (None, "write null, or a string"),
    '{"a": 1, "a": 2}': (None, "delete one of the two"),
    '{"a": "\\ud800"}': (None, r"write the character itself, or both halves: \ud83d\ude00"),
    '{"a": ' + "1" * 5000 + "}": (None, "write a shorter number, or a string"),
    "[" * 100_000: (None, "nest it less"),
}


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: text[:20])
def test_each_fault_has_its_position_and_cure(text: str) -> None:
    """What the fix names stands at the position."""
    with pytest.raises(JsonFault) as caught:
        parse(text)
    assert (caught.value.position, caught.value.fix) == FAULTS[text]
    assert caught.value.message and not caught.value.message.endswith((".", " at"))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_what_json_writes_is_read(value: object) -> None:
    """Every value that JSON holds comes back."""
    assert parse(json.dumps(value)) == value
    assert parse(json.dumps(value, ensure_ascii=False, indent=1)) == value


@given(st.text())
def test_any_text_is_a_value_or_a_fault(text: str) -> None:
    """Nothing else is raised, and the position lies in the text."""
    position = None
    try:
        parse(text)
    except JsonFault as fault:
        position = fault.position
    assert position is None or 0 <= position <= len(text)
