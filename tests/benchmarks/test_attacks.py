"""benchmarks/attacks.py attacks a built effe with one command, and writes the page of the docs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def attacking(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import attacking.figures
    import attacking.scenarios

    return attacking


def row(attacking, coming, staying, died=False):
    answers = attacking.clients.Answers
    return attacking.scenarios.Row(answers(coming), answers(staying), opened=96, memory=20.0, died=died)


def test_a_request_without_an_answer_is_seen(attacking):
    """The share is rounded down, a percentile beyond the patience is a dash, a server that has ended says so."""
    cell = attacking.figures.cell
    assert cell(row(attacking, [0.001] * 999 + [1.0], []), "come") == "99 % (1, 1)"
    assert cell(row(attacking, [], [0.002, 0.002, 1.0], died=True), "stay") == "66 % (2, –), ended"
    assert cell(row(attacking, [], []), "stay") == "0 % (–, –)"


def test_rows_in_which_a_peer_is_better_are_named(attacking):
    """By the better of the two, for each kind of client."""
    good, bad = row(attacking, [0.1], [0.1]), row(attacking, [1.0], [0.1])
    found = {"connections": {"idle": {"effe": bad, "go": good, "granian": bad}}}
    assert attacking.figures.worse(found) == ["connections, idle, coming: effe 0.0%, the better peer 100.0%"]
    found = {"connections": {"idle": {"effe": bad, "go": bad}, "kept": {"effe": good, "go": bad}}}
    assert attacking.figures.worse(found) == []
    late = row(attacking, [0.1] * 98 + [0.4] * 2, [0.1])
    found = {"connections": {"idle": {"effe": late, "go": good}}}
    assert attacking.figures.worse(found) == ["connections, idle, coming: effe's p99 400 ms, the better peer's 100"]


def test_every_attack_can_be_written_into_the_page(attacking, tmp_path, monkeypatch):
    """Both tables stand between the marks, one pair of lines for each attack; the page of the docs has the marks."""
    page = tmp_path / "server.md"
    page.write_text("before\n<!-- attacks -->\nstale\n<!-- /attacks -->\nafter\n")
    monkeypatch.setattr(attacking.figures, "PAGE", page)
    rows = {name: {"effe": row(attacking, [0.1], [0.2])} for name in attacking.attacks.ATTACKS}
    attacking.figures.write_docs(attacking.figures.tables({"connections": rows, "files": rows}, 1.0, 0.5))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "stale" not in text
    assert text.count("| come | 100 % (100, 100) |") == 2 * len(rows) == text.count("| … | stay |")
    marks = (ROOT / "docs/explanation/server.md").read_text()
    assert marks.count("<!-- attacks -->\n") == marks.count("<!-- /attacks -->\n") == 1


@pytest.mark.slow
def test_one_command_attacks(tmp_path):
    """The built effe under one attack, for a second: it stays, and good clients are counted."""
    if not os.environ.get("CI") and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")
    command = [sys.executable, ROOT / "benchmarks" / "attacks.py", "effe"]
    done = subprocess.run(
        [*command, "--only", "resets", "--limit", "connections", "--quick"],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    shares = re.findall(r"^\| .* \| (?:come|stay) \| (\d+) % \(", done.stdout, re.M)
    assert len(shares) == 2, done.stdout
    assert all(int(share) > 0 for share in shares)
    assert "ended" not in done.stdout.partition("Measured")[0]
