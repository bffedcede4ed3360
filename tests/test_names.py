"""Names of modules and files that stand in strings, pages and settings: each is there.

An import of a module that moved fails by itself; a name in a string fails on somebody's machine.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import effetool

ROOT = Path(__file__).parents[1]
TOOL = Path(effetool.__file__).parent
MODULE = re.compile(r"(?<![\w./-])effetool(?:\.[A-Za-z_]\w*)+")
FILE = re.compile(r"(?<![\w.-])effetool/(?:[\w/.*-]|\{\w+,[\w,]+\})+(?![\w\\{])(?<!\.)")
# Beside the tool: what tests, measures and settings are named by.
BESIDE = re.compile(r"(?<![\w./{}-])(?:tests|benchmarks|docs|templates)/[\w/.-]+\.(?:py|sh|md|json|svg|toml|jinja)\b")
# Written by a build or an install, or made up by a test.
MADE = {
    "effetool.embedded",
    "effetool/embedded.py",
    "effetool/templates",
    "effetool.py",
    "effetool/x.py",
}
# Of an author, or of a test.
# Names that stand for any, and those that tests/test_additions.py makes in its copies.
MADE_UP = re.compile(r"[./]some\b|\bNAME\b|\bnomad\b|\bping\b|\*$")
AUTHORS = {f"tests/test_{name}.py" for name in ("logic", "hello", "other", "a")}
TEXTS = ("*.py", "*.md", "*.toml", "Makefile", "*.jinja", "*.sh", "*.json", ".ci/run")


def texts() -> list[Path]:
    found = subprocess.run(["git", "ls-files", "--", *TEXTS], cwd=ROOT, capture_output=True, text=True, check=False)
    names = found.stdout.splitlines() or [path.relative_to(ROOT).as_posix() for path in TOOL.rglob("*.py")]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def resolves(name: str) -> bool:
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:size]))
        except ModuleNotFoundError:
            continue
        for part in parts[size:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def alternatives(pattern: str) -> Iterator[str]:
    """Yield what `{a,b}` stands for, as ruff reads it."""
    parts = [part.split(",") if at % 2 else [part] for at, part in enumerate(re.split(r"[{}]", pattern))]
    return map("".join, itertools.product(*parts))


def strings(path: Path) -> Iterator[tuple[ast.AST | None, str]]:
    """Yield the texts of a Python file that are no docstrings, with what they are an operand of."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Constant) and isinstance(child.value, str):
                yield node, child.value


def test_every_module_that_is_named_anywhere_is_there() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts()
        for name in {*MODULE.findall(path.read_text(encoding="utf-8"))} - MADE
        if path != Path(__file__) and not MADE_UP.search(name) and not resolves(name)
    ]
    assert not wrong


def test_every_file_that_is_named_anywhere_is_there() -> None:
    wrong = []
    for path in texts():
        text = path.read_text(encoding="utf-8")
        if path == Path(__file__) or path.name == "CHANGELOG.md":
            continue
        text = text.replace("effetool/templates/", "templates/")  # as a wheel has them
        for named in {*FILE.findall(text)} | {*BESIDE.findall(text)}:
            for name in alternatives(named):
                known = name.rstrip("/") in MADE | AUTHORS or MADE_UP.search(name)
                if not known and not any(ROOT.glob(name)):
                    wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert not wrong


def test_every_file_that_the_tool_opens_beside_its_modules_is_there() -> None:
    """`HOUSE / "builder/package/loader.py"`, and `Path(__file__).with_name("bytecode_worker.py")`."""
    found = []
    for path in TOOL.rglob("*.py"):
        for node, text in strings(path):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and ast.unparse(node.left) == "HOUSE":
                found.append(TOOL / text)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Path(__file__).with_name":
                found.append(path.with_name(text))
    assert {"loader.py", "unpacker.py", "bytecode_worker.py"} <= {path.name for path in found}
    assert [str(path) for path in found if not path.exists()] == []


def test_every_glob_of_the_linter_matches_a_file() -> None:
    """A pattern that matches nothing is a rule that is off: code for Python 3.9 would be checked as for 3.11."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    patterns = [*lint["per-file-target-version"], *lint["lint"]["per-file-ignores"]]
    assert [one for pattern in patterns for one in alternatives(pattern) if not any(ROOT.glob(one))] == []


def test_what_runs_under_an_old_python_is_checked_for_it() -> None:
    """All of the runtime, and the programs that are handed to another interpreter."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["per-file-target-version"]
    old = {path for pattern in lint for one in alternatives(pattern) for path in ROOT.glob(one)}
    programs = [path for path in TOOL.rglob("*.py") if path.name in ("loader.py", "unpacker.py", "bytecode_worker.py")]
    missing = [path for path in [*programs, *(TOOL / "runtime").rglob("*.py")] if path not in old | {*old_below(old)}]
    assert missing == [] and len(programs) == 3


def old_below(old: set[Path]) -> Iterator[Path]:
    """`**` of pathlib yields folders."""
    for folder in old:
        if folder.is_dir():
            yield from folder.glob("*.py")


def test_the_makefile_names_tests_that_are_there() -> None:
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    names = re.findall(r"tests/[\w/.*-]+", text)
    for prefix, ends in re.findall(r"\$\(addprefix ([^,]+),([^)]+)\)", text):
        names.remove(prefix)
        names += [prefix + end for end in ends.split()]
    assert len(names) > 5
    assert [name for name in names if not any(ROOT.glob(name))] == []


@pytest.mark.parametrize("pages", ["effetool/__init__.py", "pyproject.toml", "Makefile"])
def test_what_is_looked_through_holds_what_it_should(pages: str) -> None:
    assert ROOT / pages in texts()
