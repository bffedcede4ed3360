"""benchmarks/figures.py: what stands on a page is what was measured, and its plot is a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks.figures import bars, table, write_between

ROOT = Path(__file__).parents[2]


def test_a_plot_has_a_bar_for_each_value() -> None:
    """Well-formed, names escaped, lengths in proportion."""
    drawn = bars("a <title>", {"group": {"one & two": [10.0, 20.0], "three": [5.0, 40.0]}}, ("first", "then"), "ms")
    root = ElementTree.fromstring(drawn)
    shapes = [one for one in root if one.tag.endswith("rect") and one.get("height") == "14"]
    lengths = [float(one.get("width", "0")) for one in shapes]
    assert len(lengths) == 4 and lengths[1] == pytest.approx(2 * lengths[0], abs=0.2) and max(lengths) == lengths[3]
    assert "one & two" in [one.text for one in root]


def test_a_table_goes_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- start -->\nold\n<!-- /start -->\nafter\n")
    write_between(page, "start", table(("", "size"), [["one", "2 MB"]]))
    assert page.read_text() == (
        "before\n<!-- start -->\n|  | size |\n| --- | ---: |\n| one | 2 MB |\n<!-- /start -->\nafter\n"
    )
    with pytest.raises(SystemExit):
        write_between(page, "other", "")


def test_the_page_has_the_marks_that_the_benchmarks_write_between() -> None:
    text = (ROOT / "docs/explanation/start.md").read_text()
    for name in ("start", "build"):
        assert text.index(f"<!-- {name} -->\n") < text.index(f"<!-- /{name} -->")
