"""effetool.effe.conventions: what INFO says beside name and version, and the schema of it."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effetool.effe.conventions import KEYS, Conventions, conventions, json_schema
from effetool.effe.info import parse_info, read_info
from effetool.errors import InfoError

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "info.schema.json"


@functools.cache
def validator() -> Any:
    """The schema's; imported here, for jsonschema takes a second that each process of the tests would wait for."""
    import jsonschema

    return jsonschema.Draft202012Validator(json_schema())


def read(**keys: object) -> Conventions:
    return conventions(parse_info(json.dumps({"name": "mail", "version": "1", **keys})))


def accepted(info: dict[str, Any]) -> bool:
    try:
        conventions(parse_info(json.dumps(info)))
    except InfoError:
        return False
    return True


def test_defaults() -> None:
    """An effe that says nothing answers below its name, stripped of it."""
    assert read() == Conventions(routes=("/mail",))
    assert read(host="a.example").routes == ("/",)
    assert conventions(parse_info("{}")).routes == ("/",)


def test_all_that_can_be_said() -> None:
    """Each key in its full form; unknown keys are kept and do not matter."""
    assert read(
        route=["/", "/mail/v1"],
        host=["mail.example", "*.mail.example"],
        strip=False,
        env={"LANGUAGE": "en", "REGION": None},
        secrets=["API_KEY"],
        schedule="*/5 8-18 * JAN,JUN mon-fri".upper(),
        memory="64MiB",
        concurrency=16.0,
        owner="somebody",
    ) == Conventions(
        ("/", "/mail/v1"),
        ("mail.example", "*.mail.example"),
        False,
        {"LANGUAGE": "en", "REGION": None},
        ("API_KEY",),
        "*/5 8-18 * JAN,JUN MON-FRI",
        64 << 20,
        16,
    )
    assert read(env=["A", "B"]).env == {"A": None, "B": None}
    assert read(memory="2GiB").memory == 2 << 30


WRONG: list[tuple[str, object, str, str]] = [
    ("route", "hello", "E117", '"/hello"'),
    ("route", "/hello/", "E117", '"/hello"'),
    ("route", "/hello/*", "E117", '"/hello"'),
    ("route", "//a", "E117", '"/a"'),
    ("route", "/a b", "E117", '"/hello"'),
    ("route", "/a/../b", "E117", '"/hello"'),
    ("route", "/.", "E117", '"/hello"'),
    ("route", "/a\n", "E117", '"/a"'),
    ("route", "/%2e", "E117", '"/hello"'),
    ("route", "/a#b", "E117", '"/hello"'),
    ("route", [], "E117", '"/hello"'),
    ("route", ["/a", "/a"], "E117", '"/hello"'),
    ("route", 3, "E117", '"/hello"'),
    ("host", "https://API.example:8080/x", "E117", '"api.example"'),
    ("host", "127.0.0.1", "E117", '"api.example.org"'),
    ("host", "a.*.b", "E117", '"api.example.org"'),
    ("host", "-a.example", "E117", '"api.example.org"'),
    ("host", "a" * 64 + ".example", "E117", '"api.example.org"'),
    ("strip", "no", "E117", "false"),
    ("strip", "True", "E117", "true"),
    ("env", "A", "E118", '["A"]'),
    ("env", {"A": 1}, "E118", '{"LANGUAGE": "en"}'),
    ("env", {"A": "\x00"}, "E118", '{"LANGUAGE": "en"}'),
    ("env", ["EFFE_PORT"], "E118", '{"LANGUAGE": "en"}'),
    ("env", {"A=B": "x"}, "E118", '{"LANGUAGE": "en"}'),
    ("secrets", {"API_KEY": "hunter2"}, "E118", '["API_KEY"]'),
    ("secrets", ["PORT"], "E118", '["API_KEY"]'),
    ("schedule", "@daily", "E119", '"*/5 * * * *"'),
    ("schedule", "60 * * * *", "E119", '"*/5 * * * *"'),
    ("schedule", "0 9 * * mon", "E119", '"0 9 * * MON"'),
    ("schedule", "* * * *", "E119", '"*/5 * * * *"'),
    ("schedule", "*/0 * * * *", "E119", '"*/5 * * * *"'),
    ("memory", "64M", "E119", '"64MiB"'),
    ("memory", "8mb", "E119", '"32MiB"'),
    ("memory", 64, "E119", '"64MiB"'),
    ("concurrency", 0, "E119", "16"),
    ("concurrency", True, "E119", "16"),
    ("concurrency", 1.5, "E119", "16"),
    ("concurrency", 10**400, "E119", "16"),
    ("concurrency", "8", "E119", "8"),
]


@pytest.mark.parametrize(("key", "value", "code", "near"), WRONG)
def test_what_is_refused(key: str, value: object, code: str, near: str) -> None:
    """With its code and a fix that is fit; the schema refuses it too."""
    with pytest.raises(InfoError) as caught:
        read(**{key: value})
    assert (caught.value.code, caught.value.fix) == (code, f'write "{key}": {near}')
    assert accepted({key: json.loads(near)})
    assert not validator().is_valid({key: value})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('INFO = {"name": "a", "version": "1",\n        "route": "hello"}\n', (2, 18)),
        ('INFO = r"""{"name": "a",\n "env": {"route": 1}, "version": "1",\n "route" : "hello"}"""\n', (3, 12)),
        ('INFO = "{\\"name\\": \\"a\\", \\"version\\": \\"1\\", \\"route\\": \\"hello\\"}"\n', (1, 58)),
    ],
)
def test_the_place_is_that_of_the_value(text: str, place: tuple[int, int], tmp_path: Path) -> None:
    """In a dict literal, in JSON, and in JSON with escapes."""
    path = tmp_path / "effe.py"

    path.write_text(text)
    with pytest.raises(InfoError) as caught:
        conventions(read_info(path))
    at = caught.value.place
    assert at is not None and (at.line, at.column) == place
    assert (at.text or "")[place[1] - 1 :].lstrip("\\").startswith('"hello')


def test_the_published_schema_is_the_tables() -> None:
    """`python -m tests.effe.test_conventions` writes it."""
    assert json.loads(SCHEMA.read_text()) == json_schema()
    validator().check_schema(json_schema())


# What JSON can hold, and strings close to those that the keys take.
NEAR = st.sampled_from([*"/.*-~@:,", "a", "hello", "A_B", "..", "0", "60", "MON", "64", "MiB", "\n", "é", " "])
TEXT = st.lists(NEAR, max_size=8).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10002) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from([*KEYS, "other"]), VALUES, max_size=3))
def test_schema_and_check_agree_on_anything(info: dict[str, Any]) -> None:
    """An editor that knows the schema says what the build will say."""
    assert accepted(info) == validator().is_valid(info)


def made_from(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that are valid by the words of JSON Schema used here, and some that are not."""
    if "oneOf" in schema:
        return st.one_of([made_from(each) for each in schema["oneOf"]])
    if schema["type"] == "array":
        return st.lists(made_from(schema["items"]), max_size=3)
    if schema["type"] == "object":
        return st.dictionaries(made_from(schema["propertyNames"]), st.none() | st.text(max_size=3), max_size=3)
    if "pattern" in schema:
        return st.from_regex(
            schema["pattern"].removesuffix(r"$(?!\n)") + r"\n?\Z", alphabet=st.characters(max_codepoint=255)
        )
    return st.integers() | st.booleans()


@pytest.mark.parametrize("key", KEYS)
def test_schema_and_check_agree_on_what_is_nearly_valid(key: str) -> None:
    """Values made from the schema, some with what spoils them."""

    @settings(max_examples=40, deadline=None)
    @given(made_from(json_schema()["properties"][key]))
    def agree(value: object) -> None:
        assert accepted({key: value}) == validator().is_valid({key: value})

    agree()


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
