"""README.md, CONTRIBUTING.md and every page of docs/ do what they show; README.md beside this file says how."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.image.container import podman_alone
from tests.parts import need

from .page import Page, PageError, parse
from .shell import Shell, needs

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
SKIPS = 4  # blocks of all pages that say why they cannot run: the number only falls


def read(path: Path) -> Page:
    return parse(path.read_text())


def marks(path: Path) -> list[str]:
    try:
        return read(path).marks
    except PageError:  # told by the page's own test
        return []


def cases() -> list[object]:
    found = []
    for path in PAGES:
        more = [pytest.mark.slow, pytest.mark.timeout(900), *(getattr(pytest.mark, mark) for mark in marks(path))]
        found.append(pytest.param(path, id=str(path.relative_to(ROOT)), marks=more))
    return found


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one page builds once serves the next: as on a reader's machine."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("path", cases())
def test_page_does_what_it_shows(path: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the page, typed in order into one shell in a fresh directory, prints what the page shows."""
    page = read(path)
    directory = tmp_path / "here"
    if (path.parent / "logic.py").exists():  # the page of an example stands in a copy of it
        shutil.copytree(path.parent, directory, ignore=shutil.ignore_patterns("__pycache__", "*.pex", ".*"))
    else:
        directory.mkdir()
    if page.checkout:
        copy_checkout(directory / page.checkout)
    with contextlib.ExitStack() as stack:
        if "container" in page.marks:
            environment = stack.enter_context(podman_alone(cache))
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
        shell = stack.enter_context(Shell(directory, page, cache))
        for block in page.blocks:
            if "skip" in block.markers:
                continue
            if program := needs(block):
                need(program)
            shell.run(block)


def copy_checkout(target: Path) -> None:
    """Copy what git knows of this tree, as a clone has it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def test_few_blocks_are_skipped() -> None:
    """A block that cannot run says why, in words, and there are few of them."""
    reasons = {
        f"{path.relative_to(ROOT)}:{block.line}": block.markers["skip"]
        for path in PAGES
        for block in read(path).blocks
        if "skip" in block.markers
    }
    assert len(reasons) <= SKIPS, reasons
    assert all(len(reason.split()) >= 4 for reason in reasons.values()), reasons


def test_fragments_are_python() -> None:
    """A Python block without a file name is a part of a module that compiles."""
    for path in PAGES:
        for block in read(path).blocks:
            if block.language == "python":
                compile(block.text, f"{path.relative_to(ROOT)}:{block.line}", "exec", dont_inherit=True)


def test_links_lead_somewhere() -> None:
    """A relative link of a page names a file there is, and its #anchor a heading of that file."""
    for path in PAGES:
        prose = re.sub(r"^(```|~~~).*?^\1", "", path.read_text(), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            there = (path.parent / name).resolve() if name else path
            assert there.exists(), f"{path.relative_to(ROOT)}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", there.read_text(), re.M)
                slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{path.relative_to(ROOT)}: {target}"
