"""JSON as RFC 8259 has it, and what people write instead: each fault with its position and its cure."""

from __future__ import annotations

import json
import re

__all__ = ["TOO_LONG", "JsonFault", "members", "parse"]

TOO_LONG = "a number of more than 4300 digits"  # sys.int_info.default_max_str_digits
BLANK = re.compile(r"[\s,:]*")  # what stands between the members of an object that is known to be JSON


class JsonFault(ValueError):
    """Text that is not JSON.

    Attributes:
        message: what the parser says.
        fix: what to write instead.
        position: the index of the character at fault, None where it cannot be told.
    """

    def __init__(self, message: str, fix: str, position: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.position = position


def parse(text: str) -> object:
    """Parse JSON text, stricter than `json.loads`: no NaN, no key twice, no half of a surrogate pair.

    Raises:
        JsonFault: with the position of the fault and its cure.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
        json.dumps(value, ensure_ascii=False).encode()
        text.encode()
    except json.JSONDecodeError as error:
        raise _fault(text, error) from None
    except UnicodeEncodeError:
        raise JsonFault(
            "it holds half of a surrogate pair", r"write the character itself, or both halves: \ud83d\ude00", None
        ) from None
    except RecursionError:
        raise JsonFault("it is nested too deeply", "nest it less", None) from None
    except JsonFault:
        raise
    except ValueError:  # a number of more digits than Python converts
        raise JsonFault(TOO_LONG, "write a shorter number, or a string", None) from None
    return value


def members(text: str) -> dict[str, int]:
    """Return the index at which the value of each member of an object stands; the text must be one `parse` takes."""
    decoder = json.JSONDecoder()
    found: dict[str, int] = {}
    at = text.index("{") + 1
    while (begin := BLANK.match(text, at).end()) < len(text) and text[begin] == '"':  # type: ignore[union-attr]
        key, at = decoder.raw_decode(text, begin)
        at = BLANK.match(text, at).end()  # type: ignore[union-attr]
        found[key] = at
        _, at = decoder.raw_decode(text, at)
    return found


def _no_constant(word: str) -> object:
    raise JsonFault(f"{word} is no JSON value", "write null, or a string", None)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise JsonFault(f'the key "{key}" stands twice', "delete one of the two", None)
        found[key] = value
    return found


def _fault(text: str, error: json.JSONDecodeError) -> JsonFault:
    rest = text[error.pos :].lstrip()
    before = text[: error.pos].rstrip()
    message = (error.msg[0].lower() + error.msg[1:]).removesuffix(" at")
    if rest.startswith(("//", "/*", "#")):
        mark = "#" if rest[0] == "#" else rest[:2]
        until = "to `*/`" if mark == "/*" else "to the end of the line"
        position = len(text) - len(rest)
        return JsonFault(message, f"JSON has no comments: delete from {mark} {until}", position)
    position = error.pos
    if text[position : position + 1] == ",":  # Python 3.13 names the comma, those before it what follows
        before, rest = text[: position + 1], text[position + 1 :].lstrip()
    if before.endswith(",") and rest.startswith(("}", "]")):
        return JsonFault("no value after a comma", "JSON has no trailing comma: delete the last `,`", len(before) - 1)
    if rest.startswith("'"):
        return JsonFault(message, "JSON strings take double quotes: write \" for '", position)
    if "control character" in message:
        if text[position] == "\n":
            fix = 'the string is not raw, so \\n in it is a line break: write r""" … """'
        else:
            fix = "write it as an escape such as \\t, in a raw string"
        return JsonFault(message, fix, position)
    if "escape" in message:
        return JsonFault(message, 'in a raw string r""" … """ write \\\\ for a backslash', position)
    if re.match(r"(?:True|False|None)\b", rest):
        return JsonFault(message, "JSON writes true, false and null in lower case", position)
    if not rest:
        end = max(len(text.rstrip()) - 1, 0)
        return JsonFault(message, "the JSON ends too early: close every { and [", end)
    if "Unterminated" in error.msg:
        return JsonFault(message, 'close it with a `"`', position)
    if "property name" in message and re.match(r"\w", rest):
        return JsonFault(message, "write every key in double quotes", position)
    if "delimiter" in message:
        return JsonFault(message, "put a `,` between members and a `:` after each key", position)
    if "extra data" in message:
        return JsonFault(message, "keep one object and delete what follows it", position)
    return JsonFault(message, 'write it as JSON, for example {"name": "hello", "version": "1.0"}', position)
