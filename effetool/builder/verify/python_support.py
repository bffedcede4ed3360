"""See that an effe's modules fit every Python that it promises, `>=3.9` where it promises nothing.

Three readers, each of which sees what the others do not: the grammar of the lowest Python as far as `ast` knows it,
the modules that the standard library got and lost, and each interpreter of this machine that compiles the modules for
the artefact anyway (`check_compiled`). Only what certainly runs when the effe starts counts, as for `imports`.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ...effe.project import Project
from ...effe.source import Source
from ...errors import DependencyError, Place
from ..interpreters import NEWEST
from ..requirements.imports import Reached

__all__ = ["check_compiled", "check_promise"]

# The first minor of Python 3 that has a module of the standard library, of those that have come since 3.9.
ADDED = {"annotationlib": 14, "compression": 14, "profiling": 15, "tomllib": 11}
# The first that has it no more (PEP 594, PEP 632, What's New in Python 3.10 to 3.15).
REMOVED = {
    **dict.fromkeys(("formatter", "parser", "symbol"), 10),
    "binhex": 11,
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), 12),
    **dict.fromkeys(
        ("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib"), 13
    ),
    **dict.fromkeys(("nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu"), 13),
    "xdrlib": 13,
    **dict.fromkeys(("sre_compile", "sre_constants", "sre_parse"), 15),
}
INSTEAD = {"tomllib": "tomli", "cgi": "legacy-cgi", "telnetlib": "telnetlib3", "audioop": "audioop-lts"}
# Names that modules of the standard library got since 3.9.
NAMES = {
    "asyncio": {"TaskGroup": 11, "timeout": 11, "Runner": 11, "Barrier": 11},
    "contextlib": {"chdir": 11, "aclosing": 10},
    "dataclasses": {"KW_ONLY": 10},
    "datetime": {"UTC": 11},
    "enum": {"StrEnum": 11, "verify": 11, "member": 11, "nonmember": 11},
    "functools": {"Placeholder": 14},
    "inspect": {"get_annotations": 10, "getmembers_static": 11},
    "itertools": {"pairwise": 10, "batched": 12},
    "typing": {
        **dict.fromkeys(("Concatenate", "ParamSpec", "TypeAlias", "TypeGuard", "is_typeddict"), 10),
        **dict.fromkeys(("LiteralString", "Never", "NotRequired", "Required", "Self", "Unpack", "TypeVarTuple"), 11),
        **dict.fromkeys(("assert_never", "assert_type", "reveal_type", "dataclass_transform"), 11),
        **dict.fromkeys(("override", "TypeAliasType"), 12),
        **dict.fromkeys(("ReadOnly", "TypeIs", "NoDefault"), 13),
    },
}
COMPILE = """
import sys
try:
    compile(sys.stdin.buffer.read(), "module", "exec", dont_inherit=True)
except SyntaxError as error:
    print(error.lineno or 1, error.offset or 1, error.msg)
"""
TIMEOUT = 30


def check_promise(
    project: Project, reached: Reached, promised: str, minors: Collection[int], provided: Collection[str] = ()
) -> None:
    """Refuse an effe whose modules do not fit the lowest or the newest Python it promises.

    Args:
        project: the effe.
        reached: its modules, of which those that certainly run count.
        promised: the version specifier.
        minors: the minors of Python 3 that it takes.
        provided: the names its dependencies are imported by.

    Raises:
        DependencyError: E148 with the place of what does not fit, and the line to write.
    """
    lowest, newest = min(minors), max(minors)
    for source, sure in reached.modules.values():
        if sure:
            _check_grammar(project, source, promised, lowest)
    for source, one, module, sure in reached.imports:
        first = module.partition(".")[0]
        if not sure or first in provided:
            continue
        place = source.at(one.node)
        if (since := ADDED.get(first, 0)) > lowest:
            raise _too_new(project, place, f"{first} is new in Python 3.{since}", promised, lowest, since, first)
        if newest >= (until := REMOVED.get(first, 99)) and until <= NEWEST:
            also = f", or declare {INSTEAD[first]}" if first in INSTEAD else ""
            raise DependencyError(
                f"{first} is gone from Python 3.{until} on, and requires-python {promised} takes that",
                code="E148",
                place=place,
                fix=_write(project, f"{promised},<3.{until}") + also,
            )
        for name in one.names:
            if (since := NAMES.get(module, {}).get(name, 0)) > lowest:
                raise _too_new(project, place, f"{module}.{name} is new in Python 3.{since}", promised, lowest, since)


def _check_grammar(project: Project, source: Source, promised: str, lowest: int) -> None:
    text = "\n".join(source.lines)
    try:
        ast.parse(text, feature_version=(3, lowest))
    except SyntaxError as error:
        since = next((minor for minor in range(lowest + 1, 40) if _parses(text, minor)), lowest + 1)
        # It names the end of the construct.
        place = Place(source.path, error.lineno, error.offset, source.line(error.lineno or 0))
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Match | ast.TryStar) and _since(node) > lowest:
                place = source.at(node)
                break
        raise _too_new(project, place, f"{error.msg}", promised, lowest, since) from None


def _parses(text: str, minor: int) -> bool:
    try:
        ast.parse(text, feature_version=(3, minor))
    except SyntaxError:
        return False
    return True


def _since(node: ast.Match | ast.TryStar) -> int:
    """Return the minor of Python 3 that a statement is new in."""
    return 10 if isinstance(node, ast.Match) else 11


def check_compiled(
    project: Project,
    promised: str,
    codes: Mapping[int, Mapping[str, bytes]],
    pythons: Mapping[int, Path],
    modules: Sequence[tuple[str, Path, bytes]],
) -> None:
    """Refuse an effe that an interpreter of this machine, which it promises to run on, does not compile.

    Args:
        project: the effe.
        promised: the version specifier.
        codes: for each minor the code of each module by its name in the artefact, empty where it does not compile.
        pythons: the interpreters.
        modules: name, file and content of those that certainly run.

    Raises:
        DependencyError: E148 with the place of what does not compile, and the line to write.
    """
    for minor in sorted(codes):
        for name, path, data in modules:
            if codes[minor].get(name) or name not in codes[minor]:
                continue
            said = _said(pythons[minor], data)
            if said is None:
                continue
            row, column, why = said
            lines = data.decode(errors="replace").splitlines()
            place = Place(path, row, column, lines[row - 1] if row <= len(lines) else None)
            since = next((m for m in sorted(codes) if m > minor and codes[m].get(name)), minor + 1)
            raise _too_new(project, place, why, promised, minor, since)


def _said(python: Path, data: bytes) -> tuple[int, int, str] | None:
    """Return row, column and words of what an interpreter does not compile."""
    import subprocess  # not for a build that finds nothing to do

    try:
        done = subprocess.run([python, "-I", "-S", "-c", COMPILE], input=data, capture_output=True, timeout=TIMEOUT)
        row, column, why = done.stdout.decode().strip().split(" ", 2)
        return int(row), int(column), why
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None


def _too_new(
    project: Project, place: Place, what: str, promised: str, lowest: int, since: int, module: str = ""
) -> DependencyError:
    said = project.script.requires_python
    by = f"requires-python {promised} takes 3.{lowest}" if said else f"without requires-python 3.{lowest} is promised"
    return DependencyError(
        f"{what}, and {by}",
        code="E148",
        place=place,
        fix=_write(project, f">=3.{since}") + (f", or declare {INSTEAD[module]}" if module in INSTEAD else ""),
    )


def _write(project: Project, specifier: str) -> str:
    line = f'requires-python = "{specifier}"'
    if project.script.present:
        return f"write in the script block: # {line}"
    if not project.single and (project.root / "pyproject.toml").is_file():
        return f"write in [project] of pyproject.toml: {line}"
    return f"write above everything else, three lines: # /// script | # {line} | # ///"
