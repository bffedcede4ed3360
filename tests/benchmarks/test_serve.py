"""benchmarks/serve.py gives a reader the figures with one command, and writes the page of the docs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from serving import figures

    return figures


def values(cpu, ratio):
    return {"cpu": cpu, "ratio": ratio, "rate": 50000.0, "p50": 1.0, "p99": 2.0, "errors": 0}


FOUND = {
    "hello": {"effe": values(10.0, 1.0), "a<b": values(25.0, 2.5)},
    "headers": {"effe": values(15.0, 1.0), "a<b": values(30.0, 2.0)},
}


def test_the_plot_is_a_picture_with_a_bar_for_each_figure(figures):
    """The longest bar is the dearest request; names are escaped."""
    picture = ElementTree.fromstring(figures.plot(FOUND))
    bars = [float(bar.get("width")) for bar in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(bars) == 4
    assert max(bars) == bars[-1] == pytest.approx(3 * bars[0], rel=0.01)
    assert "a<b" in [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]


def test_the_page_gets_the_figures_and_keeps_the_rest(figures, tmp_path, monkeypatch):
    """What lies between the two markers is replaced, a second time too; a page without them is refused."""
    page = tmp_path / "server.md"
    monkeypatch.setattr(figures, "PAGE", page)
    monkeypatch.setattr(figures, "PLOT", tmp_path / "server.svg")
    page.write_text("before\n" + figures.BEGIN + "old\n" + figures.END + "after\n")
    for _ in range(2):
        figures.write_docs(FOUND, figures.tables(FOUND, 5, 3))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("| a<b | 25.0 (2.50) | 30.0 (2.00) |") == 1
    assert (tmp_path / "server.svg").exists()
    page.write_text("no markers")
    with pytest.raises(SystemExit, match="no place"):
        figures.write_docs(FOUND, "")


def test_the_page_of_the_docs_has_a_place_for_them(figures):
    """What `--write-docs` looks for."""
    text = figures.PAGE.read_text()
    assert text.count(figures.BEGIN) == text.count(figures.END) == 1


@pytest.mark.slow
def test_one_command_measures(tmp_path):
    """The built effe beside http.server, for a second each: requests are answered, none fails, CPU is counted."""
    if not os.environ.get("CI") and (shutil.which("wrk") is None or len(os.sched_getaffinity(0)) < 2):
        pytest.skip("needs wrk and two CPUs")
    command = [sys.executable, ROOT / "benchmarks" / "serve.py", "effe", "http.server"]
    done = subprocess.run(
        [*command, "--only", "hello", "--rounds", "1", "--seconds", "1"],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    for server in ("effe", "http.server"):
        cpu, rate = re.findall(rf"^\| {server} \| ([0-9.,]+) \(", done.stdout, re.M)
        assert float(cpu) > 0
        assert int(rate.replace(",", "")) > 0
    assert "failed" not in done.stdout
