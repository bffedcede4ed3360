"""Plain words: phrases that readers stumbled over do not come back.

A pattern is here only if it has no false positives: it matches a phrase that always has a plainer form. A space in a
pattern stands for any white space, so a line break hides nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What is checked: a file, or a folder and the endings of its files. To come: the rest of effetool/.
ROOTS: list[tuple[str, set[str]]] = [
    ("README.md", set()),
    ("CONTRIBUTING.md", set()),
    ("CHANGELOG.md", set()),
    ("docs", {".md", ".py", ".sh"}),
    ("templates", {".jinja"}),
    ("tests/docs/README.md", set()),
    *((f"effetool/{name}", {".py"}) for name in ("cli", "deploy", "develop", "image", "testing", "up")),
]
# Written from effetool/, so their words change there.
GENERATED = {"docs/reference/cli.md", "docs/reference/errors.md", "docs/reference/flags.md"}

# Pattern, what to write, and an example that must match. Each is case-insensitive.
WORDS: dict[str, tuple[str, str]] = {
    # "there is no", "is no longer" and the like are plain.
    r"(?<!there )\b(is|are|was|were) no (?!longer\b|more\b|less\b|fewer\b|later\b|earlier\b|other\b|such\b)": (
        '"is not a …"',
        "where stdin is no terminal",
    ),
    r"(?<!there )\b(is|are|was|were) (?-i:none)\b(?! of\b)": ('"is not one"', "a body that is none"),
    # Words of our own for which the field has another.
    r"\bthe houses?\b|\bof the house\b": ('"the package" or "the code"', "The house"),
    r"\bstraight start": ('"direct start"', "by the straight start"),
    r"\blacking\b": ('"missing"', "the lacking layers"),
    r"\bstep(s|ped|ping)? aside\b": ('"gets a lower priority"', "a run that computes steps aside"),
    r"\b(the|a|its|his|their|of) wish(es)?\b": ('"options"', "the wishes of a build"),
    r"\bmenders?\b": ('"servers that repair"', "two menders"),
    r"\bsigns of life\b": ('"progress", with its measure', "progress, not signs of life"),
    r"\bgone bad\b|\bgood for once\b": ("the state: broken, for one request", "a context that has gone bad"),
    r"\bget(s|ting)? well\b": ('"becomes healthy"', "when it does not get well"),
    r"\bhas no clock\b|\bneither has a clock\b": ('"has no scheduler"', "Compose has no clock"),
    # Riddles: the subject is missing, or a person stands for a program.
    r"(^|[.;:,] )who (has|comes|changes|may|asks|asked|wants|recorded|wrote)\b": (
        "name the client, the author, the user",
        "; who has asked waits",
    ),
    r"\bwhoever\b": ("name the client, the author, the user", "whoever sets a variable"),
    r"\bevery(body|one) else\b": ('"other clients"', "JSON for everybody else"),
    r"\bnobody (asks|asked|answers|answered|there|is there|needed|wanted|named|reads it)\b": (
        '"without requests", "not used": name what happens',
        "ends when nobody asks",
    ),
    r"\bis told (of|by|to|what|that|why)\b|\bare told (of|by|to|what|that|why)\b": (
        '"gets", or who says it',
        "run is told by error",
    ),
    r"\bsa(y|ys|id) so from now on\b|: it is said\b|\band said\b": ('"prints", "warns"', "left out, and said"),
    r"\bsays of itself\b|\bsay of themselves\b": ('"its records"', "what the file says of itself"),
    r"\bwhat is under way\b": (
        '"requests in flight"',
        "what is under way is answered",
    ),
    r"\bmeets a close\b": ('"arrives at a closed connection"', "no request meets a close"),
    r"\bnothing of the inside\b": ('"without details"', "500, nothing of the inside"),
    r"\b(new|added) (ones|effes) come\b|\bgone go\b": ("what is started, what is stopped", "those that are gone go"),
    r"\bto be had\b|\bcannot be had\b|\bcannot have\b": ('"not available"', "what cannot be had"),
    # Old or foreign turns.
    r", for (nobody|they|he|she|we|there)\b": ('"because"', ", for nobody knows"),
    r"\bin the (same breath|midst)\b": ('"at the same time", "while"', "in the same breath"),
    r"\ball the same\b": ('"still", "anyway"', "is answered all the same"),
    r"\b(held|hold|holds) against\b": ('"compared with"', "is held against its checksum"),
    r"\b(writes?|written|makes?|made|built|builds|begun|begins|started) (it |them )?anew\b": (
        '"again"',
        "which is written anew",
    ),
    r"\bthe very (bytes|same|file|first)\b|\bthat very\b": ('"exactly"', "for that very Python"),
    r"\bknows nothing of\b": ('"does not use", "does not support"', "knows nothing of the tool"),
    r"\bstands? (in|at|behind|beside|below|above) (the|its|a|an|it)\b": ('"is in"', "stands in the log"),
    r"\blies? (in|at|below|beside|under) (the|its|a|an|it)\b": ('"is in"', "lies in the directory"),
    r"\b(of|by) ours\b|\bof our own\b": ('"of effe-tool"', "nothing of ours"),
    r"\basks? `?/": ('"requests"', "asks /ready"),
}


def files() -> list[Path]:
    found: list[Path] = []
    for name, endings in ROOTS:
        path = ROOT / name
        assert path.exists(), name
        found += [path] if path.is_file() else [one for one in path.rglob("*") if one.suffix in endings]
    return sorted(
        path for path in found if path.relative_to(ROOT).as_posix() not in GENERATED and "__pycache__" not in path.parts
    )


def pattern(words: str) -> re.Pattern[str]:
    """Compile an entry of WORDS: a space is any white space, outside of the look-behinds, whose width is fixed."""
    parts = re.split(r"(\(\?<[=!][^)]*\))", words)
    spaced = "".join(part if part.startswith("(?<") else part.replace(" ", r"\s+") for part in parts)
    return re.compile(spaced, re.IGNORECASE | re.MULTILINE)


def prose(path: Path) -> str:
    """Return the text; of a page without its blocks, whose output is the tool's. Line numbers stay."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return re.sub(
            r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1", lambda m: "\n" * m.group().count("\n"), text, flags=re.M | re.S
        )
    return text


@pytest.mark.parametrize("words", WORDS)
def test_words_do_not_come_back(words: str) -> None:
    """Each phrase has a plainer form."""
    hits = []
    for path in files():
        text = prose(path)
        for match in pattern(words).finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            hits.append(f"{path.relative_to(ROOT)}:{line}: {match.group()!r}")
    assert not hits, f"write {WORDS[words][0]}:\n" + "\n".join(hits)


@pytest.mark.parametrize("words", WORDS)
def test_patterns_match_their_example(words: str) -> None:
    """A pattern that matches nothing would check nothing."""
    assert pattern(words).search(WORDS[words][1])
    assert pattern(words).search(WORDS[words][1].replace(" ", "\n"))


@pytest.mark.parametrize(
    "text",
    ["there is no Python", "it is no longer sent", "none of them is a 500", "one for all", "by itself", "stands for N"],
)
def test_plain_words_are_free(text: str) -> None:
    """What is plain English is not refused."""
    assert [words for words in WORDS if pattern(words).search(text)] == []


def test_every_root_has_files() -> None:
    """A root that was moved away would be passed over in silence."""
    names = {path.relative_to(ROOT).as_posix() for path in files()}
    assert {"README.md", "docs/how-to/secrets.md", "templates/effe/hello/logic.py.jinja"} <= names
    assert GENERATED.isdisjoint(names)
    assert all((ROOT / name).exists() for name in GENERATED)
