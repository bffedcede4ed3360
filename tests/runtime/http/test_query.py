"""The query of a target (effetool/runtime/http/query.py); forms in the same notation are in test_form.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effetool.runtime.errors import HTTPError
from effetool.runtime.http.query import MAX_FIELDS, Query, parse


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"", {}),
        (b"a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        (b"a&b=&=c&&", {"a": [""], "b": [""], "": ["c"]}),
        (b"a=b=c&d+e=%26%3D", {"a": ["b=c"], "d e": ["&="]}),
        (b"%C3%BC=\xc3\xbc&x=%FF\xff&%zz=%", {"ü": ["ü"], "x": ["\ufffd\ufffd"], "%zz": ["%"]}),
        (b"a=1;b=2", {"a": ["1;b=2"]}),
        (b"a=%C3\xbc&b=\xc3%bc&c=%e2%82\xac%", {"a": ["ü"], "b": ["ü"], "c": ["€%"]}),
    ],
)
def test_names_and_values_are_decoded(text, values):
    """WHATWG URL 5.1: `&` alone separates (a `;` too would be a second reading), `+` is a space, UTF-8.

    An escaped octet and one that is not may be parts of one character: UTF-8 is decoded last.
    """
    query = parse(text)
    assert {name: query.get_all(name) for name in query} == values
    assert dict(query) == {name: each[0] for name, each in values.items()}


def test_too_many_fields_are_400():
    """CVE-2011-4885: whoever loops over them pays."""
    assert len(parse(b"&".join(b"%d=" % i for i in range(MAX_FIELDS))).get_all("7")) == 1
    with pytest.raises(HTTPError) as caught:
        parse(b"a=&" * MAX_FIELDS + b"a=")
    assert caught.value.status == 400


def test_it_is_a_dict_of_first_values():
    """`query["a"]`, `query.get("a")`, `"a" in query`."""
    query = Query([("a", "1"), ("a", "2")])
    assert (query["a"], query.get("b", "x"), "b" in query, query.get_all("a"), query.get_all("b")) == (
        "1", "x", False, ["1", "2"], [],
    )  # fmt: skip


@pytest.mark.parametrize("token", [b"%C3%BC", b"%", b"%%41", b"%4", b"%e2%82\xac", b"\xf0\x9f\x98\x80", b"+%FF\xff"])
def test_a_large_value_is_decoded_as_a_small_one(token):
    """It is decoded in pieces, at whose seam an escape or a character may lie."""
    [small] = parse(b"=" + token * 10).get_all("")
    assert len(small) % 10 == 0
    for before in range(len(token)):
        [value] = parse(b"=" + b"x" * before + token * 40_000).get_all("")
        assert value == "x" * before + small[: len(small) // 10] * 40_000


@given(st.binary(max_size=200))
def test_any_bytes_are_a_query(text):
    """Never an exception but for too many; all of it text."""
    for name, value in parse(text).items():
        assert isinstance(name, str) and isinstance(value, str)
