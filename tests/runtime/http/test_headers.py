"""Header fields, read and written (effetool/runtime/http/headers.py)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effetool.runtime.http.headers import Headers, ResponseHeaders


def test_a_requests_fields():
    """A mapping in the names' first case, with every line of a repeated field."""
    block = "\r\nA: 1\r\nb:2\r\na: 3 \r\n"
    headers = Headers(block, block.lower())
    assert (headers["a"], headers.get("B"), headers.get("c", "x"), headers.get_all("A")) == ("1", "2", "x", ["1", "3"])
    assert (list(headers), headers.values(), len(headers), "A" in headers, 1 in headers) == (
        ["A", "b", "a"], ["1", "2", "3"], 3, True, False,
    )  # fmt: skip
    with pytest.raises(KeyError):
        headers["c"]
    assert repr(headers) == "Headers([('A', '1'), ('b', '2'), ('a', '3')])"


def test_a_responses_fields():
    """`[]` replaces every line of the name in the first one's place, add appends, del takes all."""
    headers = ResponseHeaders()
    headers.add("A", "1")
    headers["B"] = "2"
    headers.add("a", "3")
    headers["a"] = " 4 "
    assert headers.items() == [("a", "4"), ("B", "2")]
    assert headers.setdefault("b", "5") == "2" and headers.setdefault("C", "6") == "6"
    headers.update({"B": "7", "D": "8"})
    del headers["a"]
    assert headers.items() == [("B", "7"), ("C", "6"), ("D", "8")]
    with pytest.raises(KeyError):
        del headers["a"]


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "a\rb", "a\0b", "\x1b[31m", "\x7f", "ł", "\u2028"])
def test_a_value_that_would_split_the_response_raises(value):
    """CR, LF, NUL and every other control; and what is not latin-1."""
    headers = ResponseHeaders()
    for change in (headers.__setitem__, headers.add):
        with pytest.raises(ValueError):
            change("X", value)
    assert headers.items() == []


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", "a\0"])
def test_a_name_is_a_token(name):
    """RFC 9110 5.6.2."""
    with pytest.raises(ValueError):
        ResponseHeaders()[name] = "x"


@pytest.mark.parametrize("name", ["Transfer-Encoding", "keep-alive", "UPGRADE", "Trailer"])
def test_framing_is_the_servers(name):
    """An author's copy would contradict it."""
    with pytest.raises(ValueError, match="set by the server"):
        ResponseHeaders().add(name, "x")


@pytest.mark.parametrize("value", ["-1", "+1", "1 ", "1_0", "x", "", "١"])
def test_a_content_length_is_digits(value):
    """As in a request."""
    with pytest.raises(ValueError):
        ResponseHeaders()["Content-Length"] = value


@pytest.mark.parametrize("value", [None, True, 1.5, b"x"])
def test_a_value_is_text_or_a_whole_number(value):
    """str(b"x") would be sent as b'x'."""
    with pytest.raises(TypeError):
        ResponseHeaders()["X"] = value


def test_once_sent_nothing_changes():
    """RuntimeError, so that the author sees it was too late."""
    headers = ResponseHeaders()
    headers["A"] = "1"
    headers.sent = True
    for change in (
        lambda: headers.add("B", "2"),
        lambda: headers.__setitem__("A", "2"),
        lambda: headers.__delitem__("A"),
    ):
        with pytest.raises(RuntimeError):
            change()
    assert headers.items() == [("A", "1")]


@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_is_taken_is_one_line(name, value):
    """No text makes two fields of one."""
    headers = ResponseHeaders()
    try:
        headers[name] = value
    except ValueError:
        return
    ((name, value),) = headers.items()
    line = f"{name}: {value}".encode("latin-1")
    assert line.count(b":") >= 1 and not any(octet < 32 and octet != 9 for octet in line)


LINE = st.tuples(st.sampled_from(["A", "a", "B", "Host", "x-y"]), st.sampled_from(["", "1", " a: b ", "\t\xe9", "B:"]))
BLOCKS = st.lists(LINE, max_size=5)


@given(BLOCKS, st.sampled_from(["A", "b", "HOST", "c", "", "a: b", "host: 1", "A\r\nB", "1"]))
def test_a_field_is_found_in_the_block_as_among_the_split_ones(lines, name):
    """The first two answers and the later ones are the same; a name that is none finds nothing."""
    block = "\r\n" + "".join(f"{field}:{value}\r\n" for field, value in lines)
    headers = Headers(block, block.lower())
    every = headers.get_all(name)
    fresh = Headers(block, block.lower())
    assert [fresh.get(name) for _ in range(3)] == [every[0] if every else None] * 3
