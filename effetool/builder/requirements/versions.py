"""Compare versions by PEP 440: what a specifier admits.

Source: PEP 440, "Version specifiers". Only what a resolver's *answer* needs to be checked with; choosing
versions is the resolver's work.
"""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Any

_VERSION = re.compile(
    r"""\s*v?
    (?:(?P<epoch>\d+)!)?
    (?P<release>\d+(?:\.\d+)*)
    (?:[._-]?(?P<stage>alpha|beta|preview|pre|rc|a|b|c)[._-]?(?P<stage_number>\d*))?
    (?P<post>-(?P<bare>\d+)|[._-]?(?:post|rev|r)[._-]?(?P<post_number>\d*))?
    (?P<dev>[._-]?dev[._-]?(?P<dev_number>\d*))?
    (?:\+(?P<local>[a-z0-9]+(?:[._-][a-z0-9]+)*))?
    \s*""",
    re.VERBOSE | re.IGNORECASE,
)
_STAGES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
_CLAUSE = re.compile(r"\s*(===|~=|==|!=|<=|>=|<|>)\s*([^\s,;)]+)\s*")

_Key = tuple[Any, ...]


@total_ordering
class Version:
    """A version, ordered as PEP 440 orders it.

    Raises ValueError for a text that is no version.
    """

    __slots__ = ("key", "local", "post", "prerelease", "release", "text")

    def __init__(self, text: str) -> None:
        match = _VERSION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a version (PEP 440)")
        release = tuple(map(int, match["release"].split(".")))
        trimmed = release
        while len(trimmed) > 1 and trimmed[-1] == 0:
            trimmed = trimmed[:-1]
        stage = match["stage"]
        post = None if match["post"] is None else int(match["bare"] or match["post_number"] or 0)
        dev = None if match["dev"] is None else int(match["dev_number"] or 0)
        # A bare dev release sorts before its alphas, a final one after its candidates.
        pre: _Key = (1,)
        if stage is not None:
            pre = (0, _STAGES.get(stage.lower(), stage.lower()), int(match["stage_number"] or 0))
        elif post is None and dev is not None:
            pre = (-1,)
        self.text = text.strip()
        self.release = release
        self.prerelease = stage is not None or dev is not None
        self.post = post is not None
        self.local = (match["local"] or "").lower()
        parts = re.split(r"[._-]", self.local) if self.local else []
        self.key: tuple[_Key, _Key] = (
            (
                int(match["epoch"] or 0),
                trimmed,
                pre,
                (-1,) if post is None else (0, post),
                (1,) if dev is None else (0, dev),
            ),
            tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.key == other.key

    def __lt__(self, other: Version) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Version({self.text!r})"


class Specifiers:
    """The clauses of a version specifier, all of which a version has to meet.

    Pre-releases are admitted: whether to choose one was the resolver's question. Raises ValueError for a text that is
    no specifier.
    """

    __slots__ = ("clauses", "text")

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.clauses: list[tuple[str, str]] = []
        for part in self.text.split(","):
            if not part.strip():
                continue
            match = _CLAUSE.fullmatch(part)
            if match is None:
                raise ValueError(f"{part.strip()!r} is not a version specifier (PEP 440), write for example >=1.2")
            operator, version = match.groups()
            wildcard = version.endswith(".*")
            if operator != "===":
                if wildcard and operator not in ("==", "!="):
                    raise ValueError(f"{part.strip()!r}: .* goes only with == and !=")
                if operator == "~=" and len(Version(version).release) < 2:
                    raise ValueError(f"{part.strip()!r}: ~= needs two numbers, for example ~=1.2")
                Version(version.removesuffix(".*"))
            self.clauses.append((operator, version))

    def admit(self, version: str | Version) -> bool:
        """Tell whether `version` meets every clause."""
        found = version if isinstance(version, Version) else Version(version)
        return all(_meets(found, operator, wanted) for operator, wanted in self.clauses)


def _starts(version: Version, prefix: str) -> bool:
    wanted = Version(prefix)
    if version.key[0][0] != wanted.key[0][0]:
        return False
    padded = version.release + (0,) * (len(wanted.release) - len(version.release))
    return padded[: len(wanted.release)] == wanted.release


def _meets(version: Version, operator: str, text: str) -> bool:
    if operator == "===":
        return version.text.lower() == text.lower()
    if text.endswith(".*"):
        return _starts(version, text.removesuffix(".*")) == (operator == "==")
    wanted = Version(text)
    public, limit = version.key[0], wanted.key[0]
    if operator in ("==", "!="):
        same = version.key == wanted.key if wanted.local else public == limit
        return same == (operator == "==")
    if operator == "~=":
        prefix = ".".join(map(str, wanted.release[:-1]))
        return public >= limit and _starts(version, f"{limit[0]}!{prefix}")
    if operator == ">=":
        return public >= limit
    if operator == "<=":
        return public <= limit
    # Only of V itself, as its words are: 1.0.post1 is no post-release of 1.0a1, 1.0a1 no pre-release of 1.0.post1.
    same = public[:2] == limit[:2]
    if operator == ">":
        return public > limit and not (same and public[2] == limit[2] and version.post and not wanted.post)
    return public < limit and not (same and public[3] == limit[3] and version.prerelease and not wanted.prerelease)
