"""INFO: what an effe says of itself, read without running it.

INFO is the original's JSON string or the same object as a dict literal. Both are read from the syntax tree, so
reading needs none of the author's dependencies and runs none of the author's code.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import InfoError, Place
from .source import Source, read_source

__all__ = ["Info", "check_name", "check_version", "info_of", "parse_info", "read_info"]

# One name serves as a file name, an OCI repository component and a Kubernetes object name: DNS-1123 labels (RFC 1123
# section 2.1) are the narrowest, `_` is allowed besides because Python authors use it; an image gets `-` for it.
NAME = re.compile(r"[a-z](?:[a-z0-9_-]{0,61}[a-z0-9])?\Z")
# An OCI tag is [\w][\w.-]{0,127}; a file name needs room beside it. The "+" of SemVer build metadata fits no tag.
VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
# Reserved device names of Windows: a .pex travels by file shares, archives and checkouts too.
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})
MAX_INFO = 64 * 1024


@dataclass(frozen=True)
class Info:
    """What an effe says of itself.

    Attributes:
        text: what `-info` prints: an author's JSON string verbatim, a dict literal as JSON.
        data: the object in it, with every key the author wrote.
        place: where INFO stands, for errors about its values.
        problem: the E114 of a missing name or version, None when both are there: they are fit then.
    """

    text: str
    data: Mapping[str, object]
    place: Place | None = None
    problem: InfoError | None = field(default=None, compare=False)

    @property
    def name(self) -> str | None:
        """The name, or None when it is missing or no string."""
        name = self.data.get("name")
        return name if isinstance(name, str) else None

    @property
    def version(self) -> str | None:
        """The version, or None when it is missing or no string."""
        version = self.data.get("version")
        return version if isinstance(version, str) else None

    @property
    def doc(self) -> str:
        """The one line about the effe, empty when there is none."""
        doc = self.data.get("doc")
        return doc if isinstance(doc, str) else ""

    @property
    def usable(self) -> bool:
        """Whether there are a name and a version to name a file by."""
        return self.problem is None

    @property
    def stem(self) -> str:
        """`name-version`, the artefact's file name without its suffix.

        Raises:
            InfoError: E114 when name or version is missing.
        """
        if self.problem is not None:
            raise self.problem
        return f"{self.name}-{self.version}"


def check_name(name: object, place: Place | None = None) -> str:
    """Return `name` if it can name a file, an image and a Kubernetes object at once.

    Raises:
        InfoError: E114 when it is missing or no string, E115 when it is unfit.
    """
    if not isinstance(name, str):
        raise _missing("name", name, "hello", place)
    if name in RESERVED:
        raise InfoError(
            f"INFO: name {name!r} is reserved by Windows",
            code="E115",
            place=place,
            fix=f'write "name": "{name}-effe"',
        )
    if not NAME.match(name):
        near = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_0123456789")[:63].rstrip("-_")
        raise InfoError(
            f"INFO: name {_shown(name)} cannot name a file, an image and a service: it takes a lower-case letter "
            "first, then letters, digits, `-` or `_`, at most 63, the last one a letter or digit",
            code="E115",
            place=place,
            fix=f'write "name": "{near or "hello"}"',
        )
    return name


def check_version(version: object, place: Place | None = None) -> str:
    """Return `version` if it can be part of a file name and an image tag.

    Raises:
        InfoError: E114 when it is missing or no string, E116 when it is unfit.
    """
    if not isinstance(version, str):
        raise _missing("version", version, "1.0", place)
    if not VERSION.match(version):
        near = re.sub(r"[^A-Za-z0-9_.-]+", "-", version).strip("-.")[:64]
        raise InfoError(
            f"INFO: version {_shown(version)} cannot be part of a file name and an image tag: it takes letters, "
            "digits, `.`, `-` or `_`, at most 64, not `.` or `-` first",
            code="E116",
            place=place,
            fix=f'write "version": "{near or "1.0"}"',
        )
    return version


def _missing(key: str, value: object, example: str, place: Place | None) -> InfoError:
    if value is None:
        return InfoError(f"INFO has no {key}", code="E114", place=place, fix=f'add "{key}": "{example}"')
    shown = _shown(value)
    fix = (
        f'write "{key}": "{value}"'
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else f'write "{key}": "{example}"'
    )
    return InfoError(f"INFO: {key} is {shown}, not a string", code="E114", place=place, fix=fix)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, default=repr)
    return text if len(text) <= 80 else text[:76] + '…"'


def read_info(path: Path) -> Info:
    """Read INFO of the module at `path` without running it.

    Raises:
        SourceError: E101, E150.
        InfoError: as `info_of`.
    """
    return info_of(read_source(path))


def info_of(source: Source) -> Info:
    """Read INFO from a module's syntax tree.

    A name or version that is *missing* is kept in `Info.problem`, since an artefact can be named by a hash; one
    that is given and wrong is an error, since its author meant something else.

    Raises:
        InfoError: E110 no INFO, E111 computed, E112 not JSON, E113 not an object, E114 name or version not a string,
            E115 an unfit name, E116 an unfit version.
    """
    path, at = source.path, source.at
    value: ast.expr | None = None
    near: ast.expr | None = None
    for node in source.tree.body:
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                if target.id == "INFO":
                    value = node.value
                elif target.id.lower().strip("_") == "info":
                    near = target
    if value is None:
        if isinstance(near, ast.Name):
            raise InfoError(
                f"no INFO: found `{near.id}`",
                code="E110",
                place=at(near),
                fix=f"rename `{near.id}` to `INFO`",
            )
        name = path.stem if NAME.match(path.stem) and path.stem != "logic" else "hello"
        raise InfoError(
            "no INFO in this module",
            code="E110",
            place=Place(path),
            fix=f'add INFO = {{"name": "{name}", "version": "1.0"}}',
        )
    try:
        literal = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise InfoError(
            "INFO is computed: it is read without running the module, so it takes a literal",
            code="E111",
            place=at(_first_computed(value)),
            fix="write INFO as one dict literal or one JSON string, or build with --import-info (runs the module)",
        ) from None
    place = at(value)
    if isinstance(literal, str):
        return parse_info(literal, place, _segment(source, value))
    if not isinstance(literal, dict):
        raise InfoError(
            f"INFO is a {type(literal).__name__}, not an object",
            code="E113",
            place=place,
            fix='write INFO = {"name": "hello", "version": "1.0"}',
        )
    try:
        text = json.dumps(literal, ensure_ascii=False, allow_nan=False)
        data = json.loads(text)
        text.encode()
    except (TypeError, ValueError) as error:
        raise InfoError(
            f"INFO does not fit JSON: {error}",
            code="E112",
            place=place,
            fix="keep to strings, numbers, true, false, None, lists and dicts",
        ) from None
    if any(not isinstance(key, str) for key in literal):
        raise InfoError(
            "INFO has a key that is not a string", code="E112", place=place, fix="write every key in quotes"
        )
    keys: dict[object, Place] = {}
    if isinstance(value, ast.Dict):
        for key_node, value_node in zip(value.keys, value.values, strict=True):
            if isinstance(key_node, ast.Constant):
                keys[key_node.value] = at(value_node)
    return _checked(text, data, place, keys)


def parse_info(text: str, place: Place | None = None, segment: _Segment | None = None) -> Info:
    """Parse the JSON text of an INFO string.

    Raises:
        InfoError: E112 when it is not JSON (RFC 8259), E113 when it is no object.
    """
    if len(text) > MAX_INFO:
        raise InfoError(
            f"INFO is {len(text)} characters long, at most {MAX_INFO} are read",
            code="E112",
            place=place,
            fix="shorten it",
        )
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        message, fix, position = _json_fault(text, error)
        raise InfoError(
            f"INFO is not JSON: {message}",
            code="E112",
            place=segment.place(place, text, position) if segment else place,
            fix=fix,
        ) from None
    except (ValueError, RecursionError) as error:
        raise InfoError(
            f"INFO is not JSON: {error}", code="E112", place=place, fix="keep to plain JSON (RFC 8259)"
        ) from None
    if not isinstance(data, dict):
        raise InfoError(
            f"INFO holds {_kind(data)}, not an object",
            code="E113",
            place=place,
            fix='write {"name": "hello", "version": "1.0"}',
        )
    return _checked(text, data, place, {})


def _checked(text: str, data: dict[str, object], place: Place | None, keys: Mapping[object, Place]) -> Info:
    problem: InfoError | None = None
    for key, check in (("name", check_name), ("version", check_version)):
        try:
            check(data.get(key), keys.get(key, place))
        except InfoError as error:
            if key in data:
                raise
            problem = problem or error
    return Info(text, data, place, problem)


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is not a JSON value")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f'the key "{key}" stands twice')
        found[key] = value
    return found


def _kind(value: object) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


def _first_computed(value: ast.expr) -> ast.expr:
    """Return the innermost first node that no literal has, for the caret."""
    if isinstance(value, ast.Dict):
        for node in (part for pair in zip(value.keys, value.values, strict=True) for part in pair):
            if node is None:  # {**other}
                return value
            try:
                ast.literal_eval(node)
            except (ValueError, TypeError, SyntaxError):
                return _first_computed(node)
    return value


@dataclass(frozen=True)
class _Segment:
    """The source lines a string constant spans, to place a fault inside it."""

    lines: tuple[str, ...]
    first: int

    def place(self, whole: Place | None, text: str, position: int) -> Place | None:
        """Return where character `position` of the string's value stands in the file, where that can be told."""
        if whole is None:
            return None
        row = text.count("\n", 0, position)
        line = text.split("\n")[row]
        offset = position - (text.rfind("\n", 0, position) + 1)
        # The value's line stands in the source as it is unless it has escapes or implicit joins: look for it, else keep
        # INFO's own place.
        for index in (row, *range(len(self.lines))):
            if index < len(self.lines) and line and (found := self.lines[index].find(line)) >= 0:
                return Place(whole.file, self.first + index, found + offset + 1, self.lines[index])
        return whole


def _segment(source: Source, value: ast.expr) -> _Segment:
    end = value.end_lineno or value.lineno
    return _Segment(source.lines[value.lineno - 1 : end], value.lineno)


def _json_fault(text: str, error: json.JSONDecodeError) -> tuple[str, str, int]:
    """Return the message, the fix and the position for what people write instead of JSON."""
    rest = text[error.pos :].lstrip()
    before = text[: error.pos].rstrip()
    message = error.msg[0].lower() + error.msg[1:]
    comment = re.search(r"(?:^|[\s,{\[])(//|#|/\*)", text)
    if (
        comment
        and text.count("\n", 0, comment.start(1)) <= text.count("\n", 0, error.pos)
        and (rest.startswith(("//", "/*", "#")) or before.endswith(("//", "/*", "#")))
    ):
        mark = comment.group(1)
        until = "to `*/`" if mark == "/*" else "to the end of the line"
        return message, f"JSON has no comments: delete from {mark} {until}", comment.start(1)
    if before.endswith(",") and rest.startswith(("}", "]")):
        return message, "JSON has no trailing comma: delete the last `,`", len(before) - 1
    if rest.startswith("'"):
        return message, "JSON strings take double quotes: write \" for '", error.pos
    if "control character" in message:
        return message, 'the string is not raw, so \\n in it is a line break: write r""" … """', error.pos
    if "escape" in message:
        return (
            message,
            'a backslash in JSON is written \\\\: in a raw string r""" … """ it stays as you type it',
            error.pos,
        )
    if rest[:4] in {"True", "None"} or rest.startswith("False"):
        return message, "JSON writes true, false and null in lower case", error.pos
    if not rest:
        return (
            message,
            "the JSON ends too early: close every { and [",
            len(text.rstrip()) - 1 if text.strip() else 0,
        )
    if "delimiter" in message:
        return message, "put a `,` between members and a `:` after each key", error.pos
    return message, 'write it as JSON, for example {"name": "hello", "version": "1.0"}', error.pos
