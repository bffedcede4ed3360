"""Turn what a resolver said into an error with a place and a fix."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...errors import DependencyError
from ..requirements.declaration import Declaration
from ..requirements.names import near
from ..requirements.requirement import normalise
from .backends import Unresolved
from .index import Index
from .target import Target

_GLYPHS = re.compile(r"^[\s×╰─▶│├┬]+|^(error|ERROR|cause|hint|warning|WARNING): ?", re.IGNORECASE)
_MISSING = re.compile(r"was not found in|from versions: none|No such package", re.IGNORECASE)
_NETWORK = re.compile(
    r"Failed to fetch|dns error|Connection|timed out|certificate|network connectivity|40[13] |offline",
    re.IGNORECASE,
)
# What a direct reference points to is no distribution; uv's word, then pip's.
_NO_FILE = re.compile(r"to end in a supported file extension|Cannot detect archive format|Cannot unpack file")
_WHEELS = re.compile(r"no (usable |compatible )?wheels|no wheels with a matching|building from source is disabled")


def explain(
    refusal: Unresolved, declaration: Declaration, target: Target, index: Index | None = None
) -> DependencyError:
    """Return the error for a refusal: the resolver's last line, the dependency's place, what to type.

    E140, or E143 when wheels for the target are what is missing. What `index` names is asked whether it refuses the
    credentials.
    """
    last = _last(refusal.lines)
    name = _blamed(last, [requirement.name for requirement in declaration.requirements])
    place = declaration.place(name) if name else None
    whole = "\n".join(refusal.lines)
    # Our own requirements file says nothing to anybody.
    notes = tuple(line for line in refusal.lines if "requirements.in`" not in line)
    if _WHEELS.search(whole):
        without = re.search(r"(?:versions of|`|for) ?([A-Za-z0-9][\w.-]*)`? (?:\(v[^)]*\) )?ha(?:ve|s) no", whole)
        culprit = name or (normalise(without[1]) if without else "a dependency")
        return DependencyError(
            f"{culprit} has no wheel for {target.name}",
            code="E143",
            place=place or declaration.place(culprit),
            fix="leave that target out, take another version, or build on such a machine",
            notes=notes,
        )
    listed = re.search(r"\(from versions: ([^()]*)\)", last)
    newest = ", ".join(listed[1].split(", ")[-2:]) if listed else ""
    shown = last.replace(listed[0], f"(newest: {newest})") if listed and "," in listed[0] else last
    refused = index.refusing(name or declaration.requirements[0].name) if index and declaration.requirements else None
    fix = f"{refused[0]} answers {refused[1]}: check its user and password (pip config list)" if refused else None
    return DependencyError(
        f"{refusal.resolver}: {shown}", code="E140", place=place, fix=fix or _fix(name, last, whole), notes=notes
    )


def _last(lines: Iterable[str]) -> str:
    """Return the last sentence that says what is wrong: wrapped lines joined, drawing and hints left out."""
    paragraphs: list[str] = []
    open_paragraph = False
    for line in lines:
        if re.match(r"\s*(hint|warning|WARNING|\[notice\])", line) or not line.strip():
            open_paragraph = False
            continue
        text = _GLYPHS.sub("", _GLYPHS.sub("", line)).strip()
        continues = open_paragraph and line.startswith("   ") and "▶" not in line
        if continues:
            paragraphs[-1] += " " + text
        elif text:
            paragraphs.append(text)
        open_paragraph = True
    for text in reversed(paragraphs):
        if not text.startswith("No matching distribution found for") or len(paragraphs) == 1:
            return text
    return paragraphs[-1] if paragraphs else "it failed and said nothing"


def _blamed(text: str, names: Iterable[str]) -> str | None:
    words = [normalise(word) for word in re.findall(r"[A-Za-z0-9][\w.-]*", text)]
    found = [name for name in names if name in words]
    return max(found, key=len, default=None)


def _fix(name: str | None, last: str, whole: str) -> str:
    if _NO_FILE.search(" ".join(whole.split())):  # uv breaks its lines
        return "let the URL end in a wheel or a source archive: x @ file:///…/x-1.0-py3-none-any.whl"
    if _MISSING.search(last):
        meant = near(name) if name else None
        return (
            f"did you mean {meant}? else check the name"
            if meant
            else "check the name, and the indexes and credentials pip is set up for"
        )
    listed = re.search(r"from versions: ([^)]+)\)", last)
    only = re.search(r"only ([\w.-]+)(<=|==)([\w.!+]+) is available", last)
    if name and listed:
        return f'the newest is {listed[1].split(",")[-1].strip()}: write "{name}<={listed[1].split(",")[-1].strip()}"'
    if name and only:
        return f'the newest is {only[3]}: write "{name}<={only[3]}"'
    if _NETWORK.search(whole):
        return "check the network, and the index and credentials of your pip configuration"
    return "loosen the versions that contradict each other; -v shows all the resolver said"
