"""Build: how long until the file is there, beside pex, shiv, PyInstaller and zipapp; and 1, 10 and 200 effes at once.

    python benchmarks/build.py                  the tables
    python benchmarks/build.py --write          and into docs/explanation/start.md
    python benchmarks/build.py --rounds 10

Whole processes, from exec to exit. `first` starts with empty caches of the tool itself (packages are taken from pip's
and uv's, which are warm); `changed` follows a change of the program, `again` no change at all, `added` one more
dependency (rich, with three of its own), for the candidates that install them. The candidates take turns. CPU is user
and system time of the process and its children, the median of the rounds: effe-tool compiles side by side, so on an
idle machine with two cores its wall time is less. Wall is the best of the rounds. Memory is the largest of any process.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from figures import CACHE, ROOT, environment, machine, table, write_between
from start import APP, EFFE, PEERS, run

PAGE = ROOT / "docs" / "explanation" / "start.md"
CASES = {
    "hello": ((), "", '"hello"'),
    "dependencies": (
        ("requests", "pydantic"),
        "import pydantic, requests",
        "pydantic.BaseModel.__name__ + requests.__version__",
    ),
}
ADDED = "rich"
WORDS = {"hello": "Hello, without dependencies", "dependencies": "With requests and pydantic"}
TOOL = [Path(sys.executable).with_name("effe-tool"), "build", "-q"]
Timed = Callable[[], tuple[float, float]]


def timed(command: list[object], cache: Path, cwd: Path) -> tuple[float, float]:
    """Run a command to its end with its caches in `cache`; return its seconds and CPU seconds."""
    variables = {
        **os.environ,
        "PEX_ROOT": str(cache / "pex"),
        "SHIV_ROOT": str(cache / "shiv"),
        "PYTHONPATH": str(ROOT),
    }
    variables["XDG_CACHE_HOME"] = str(cache)
    home = Path.home() / ".cache"
    variables |= {"UV_CACHE_DIR": str(home / "uv"), "PIP_CACHE_DIR": str(home / "pip")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run([*map(str, command)], env=variables, cwd=cwd, capture_output=True, text=True)
    taken = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command}\n{done.stderr}")
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(case: str, folder: Path, *added: str) -> tuple[dict[str, list[object]], dict[str, Path]]:
    """Write the programs; return each candidate's command, and the file that is changed between its builds."""
    needs, imports, answer = CASES[case]
    needs = (*needs, *added)
    tools = environment(CACHE / "start" / "tools", *PEERS).parent
    stage, effe = folder / "stage", folder / "effe"
    for path in (stage, effe):
        path.mkdir(parents=True, exist_ok=True)
    (stage / "app.py").write_text(APP.format(imports=imports, answer=answer))
    required = ", ".join(f'"{need}"' for need in needs)
    (effe / "logic.py").write_text(EFFE.format(requirement=required, imports=imports, answer=answer))
    app = environment(CACHE / "start" / f"build-{case}", *(CASES[case][0] or ["pip"]), pip=False)
    (site,) = app.parents[1].glob("lib/python3*/site-packages")
    found: dict[str, list[object]] = {
        "effe-tool": [*TOOL, effe, "--out", folder / "effe.pex"],
        "pex": [tools / "pex", *needs, "-D", stage, "-e", "app:main", "-o", folder / "app.pex"],
        "shiv": [tools / "shiv", *(needs or ["--site-packages", stage]), "-o", folder / "app.pyz", "-e", "app:main"],
        "PyInstaller": [
            *(tools / "pyinstaller", "--onefile", "--noconfirm", "--paths", site, "--workpath", folder / "work"),
            *("--specpath", folder, "--distpath", folder / "dist", stage / "app.py"),
        ],
    }
    if needs:
        found["shiv"] += ["--site-packages", stage]
    else:
        found["zipapp"] = [sys.executable, "-m", "zipapp", stage, "-m", "app:main", "-o", folder / "zip.pyz", "-c"]
    return found, {name: effe / "logic.py" if name == "effe-tool" else stage / "app.py" for name in found}


def one_case(case: str, rounds: int) -> list[list[str]]:
    """Return the header, and a row for each candidate."""
    with tempfile.TemporaryDirectory(prefix="effe-build-") as name:
        folder = Path(name)
        steps = ("first", "changed", "again", *(["added"] if CASES[case][0] else []))
        runs: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for number in range(rounds):
            print(f"{case}: round {number + 1} of {rounds}", end="\r", file=sys.stderr)
            found, files = commands(case, folder)
            more, _ = commands(case, folder, ADDED) if "added" in steps else (found, files)
            for tool in found:
                commands(case, folder)
                if tool == "PyInstaller" and number > 0:
                    continue  # many seconds each: once is enough to see
                cache = Path(tempfile.mkdtemp(dir=folder))
                for which in steps:
                    command = found[tool]
                    if which == "changed":
                        with files[tool].open("a") as file:
                            file.write(f"# {number}\n")
                    elif which == "added":
                        if tool == "PyInstaller":
                            continue  # it packs what is installed
                        commands(case, folder, ADDED)
                        command = more[tool]
                    runs.setdefault((tool, which), []).append(timed(command, cache, folder))
                shutil.rmtree(cache, ignore_errors=True)
        print(file=sys.stderr)

        def cpu(tool: str, which: str) -> str:
            seconds = [cpu for _, cpu in runs.get((tool, which), ())]
            return f"{statistics.median(seconds):.2f} s" if seconds else ""

        def wall(tool: str, which: str) -> str:
            return f"{min(runs[tool, which])[0]:.2f} s" if (tool, which) in runs else ""

        def ratio(tool: str) -> str:
            return f"{min(runs[tool, 'changed'])[0] / min(runs['pex', 'changed'])[0]:.2f}"

        header = ["", *(f"CPU {which}" for which in steps), *(f"wall {which}" for which in steps), "wall changed ÷ pex"]
        return [
            header,
            *([tool, *(cpu(tool, s) for s in steps), *(wall(tool, s) for s in steps), ratio(tool)] for tool in found),
        ]


def many(counts: tuple[int, ...]) -> list[list[str]]:
    """Build a directory of so many effes, then again; return a row for each count."""
    found = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="effe-build-") as name:
            folder = Path(name)
            for number in range(count):
                root = folder / "effes" / f"effe{number}"
                root.mkdir(parents=True)
                text = EFFE.format(requirement="", imports="", answer=f'"hello {number}"').replace(
                    "hello", f"e{number}", 1
                )
                (root / "logic.py").write_text(text)
            cells = [str(count)]
            for _ in range(2):
                code = (
                    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
                    "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
                    "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
                )
                command = [sys.executable, "-c", code, *TOOL, folder / "effes", "--dirout", folder / "out"]
                begun = time.perf_counter()
                variables = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
                told = subprocess.run([*map(str, command)], env=variables, capture_output=True, text=True, check=True)
                taken, (cpu, memory) = time.perf_counter() - begun, told.stdout.split()
                cells += [f"{float(cpu):.2f} s", f"{taken:.2f} s", f"{int(memory) / 1024:.0f} MB"]
            found.append(cells)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="which of them; all without")
    parser.add_argument("--counts", default="1,10,200", help="how many effes at once")
    parser.add_argument("--write", action="store_true", help="write the page")
    options = parser.parse_args()
    run(*TOOL, "--help")
    text = [f"Measured in {machine()}; {options.rounds} rounds."]
    for case in options.cases or CASES:
        header, *rows = one_case(case, options.rounds)
        text += [f"### {WORDS[case]}", table(header, rows)]
    text += ["### Many at once", "Caches empty the first time; the second time nothing has changed."]
    text += [
        table(
            ("effes", "CPU first", "wall", "memory", "CPU again", "wall", "memory"),
            many(tuple(map(int, options.counts.split(",")))),
        )
    ]
    print("\n\n".join(text))
    if options.write:
        write_between(PAGE, "build", "\n\n".join(text))


if __name__ == "__main__":
    main()
