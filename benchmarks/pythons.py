"""One effe on several Pythons: its start with and without compiled code, a request, and runs that compute in parallel.

    python benchmarks/pythons.py python3.11 python3.15 /opt/3.13t/bin/python3.13
    python benchmarks/pythons.py --write python3.11 …     and into docs/explanation/pythons.md, with its plot

Each round measures every Python once, one after the other, so that what else the machine does meets all alike; the
table has the best round of each figure. CPU is user and system time. For a request the server is on one CPU and wrk on
another; for runs that compute nothing is pinned. A Python without the global lock needs one with it beside it that was
built from the same source with the same flags: distributions optimise theirs by a profile. Linux, wrk.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import ROOT, bars, machine, table, write_between
from serving.load import asking, measure, result
from serving.peers import CACHE, Running

PAGE = ROOT / "docs" / "explanation" / "pythons.md"
LOGIC = """
INFO = {"name": "bench", "version": "1.0"}
def run(context, error, response, request):
    if request.path == "/compute":
        total = 0
        for number in range(300_000):
            total += number * number
        response.write(str(total))
    else:
        response.write("Hello from Effe")
"""
HEADER = ("Python", "start, ms CPU", "from source", "hello, µs CPU")
COMPUTE = ("computes, requests a second", "on cores")


class _Python:
    """One interpreter, alone in a folder of programs under its exact name, and what was measured on it."""

    def __init__(self, given: str, folder: Path) -> None:
        path = shutil.which(given)
        if path is None:
            raise SystemExit(f"no {given} here")
        ask = (
            "import sys, platform; print(*sys.version_info[:2], platform.python_version(), "
            "getattr(sys, '_is_gil_enabled', lambda: True)(), sep='\\n')"
        )
        major, minor, version, lock = subprocess.run(
            [path, "-c", ask], check=True, capture_output=True, text=True
        ).stdout.split()
        self.name = version if lock == "True" else f"{version}, no global lock"
        folder.mkdir()
        (folder / f"python{major}.{minor}").symlink_to(path)
        self.folder = folder
        self.found: dict[str, list[float]] = {}

    def note(self, **values: float) -> None:
        """Keep what a round found."""
        for key, value in values.items():
            self.found.setdefault(key, []).append(value)

    def best(self, key: str) -> float:
        """Return the best of what the rounds found: other work on the machine only adds to it."""
        return max(self.found[key]) if key in ("rate", "cores") else min(self.found[key])

    def command(self, pex: Path) -> list[str]:
        """Return what starts the file on this Python."""
        return ["/usr/bin/env", f"PATH={self.folder}", str(pex)]

    def row(self) -> list[str]:
        """Return its line of the table."""
        starts, fast = (f"{self.best(key):.1f}" for key in ("compiled", "source")), f"{self.best('hello'):.2f}"
        parallel = [f"{self.best('rate'):.0f}", f"{self.best('cores'):.2f}"] if "rate" in self.found else []
        return [self.name, *starts, fast, *parallel]


def _start(command: list[str], times: int = 10) -> float:
    """Return the milliseconds of CPU that `-info` takes, on average."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(times):
        subprocess.run([*command, "-info"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / times * 1000


def _without_code(pex: Path, to: Path) -> Path:
    """Copy a file so that its header knows no compiled code: it starts from source."""
    data = pex.read_bytes()
    header = re.sub(rb"(?m)^  \d+\) o=", lambda found: b"  " + b"0" * (len(found[0]) - 6) + b") o=", data[:4096])
    to.write_bytes(header + data[4096:])
    to.chmod(0o755)
    return to


def _loaded(python: _Python, pex: Path, seconds: int, compute: bool) -> None:
    cpus = os.sched_getaffinity(0)
    command = [*python.command(pex), "-port", "PORT"]
    with Running(command, {min(cpus)}, pex.parent) as server:
        measure(server, 64, 1)
        python.note(hello=measure(server, 64, seconds)["cpu"])
    if not compute:
        return
    with Running(command, cpus, pex.parent) as server:
        before = server.seconds
        with asking(server.port, 8, seconds, path="/compute") as process:
            rate = result(process)["rate"]
        python.note(rate=rate, cores=(server.seconds - before) / seconds)


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON", help="a path, or a name on PATH")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement under load")
    parser.add_argument("--compute", action="store_true", help="runs that compute, too: two cores without other work")
    parser.add_argument("--write", action="store_true", help="write docs/explanation/pythons.md and its plot")
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pythons = [_Python(given, folder / str(number)) for number, given in enumerate(options.pythons)]
        effe = folder / "effe"
        effe.mkdir()
        (effe / "logic.py").write_text(LOGIC)
        tool = [sys.executable, "-m", "effetool", "build", "--quiet", "--out", "bench.pex"]
        path = os.pathsep.join([*(str(python.folder) for python in pythons), os.environ["PATH"]])
        subprocess.run(tool, cwd=effe, env={**os.environ, "PATH": path}, check=True)
        pex = effe / "bench.pex"
        source = _without_code(pex, folder / "source.pex")
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            for python in pythons:
                python.note(compiled=_start(python.command(pex)), source=_start(python.command(source)))
                _loaded(python, pex, options.seconds, options.compute)
    rows = [python.row() for python in pythons]
    header = (*HEADER, *COMPUTE) if options.compute else HEADER
    text = f"{table(header, rows)}\n\n{machine()}, the best of {options.rounds} rounds."
    print(text)
    if options.write:
        write_between(PAGE, "benchmarks/pythons.py writes from here", text)
        plot = {"start, ms CPU": {python.name: (python.best("compiled"), python.best("source")) for python in pythons}}
        PAGE.with_suffix(".svg").write_text(bars("-info", plot, ("compiled code", "from source"), "ms"))


if __name__ == "__main__":
    main()
