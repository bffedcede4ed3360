"""How long a command takes from Enter to its end: `effe-tool` beside the scaffolds it is measured against.

    python benchmarks/cli.py                rounds of each command in turn, the median of each
    python benchmarks/cli.py --write        and into docs/explanation/loop.md
    python benchmarks/cli.py --rounds 20

`--version` of each, `--help` of each, and the making of a new project: `effe-tool new`, `hatch new`, `uv init`, and
`copier copy` of a directory with one file. Nothing of it touches the network. Every round runs each command once, in a
new directory, in another order, so that a busy moment meets all of them. The peers, and effe-tool from this checkout,
are installed into environments of their own, in the cache directory. CPU is the user and system time of the command
and what it starts: what it costs, whatever else the machine does meanwhile.

Ends with 1 where effe-tool's median is over its budget.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import CACHE, ROOT, environment, machine, table, write_between

PAGE = ROOT / "docs/explanation/loop.md"
PEERS = ("effe-tool", "hatch", "uv", "copier")
WORDS = {"uv": "init", "copier": "copy"}  # what makes a new project, where it is not `new`
BUDGET = {"--version": 100, "--help": 250, "new": 300}  # milliseconds of effe-tool


def install() -> dict[str, Path]:
    """Make an environment for each unless it is there; return their programs. effe-tool is always what is here now."""
    programs = {}
    for name in PEERS:
        python = environment(CACHE / f"cli-{name}", "pip" if name == "effe-tool" else name)
        if name == "effe-tool":
            command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ROOT]
            subprocess.run(command, check=True)
        programs[name] = python.with_name(name)
    return programs


def commands(programs: dict[str, Path], template: Path) -> dict[tuple[str, str], list[str | Path]]:
    """Return what is run, by what it does and by whom."""
    new = {
        "effe-tool": ["new", "made"],
        "hatch": ["new", "made"],
        "uv": ["init", "--quiet", "made"],
        "copier": ["copy", "--quiet", "--defaults", template, "made"],
    }
    found: dict[tuple[str, str], list[str | Path]] = {}
    for name, program in programs.items():
        found["--version", name] = [program, "--version"]
        found["--help", name] = [program, "--help"]
        found["new", name] = [program, *new[name]]
    return found


def run(command: list[str | Path]) -> tuple[float, float]:
    """Run a command in a new directory; return the milliseconds it took, and those of CPU.

    Raises SystemExit where it fails or makes nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        taken = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        made = Path(folder, "made").is_dir()
    if done.returncode or not (made or str(command[1]).startswith("--")):
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return taken * 1000, spent * 1000


def main() -> int:
    """Measure, print a table, and return 1 when effe-tool is over its budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="write the page")
    options = parser.parse_args()
    programs = install()
    with tempfile.TemporaryDirectory() as template:
        Path(template, "copier.yml").write_text("name: made\n")
        Path(template, "README.md.jinja").write_text("# {{ name }}\n")
        known = commands(programs, Path(template))
        taken: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in known}
        for number in range(options.rounds + 1):
            for key, command in random.sample(list(known.items()), len(known)):
                spent = run(command)
                if number:  # the first round compiles modules and fills the system's cache
                    taken[key].append(spent)
    medians = {
        key: [statistics.median(column) for column in zip(*rounds, strict=True)] for key, rounds in taken.items()
    }
    rows = []
    for what, budget in BUDGET.items():
        for name in PEERS:
            wall, cpu = medians[what, name]
            fastest = min(taken[what, name])[0]
            ratio = f"{wall / medians[what, 'effe-tool'][0]:.1f}"
            within = f"{budget} ms" if name == "effe-tool" else ""
            rows.append(
                [f"`{name} {WORDS.get(name, 'new') if what == 'new' else what}`"]
                + [f"{value:.0f} ms" for value in (wall, fastest, cpu)]
                + [ratio, within]
            )
    told = table(("", "median", "fastest", "CPU", "ratio", "budget"), rows)
    text = f"Measured in {machine()}; {options.rounds} rounds.\n\n{told}"
    print(text)
    if options.write:
        write_between(PAGE, "cli", text)
    return int(any(medians[what, "effe-tool"][0] > budget for what, budget in BUDGET.items()))


if __name__ == "__main__":
    sys.exit(main())
