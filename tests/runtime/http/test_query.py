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
    ],
)
def test_names_and_values_are_decoded(text, values):
    """WHATWG URL 5.1: `&` alone separates (a `;` too would be a second reading), `+` is a space, UTF-8."""
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


@given(st.binary(max_size=200))
def test_any_bytes_are_a_query(text):
    """Never an exception but for too many; all of it text."""
    for name, value in parse(text).items():
        assert isinstance(name, str) and isinstance(value, str)
