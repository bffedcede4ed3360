"""What INFO may say beside name and version: where an effe answers, what it needs, how large it is.

`KEYS` is the one table of it. `conventions` checks INFO against it, and `json_schema` writes it as the JSON Schema
(2020-12) that editors use, docs/reference/info.schema.json. Keys that are not in it are the author's own and are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InfoError
from .info import NAME, RESERVED, VERSION, Info, shown

__all__ = ["KEYS", "Conventions", "Key", "conventions", "json_schema"]

# A prefix of a path, cut at `/`: what RFC 3986 calls unreserved, and the few marks beside it that HAProxy's maps,
# Ingress and HTTPRoute all take literally.
ROUTE = r"/(?:(?!\.\.?(?:/|$))[A-Za-z0-9._~@:+-]+(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~@:+-]+)*)?"
# A host name (RFC 1123, section 2.1) of two or more labels or one, its first may be `*`; never an address.
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST = rf"(?:\*\.)?(?:{LABEL}\.)*(?![0-9]+$){LABEL}"
# POSIX 8.1 names, without those that the runtime itself reads.
VARIABLE = r"(?!EFFE_|PORT$)[A-Za-z_][A-Za-z0-9_]{0,127}"
# From what an interpreter with its runtime fits into.
MEMORY = r"(?:3[2-9]|[4-9][0-9]|[1-9][0-9]{2,6})MiB|[1-9][0-9]{0,3}GiB"
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def _field(number: str, names: tuple[str, ...] = ()) -> str:
    """Return the expression of one field of a schedule: `*`, N, N-M, with /S, several with commas."""
    one = "|".join((number, *names))
    return rf"(?:\*|(?:{one})(?:-(?:{one}))?)(?:/[1-9][0-9]?)?"


def _list(field: str) -> str:
    return f"{field}(?:,{field})*"


# crontab(5) of Debian, as far as Kubernetes (robfig/cron) takes it.
SCHEDULE = " ".join(
    _list(_field(*field))
    for field in (
        ("[0-5]?[0-9]",),
        ("1[0-9]|2[0-3]|0?[0-9]",),
        ("[12][0-9]|3[01]|0?[1-9]",),
        ("1[0-2]|0?[1-9]", MONTHS),
        ("[0-7]", DAYS),
    )
)


@dataclass(frozen=True)
class Conventions:
    """What INFO says, with the defaults filled in.

    Attributes:
        routes: the path prefixes it answers below, cut at `/`; `/name` where INFO says neither route nor host.
        hosts: the host names it answers for, empty for all; the first label may be `*`.
        strip: whether the prefix is taken off before the effe sees the path, so that it need not know its URL.
        env: the variables it reads, with their defaults, None for one that must be given.
        secrets: the variables that must be given and must never be shown.
        schedule: five fields in crontab(5)'s form, when it is called by itself with `POST /`.
        memory: bytes it may take.
        concurrency: runs at once in one process.
    """

    routes: tuple[str, ...] = ("/",)
    hosts: tuple[str, ...] = ()
    strip: bool = True
    env: Mapping[str, str | None] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    schedule: str | None = None
    memory: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True)
class Key:
    """One key of INFO: what it is for, its schema, what it takes in words, an example, the code of its error."""

    text: str
    schema: Mapping[str, Any]
    takes: str
    example: str
    code: str


def _strings(expression: str, most: int = 16, length: int = 253) -> dict[str, Any]:
    return {
        "type": "array",
        "items": _string(expression, length),
        "minItems": 1,
        "maxItems": most,
        "uniqueItems": True,
    }


def _string(expression: str, length: int = 253) -> dict[str, Any]:
    # `$` alone lets a line break follow, in Python's dialect of the many that read a schema.
    return {"type": "string", "maxLength": length, "pattern": rf"^(?:{expression})$(?!\n)"}


def _one_or_more(expression: str) -> dict[str, Any]:
    return {"oneOf": [_string(expression), _strings(expression)]}


KEYS: dict[str, Key] = {
    "route": Key(
        "The path prefix it answers below, or a list of them; cut at a slash: /hello is not /helloworld.",
        _one_or_more(ROUTE),
        "a path such as /hello, or a list of them: no / at the end, no wildcard",
        '"/hello"',
        "E117",
    ),
    "host": Key(
        "The host name it answers for, or a list of them; *.example.org is every name below it.",
        _one_or_more(HOST),
        "a host name in lower case such as api.example.org, or a list of them; no port, no address",
        '"api.example.org"',
        "E117",
    ),
    "strip": Key(
        "Whether the prefix is taken off before the effe sees the path. Default: true.",
        {"type": "boolean"},
        "true or false",
        "false",
        "E117",
    ),
    "env": Key(
        "The variables it reads: a list of those that must be given, or an object with their defaults (null: none).",
        {
            "oneOf": [
                _strings(VARIABLE, 100, 128),
                {
                    "type": "object",
                    "propertyNames": _string(VARIABLE, 128),
                    "additionalProperties": {"type": ["string", "null"], "maxLength": 4096, "pattern": r"^[^\u0000]*$"},
                    "maxProperties": 100,
                },
            ]
        },
        "a list of variable names, or an object of names and defaults; EFFE_… and PORT are the runtime's",
        '{"LANGUAGE": "en"}',
        "E118",
    ),
    "secrets": Key(
        "The variables that must be given and are never shown: from the environment, NAME_FILE, /run/secrets/NAME.",
        _strings(VARIABLE, 100, 128),
        "a list of variable names; EFFE_… and PORT are the runtime's",
        '["API_KEY"]',
        "E118",
    ),
    "schedule": Key(
        "When it is called by itself with POST /: minute, hour, day of month, month, day of week, as in crontab(5).",
        _string(SCHEDULE),
        "five fields: minute, hour, day of month, month, day of week",
        '"*/5 * * * *"',
        "E119",
    ),
    "memory": Key(
        "The memory it may take, from 32MiB.",
        _string(MEMORY),
        "a size from 32MiB, in MiB or GiB",
        '"64MiB"',
        "E119",
    ),
    "concurrency": Key(
        "Runs at once in one process: what deployments set -concurrency to, and count with when they scale.",
        {"type": "integer", "minimum": 1, "maximum": 10000},
        "a whole number from 1 to 10000",
        "16",
        "E119",
    ),
}


def conventions(info: Info) -> Conventions:
    """Return what INFO says of routing, environment and size.

    Raises:
        InfoError: E117 route, host or strip, E118 env or secrets, E119 schedule, memory or concurrency.
    """
    data = info.data
    for name, key in KEYS.items():
        if name in data and not _fits(data[name], key.schema):
            raise InfoError(
                f"INFO: {name} is {shown(data[name])}; it takes {key.takes}",
                code=key.code,
                place=info.place_of(name),
                fix=f'write "{name}": {_near(name, data[name]) or key.example}',
            )
    memory, concurrency = data.get("memory"), data.get("concurrency")
    hosts = _several(data.get("host"))
    schedule = data.get("schedule")
    return Conventions(
        routes=_several(data.get("route")) or (("/",) if hosts or not info.name else (f"/{info.name}",)),
        hosts=hosts,
        strip=bool(data.get("strip", True)),
        env=_defaults(data.get("env")),
        secrets=_several(data.get("secrets")),
        schedule=schedule if isinstance(schedule, str) else None,
        memory=int(memory[:-3]) * UNITS[memory[-3:]] if isinstance(memory, str) else None,
        concurrency=int(concurrency) if isinstance(concurrency, (int, float)) else None,
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of INFO."""
    name = {"pattern": _anchored(NAME), "not": {"enum": sorted(RESERVED)}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "INFO of an effe",
        "type": "object",
        "properties": {
            "name": {"description": "Names the file, the image and the service.", "type": "string", **name},
            "version": {
                "description": "Part of the file's name and of the image's tag.",
                "type": "string",
                "pattern": _anchored(VERSION),
            },
            "doc": {"description": "One line on what it does."},
            **{name: {"description": key.text, **key.schema, "examples": [_read(key)]} for name, key in KEYS.items()},
        },
    }


def _read(key: Key) -> object:
    import json

    return json.loads(key.example)


def _anchored(expression: re.Pattern[str]) -> str:
    return "^(?:" + expression.pattern.removesuffix(r"\Z") + r")$(?!\n)"


def _fits(value: object, schema: Mapping[str, Any]) -> bool:
    """Tell whether a JSON value is valid, for the words of JSON Schema that `KEYS` uses."""
    if "oneOf" in schema:
        return sum(_fits(value, each) for each in schema["oneOf"]) == 1
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in types):
        return False
    if isinstance(value, str):
        fits = len(value) <= schema.get("maxLength", len(value))
        return fits and re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, list):
        within = schema["minItems"] <= len(value) <= schema["maxItems"]
        return within and all(_fits(one, schema["items"]) for one in value) and len(set(value)) == len(value)
    if isinstance(value, dict):
        named = all(_fits(name, schema["propertyNames"]) for name in value)
        valued = all(_fits(one, schema["additionalProperties"]) for one in value.values())
        return named and valued and len(value) <= schema["maxProperties"]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return bool(schema["minimum"] <= value <= schema["maximum"])
    return True


def _is(value: object, kind: str) -> bool:
    if kind == "integer":  # 2020-12 section 6.1.1: any number with a zero fractional part
        whole = value.is_integer() if isinstance(value, float) else isinstance(value, int)
        return whole and not isinstance(value, bool)
    python = {"string": str, "array": list, "object": dict, "boolean": bool, "null": type(None)}[kind]
    return isinstance(value, python)


def _several(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _defaults(value: object) -> dict[str, str | None]:
    if isinstance(value, list):
        return dict.fromkeys(value)
    return dict(value) if isinstance(value, dict) else {}


def _near(name: str, value: object) -> str | None:
    """Return what was probably meant, as JSON, when it is fit; None otherwise."""
    if name == "concurrency" and isinstance(value, str) and value.strip().isdecimal():
        near: object = int(value)
    elif name == "strip" and isinstance(value, (str, int)) and str(value).lower() in ("true", "false", "0", "1"):
        near = str(value).lower() in ("true", "1")
    elif not isinstance(value, str):
        return None
    elif name == "secrets" or name == "env":
        near = [value]
    elif name == "route":
        near = re.sub(r"/{2,}", "/", "/" + value.strip().removesuffix("*").strip("/"))
    elif name == "host":
        near = re.sub(r"\Ahttps?://|[:/].*", "", value.strip().lower().replace("http://", "").replace("https://", ""))
    elif name == "memory":
        number = re.fullmatch(r"\s*([0-9]+)\s*([MG])i?B?\s*", value, re.IGNORECASE)
        near = f"{max(int(number[1]), 32) if number[2] in 'mM' else number[1]}{number[2].upper()}iB" if number else ""
    else:
        near = value.strip().upper()
    return shown(near) if _fits(near, KEYS[name].schema) else None
