"""How long a command takes from Enter to its end: `effe-tool` beside the scaffolds it is measured against.

    python benchmarks/cli.py                rounds of each command in turn, the median of each
    python benchmarks/cli.py --rounds 20

`--version` of each, `--help` of each, and the making of a new project: `effe-tool new`, `hatch new`, `uv init`, and
`copier copy` of a directory with one file. Nothing of it touches the network. Every round runs each command once, in a
new directory, in another order, so that a busy moment meets all of them. The peers, and effe-tool from this checkout,
are installed into environments of their own, in the cache directory.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "effe-tool" / "benchmarks" / "cli"
ROOT = Path(__file__).resolve().parents[1]
PEERS = {"effe-tool": str(ROOT), "hatch": "hatch", "uv": "uv", "copier": "copier"}
# Milliseconds that effe-tool may take.
BUDGET = {"--version": 100, "--help": 250, "new": 300}


def install() -> dict[str, Path]:
    """Make an environment for each unless it is there; return their programs. effe-tool is always what is here now."""
    programs = {}
    for name, package in PEERS.items():
        folder = CACHE / name
        ready = folder / "ready"
        if not ready.exists():
            print(f"installing {name} into {folder}", file=sys.stderr)
            venv.create(folder, with_pip=True)
        if not ready.exists() or name == "effe-tool":
            command = [
                folder / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                package,
            ]
            subprocess.run(command, check=True)
            ready.touch()
        programs[name] = folder / "bin" / name
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


def run(command: list[str | Path]) -> float:
    """Run a command in a new directory; return the milliseconds it took. Raises where it fails or makes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        taken = (time.perf_counter() - began) * 1000
        made = Path(folder, "made").is_dir()
    if done.returncode or not (made or str(command[1]).startswith("--")):
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return taken


def main() -> int:
    """Measure, print a table, and return 1 when effe-tool is over its budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    programs = install()
    with tempfile.TemporaryDirectory() as template:
        Path(template, "copier.yml").write_text("name: made\n")
        Path(template, "README.md.jinja").write_text("# {{ name }}\n")
        known = commands(programs, Path(template))
        taken: dict[tuple[str, str], list[float]] = {key: [] for key in known}
        for number in range(options.rounds + 1):
            for key, command in random.sample(list(known.items()), len(known)):
                spent = run(command)
                if number:  # the first round compiles modules and fills the system's cache
                    taken[key].append(spent)
    print(f"| milliseconds, median (fastest) | {' | '.join(PEERS)} | budget |\n|---|{'---|' * (len(PEERS) + 1)}")
    over = 0
    for what, budget in BUDGET.items():
        cells = [f"{statistics.median(taken[what, name]):.0f} ({min(taken[what, name]):.0f})" for name in PEERS]
        print(f"| {what} | {' | '.join(cells)} | {budget} |")
        over |= statistics.median(taken[what, "effe-tool"]) > budget
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
