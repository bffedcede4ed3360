"""INFO: what an effe says of itself, read without running it.

INFO is the original's JSON string or the same object as a dict literal. Both are read from the syntax tree, so
reading needs none of the author's dependencies and runs none of the author's code.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InfoError, Place
from .json_text import TOO_LONG, JsonFault, members, parse
from .source import Source, read_source

__all__ = ["Info", "check_name", "check_version", "info_of", "parse_info", "read_info", "shown"]

# One name serves as a file name, an OCI repository component and a Kubernetes object name: DNS-1123 labels (RFC 1123
# section 2.1) are the narrowest, `_` is allowed besides because Python authors use it; an image gets `-` for it.
NAME = re.compile(r"[a-z](?:[a-z0-9_-]{0,61}[a-z0-9])?\Z")
# An OCI tag is [\w][\w.-]{0,127}; a file name needs room beside it. The "+" of SemVer build metadata fits no tag.
VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
# Reserved device names of Windows: a .pex travels by file shares, archives and checkouts too.
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})
MAX_INFO = 64 * 1024
CHANGES = frozenset({"clear", "pop", "popitem", "setdefault", "update"})  # what a dict is changed by


@dataclass(frozen=True)
class Info:
    """What an effe says of itself.

    Attributes:
        text: what `-info` prints: an author's JSON string verbatim, a dict literal as JSON.
        data: the object in it, with every key the author wrote.
        place: where INFO stands, for errors about its values.
        problem: the E114 of a missing name or version, None when both are there: they are fit then.
        where: tells where the value of a key stands, None where it is not known.
    """

    text: str
    data: Mapping[str, object]
    place: Place | None = None
    problem: InfoError | None = field(default=None, compare=False)
    where: Callable[[str], Place | None] = field(default=lambda key: None, compare=False, repr=False)

    def place_of(self, key: str) -> Place | None:
        """Return where the value of a key stands, else where INFO does."""
        return self.where(key) or self.place

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
        near += "-effe" if near in RESERVED else ""
        raise InfoError(
            f"INFO: name {shown(name)} cannot name a file, an image and a service: it takes a lower-case letter "
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
            f"INFO: version {shown(version)} cannot be part of a file name and an image tag: it takes letters, "
            "digits, `.`, `-` or `_`, at most 64, not `.` or `-` first",
            code="E116",
            place=place,
            fix=f'write "version": "{near or "1.0"}"',
        )
    return version


def _missing(key: str, value: object, example: str, place: Place | None) -> InfoError:
    if value is None:
        return InfoError(f"INFO has no {key}", code="E114", place=place, fix=f'add "{key}": "{example}"')
    fix = (
        f'write "{key}": "{value}"'
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else f'write "{key}": "{example}"'
    )
    return InfoError(f"INFO: {key} is {shown(value)}, not a string", code="E114", place=place, fix=fix)


def shown(value: object) -> str:
    """Return a value as JSON in at most 80 characters, for an error."""
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
    value = _find(source)
    try:
        literal = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise _computed(
            source.at(_first_computed(value)),
            "write INFO as one dict literal or one JSON string; effe-tool build --import-info runs the module for it",
        ) from None
    place = source.at(value)
    if isinstance(literal, str):
        return parse_info(literal, place, lambda position: source.inside(value, position))
    if not isinstance(literal, dict):
        raise InfoError(
            f"INFO is of type {type(literal).__name__}, not an object",
            code="E113",
            place=place,
            fix='write INFO = {"name": "hello", "version": "1.0"}',
        )
    keys: dict[str, Place] = {}
    if isinstance(value, ast.Dict):
        for key_node, value_node in zip(value.keys, value.values, strict=True):
            if isinstance(key_node, ast.Constant):
                _check_member(key_node.value, literal, keys, source.at(key_node), source.at(value_node))
                _check_nested(source, value_node)
    text = json.dumps(literal, ensure_ascii=False, allow_nan=False)
    _check_length(text, place)
    return _checked(text, json.loads(text), place, keys.get)


def parse_info(text: str, place: Place | None = None, locate: Callable[[int], Place] | None = None) -> Info:
    """Parse the JSON text of an INFO string.

    Args:
        text: the JSON.
        place: where INFO stands.
        locate: tells where the character of an index stands in the file.

    Raises:
        InfoError: E112 when it is not JSON (RFC 8259), E113 when it is no object.
    """
    _check_length(text, place)
    try:
        data = parse(text)
    except JsonFault as fault:
        raise InfoError(
            f"INFO is not JSON: {fault.message}",
            code="E112",
            place=locate(fault.position) if locate and fault.position is not None else place,
            fix=fault.fix,
        ) from None
    if not isinstance(data, dict):
        raise InfoError(
            f"INFO holds {_kind(data)}, not an object",
            code="E113",
            place=place,
            fix='write {"name": "hello", "version": "1.0"}',
        )

    def where(key: str) -> Place | None:
        position = members(text).get(key)
        return locate(position) if locate and position is not None else None

    return _checked(text, data, place, where)


def _find(source: Source) -> ast.expr:
    """Return the expression INFO is set to: that of the last assignment, as when the module runs."""
    value: ast.expr | None = None
    near: ast.Name | None = None
    for node in source.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            if node.value is None:  # an annotation alone sets nothing
                continue
            targets = [node.target]
        names = [target for target in targets if isinstance(target, ast.Name)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(name.id == "INFO" for name in names):
            value = node.value
        elif (touched := _touches_info(node)) is not None:
            raise _computed(source.at(touched), "write INFO once, at the top level, as a literal")
        near = next((name for name in names if name.id.lower().strip("_") == "info"), near)
    if value is not None:
        return value
    if near is not None:
        raise InfoError(
            f"no INFO: found `{near.id}`",
            code="E110",
            place=source.at(near),
            fix=f"rename `{near.id}` to `INFO`",
        )
    stem = source.path.stem
    name = stem if NAME.match(stem) and stem != "logic" else "hello"
    raise InfoError(
        "no INFO in this module",
        code="E110",
        place=Place(source.path),
        fix=f'add INFO = {{"name": "{name}", "version": "1.0"}}',
    )


def _touches_info(statement: ast.stmt) -> ast.expr | ast.alias | None:
    """Return what in a statement, but not in a function or class it defines, sets or changes INFO."""
    rest: list[ast.AST] = [statement]
    for node in rest:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.alias) and (node.asname or node.name) == "INFO":
            return node
        if isinstance(node, ast.Name | ast.Subscript) and not isinstance(node.ctx, ast.Load) and _is_info(node):
            return node
        if isinstance(node, ast.Attribute) and node.attr in CHANGES and _is_info(node.value):
            return node
        rest.extend(ast.iter_child_nodes(node))
    return None


def _is_info(node: ast.expr) -> bool:
    while isinstance(node, ast.Subscript):
        node = node.value
    return isinstance(node, ast.Name) and node.id == "INFO"


def _computed(place: Place, fix: str) -> InfoError:
    return InfoError(
        "INFO is computed: it is read without running the module, so it takes a literal",
        code="E111",
        place=place,
        fix=fix,
    )


def _check_member(key: object, literal: dict[object, object], keys: dict[str, Place], at: Place, to: Place) -> None:
    """Check one member of a dict literal for what JSON cannot hold."""
    if not isinstance(key, str):
        raise InfoError("INFO has a key that is not a string", code="E112", place=at, fix="write every key in quotes")
    if key in keys:
        raise InfoError(f"INFO has the key {shown(key)} twice", code="E112", place=at, fix="delete one of the two")
    keys[key] = to
    try:
        json.dumps({key: literal[key]}, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InfoError(
            f"INFO does not fit JSON: {TOO_LONG if 'digits' in str(error) else str(error).split(':')[0]}",
            code="E112",
            place=to,
            fix="keep to strings, numbers, True, False, None, lists and dicts",
        ) from None


def _check_nested(source: Source, value: ast.expr) -> None:
    """Refuse a key that stands twice in an object inside: Python would keep the last, and say nothing."""
    for node in ast.walk(value):
        seen: set[object] = set()
        for key in node.keys if isinstance(node, ast.Dict) else ():
            if isinstance(key, ast.Constant):
                if key.value in seen:
                    raise InfoError(
                        f"INFO has the key {shown(key.value)} twice in one object",
                        code="E112",
                        place=source.at(key),
                        fix="delete one of the two",
                    )
                seen.add(key.value)


def _check_length(text: str, place: Place | None) -> None:
    if len(text) > MAX_INFO:
        raise InfoError(
            f"INFO is {len(text)} characters long, at most {MAX_INFO} are read",
            code="E112",
            place=place,
            fix="shorten it: what is long belongs into a file beside the module",
        )


def _checked(text: str, data: dict[str, object], place: Place | None, where: Callable[[str], Place | None]) -> Info:
    problem: InfoError | None = None
    for key, check in (("name", check_name), ("version", check_version)):
        try:
            check(data.get(key), where(key) or place)
        except InfoError as error:
            if key in data:
                raise
            problem = problem or error
    return Info(text, data, place, problem, where)


def _kind(value: object) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


def _first_computed(value: ast.expr) -> ast.expr:
    """Return the innermost first node that no literal has, for the caret."""
    if isinstance(value, ast.Dict | ast.List | ast.Tuple | ast.Set):
        for node in ast.iter_child_nodes(value):
            if isinstance(node, ast.expr):
                try:
                    ast.literal_eval(node)
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    return _first_computed(node)
    return value
