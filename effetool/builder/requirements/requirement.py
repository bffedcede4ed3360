"""Read what a dependency line says: name, extras, versions, marker.

Source: PEP 508 (dependency specifiers), PEP 685 (extra names), PEP 751 (`extras` and `dependency_groups` in the markers
of a lock).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .versions import Specifiers, Version

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*")
_EXTRAS = re.compile(r"\[([^\]]*)\]\s*")
_TOKEN = re.compile(r"""\s*(?:(\(|\))|(<=|>=|===|==|!=|~=|<|>)|'([^']*)'|"([^"]*)"|([A-Za-z_.]+))""")
_VERSIONED = {"python_version", "python_full_version", "implementation_version"}

Environment = Mapping[str, str]
Test = Callable[[Environment], bool]


def normalise(name: str) -> str:
    """Give a distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Marker:
    """A condition on the environment, for example `python_version < "3.11"`.

    Raises ValueError for a text that is no marker.
    """

    __slots__ = ("_test", "text")

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"{text[at:].strip()!r} is no part of a marker (PEP 508)")
            bracket, operator, single, double, word = match.groups()
            if bracket:
                tokens.append(("bracket", bracket))
            elif operator:
                tokens.append(("operator", operator))
            elif word:
                tokens.append(("word", word))
            else:
                tokens.append(("string", single if single is not None else double))
            at = match.end()
        self._test, rest = _either(tokens)
        if rest:
            raise ValueError(f"{rest[0][1]!r} is one too many in the marker {self.text!r}")

    def holds(self, environment: Environment) -> bool:
        """Tell whether the condition is true in `environment` (variables of PEP 508; what is missing is empty)."""
        return self._test(environment)


_Tokens = list[tuple[str, str]]


def _either(tokens: _Tokens) -> tuple[Test, _Tokens]:
    first, tokens = _both(tokens)
    tests = [first]
    while tokens and tokens[0] == ("word", "or"):
        test, tokens = _both(tokens[1:])
        tests.append(test)
    return (lambda env: any(test(env) for test in tests)), tokens


def _both(tokens: _Tokens) -> tuple[Test, _Tokens]:
    first, tokens = _single(tokens)
    tests = [first]
    while tokens and tokens[0] == ("word", "and"):
        test, tokens = _single(tokens[1:])
        tests.append(test)
    return (lambda env: all(test(env) for test in tests)), tokens


def _single(tokens: _Tokens) -> tuple[Test, _Tokens]:
    if tokens and tokens[0] == ("bracket", "("):
        test, tokens = _either(tokens[1:])
        if not tokens or tokens[0] != ("bracket", ")"):
            raise ValueError("a bracket is not closed in the marker")
        return test, tokens[1:]
    if len(tokens) < 3:
        raise ValueError("the marker is not complete")
    left, tokens = tokens[0], tokens[1:]
    if tokens[:2] == [("word", "not"), ("word", "in")]:
        operator, tokens = "not in", tokens[2:]
    elif tokens[0][0] == "operator" or tokens[0] == ("word", "in"):
        operator, tokens = tokens[0][1], tokens[1:]
    else:
        raise ValueError(f"{tokens[0][1]!r} is no comparison")
    if not tokens or left[0] not in ("word", "string") or tokens[0][0] not in ("word", "string"):
        raise ValueError("the marker is not complete")
    right, tokens = tokens[0], tokens[1:]
    return (lambda env: _compare(left, operator, right, env)), tokens


def _compare(left: tuple[str, str], operator: str, right: tuple[str, str], env: Environment) -> bool:
    names = {token[1] for token in (left, right) if token[0] == "word"}
    one, other = (env.get(text, "") if kind == "word" else text for kind, text in (left, right))
    if "extra" in names:
        one, other = normalise(one), normalise(other)
    if names & {"extras", "dependency_groups"}:
        return (one in other.split(",")) == (operator == "in")
    if operator == "in":
        return one in other
    if operator == "not in":
        return one not in other
    if names & _VERSIONED:
        if left[0] == "string" and right[0] == "word":  # '3.9' <= python_version
            one, other = other, one
            operator = operator.translate(str.maketrans("<>", "><"))
        try:
            return Specifiers(operator + other).admit(Version(one))
        except ValueError:
            pass
    compare: dict[str, bool] = {
        "==": one == other,
        "===": one == other,
        "!=": one != other,
        "<": one < other,
        "<=": one <= other,
        ">": one > other,
        ">=": one >= other,
    }
    return compare.get(operator, False)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One dependency as declared.

    `name` is normalised; `url` is set instead of `versions` for a direct reference (`name @ url`).
    """

    text: str
    name: str
    extras: frozenset[str]
    versions: Specifiers
    url: str | None
    marker: Marker | None

    def applies(self, environment: Environment, extras: frozenset[str] = frozenset()) -> bool:
        """Tell whether the dependency counts in `environment`, for a parent asked for with `extras`."""
        if self.marker is None:
            return True
        return any(self.marker.holds({**environment, "extra": extra}) for extra in (extras or {""}))


def read_requirement(text: str) -> Requirement:
    """Read one dependency specifier.

    Raises ValueError, saying which part is wrong.
    """
    match = _NAME.match(text)
    if match is None:
        raise ValueError(f"{text!r} does not begin with a distribution's name")
    name, rest = match[1], text[match.end() :]
    extras: frozenset[str] = frozenset()
    if rest.startswith("["):
        bracket = _EXTRAS.match(rest)
        if bracket is None:
            raise ValueError(f"{text!r}: a [ is not closed")
        extras = frozenset(normalise(extra.strip()) for extra in bracket[1].split(",") if extra.strip())
        rest = rest[bracket.end() :]
    url = None
    if rest.startswith("@"):
        # A URL may hold a semicolon: the marker's has a blank before it (PEP 508).
        url, separator, condition = rest[1:].strip().partition(" ;")
        if not url:
            raise ValueError(f"{text!r}: a URL has to follow the @")
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z", url) is None:
            raise ValueError(f"{text!r}: {url!r} is no URL")
        versions = Specifiers("")
    else:
        clauses, separator, condition = rest.partition(";")
        clauses = clauses.strip()
        if clauses.startswith("(") and clauses.endswith(")"):
            clauses = clauses[1:-1]
        if clauses and clauses[0] not in "<>=!~":
            raise ValueError(
                f"{text!r}: {clauses.split()[0]!r} is neither a version (write {name}=={clauses}) nor a marker"
            )
        versions = Specifiers(clauses)
    return Requirement(
        text=text.strip(),
        name=normalise(name),
        extras=extras,
        versions=versions,
        url=url,
        marker=Marker(condition) if separator else None,
    )
