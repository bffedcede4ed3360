"""What scripts of docs/ make from the tool itself is what they make now."""

from __future__ import annotations

import html
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
# What differs from one run to the next: times, sizes, the digest, the number hello answers with.
VARIES = re.compile(r"\b[0-9a-f]{8,64}(?=…|\b)|\d+(?:\.\d+)?|\b[kMG]?B\b")


def made_by(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["reference/cli", "reference/errors", "explanation/server", "ARCHITECTURE"])
def test_reference(page: str) -> None:
    """What pages take from the code; when this fails, run `python docs/reference.py`."""
    write = {"ARCHITECTURE": "architecture"}.get(page, page.rpartition("/")[2])
    assert (DOCS / f"{page}.md").read_text() == getattr(made_by("reference"), write)()


def lines(picture: str) -> list[str]:
    """Return what a terminal picture shows, line by line, without what varies and without how wide it is."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in re.findall(r'<text class="[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', picture):
        rows.setdefault(float(y), []).append((float(x), html.unescape(text)))
    shown = [" ".join("".join(text for _, text in sorted(rows[y])).split()) for y in sorted(rows)]
    return [VARIES.sub("#", line) for line in shown]


@pytest.mark.slow
def test_terminal_picture() -> None:
    """The README's picture shows what its commands print; when this fails, run `python docs/terminal.py`."""
    now = lines(made_by("terminal").draw())
    assert lines((DOCS / "terminal.svg").read_text()) == now
    assert "$ curl localhost:#" in now and "Hello from Effe: #" in now


def test_the_figures_of_the_first_page() -> None:
    """Each figure in the README's table stands on the page that its row names, which a benchmark writes."""
    rows = re.findall(r"^\| (.+)\[\w+\]\(([^)#]+)[^)]*\) \|$", (DOCS.parent / "README.md").read_text(), re.MULTILINE)
    assert len(rows) == 4
    for row, page in rows:
        known = set(re.findall(r"\d+\.?\d*", (DOCS.parent / page).read_text()))
        figures = re.findall(r"(\d+\.?\d*) (?:s|ms|µs|MB)\b", row)
        assert len(figures) > 1 and not set(figures) - known, (page, set(figures) - known)
