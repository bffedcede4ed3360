"""Start: from exec to the first HTTP answer, beside pex, shiv, PyInstaller, zipapp and a virtual environment.

    python benchmarks/start.py                  the table
    python benchmarks/start.py --write          and into docs/explanation/start.md, with its plot
    python benchmarks/start.py --rounds 30 none only the effe without dependencies; the others as measured before

The same program in each: an answer on `http.server`, without dependencies, with pure-Python ones (rich) and with a
native one (pydantic); for effe-tool it is an effe, on the effe's own server. All run on one Python. Each round starts
every candidate once with a HOME that is new (`first`) and once with one that is kept (`then`), one after the other, so
that what else the machine does meets all of them alike. CPU is user and system time of the process and its children
until it answered, the median of the rounds: what a start costs, however busy the machine. Wall is the best of the
rounds; on an idle machine it is about the same. The peers are installed into an environment of their own, in the cache
directory. Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from figures import CACHE, ROOT, bars, environment, machine, table, write_between

PAGE = ROOT / "docs" / "explanation" / "start.md"
PEERS = ("pex", "shiv", "pyinstaller")
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
# name: (in words, requirement, import, expression)
CASES = {
    "none": ("no dependencies", "", "", '"hello"'),
    "pure": ("rich: pure Python", "rich", "import rich.console", "rich.console.Console.__name__"),
    "native": ("pydantic: native code", "pydantic", "import pydantic", "pydantic.BaseModel.__name__"),
}
APP = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
{imports}

class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = str({answer}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

def main():
    HTTPServer(("127.0.0.1", int(sys.argv[-1])), Hello).serve_forever()

if __name__ == "__main__":
    main()
"""
EFFE = """# /// script
# requires-python = ">=3.9"
# dependencies = [{requirement}]
# ///
{imports}
INFO = {{"name": "hello", "version": "1.0"}}

def run(context, error, response, request):
    response.write(str({answer}))
"""


@dataclass
class Candidate:
    """One way to start the program.

    Attributes:
        command: what is started; `-port N` is appended.
        size: bytes of the file, None for an environment.
        first: seconds and CPU seconds of each start with a new HOME.
        then: the same with a HOME that is kept.
    """

    command: list[str]
    size: int | None = None
    first: list[tuple[float, float]] = field(default_factory=list)
    then: list[tuple[float, float]] = field(default_factory=list)


def run(*command: object, **options: object) -> None:
    # pex writes the place of its cache into what it makes, where this variable names it: it is to be the one of HOME.
    variables = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=variables, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def candidates(case: str, folder: Path) -> dict[str, Candidate]:
    """Build the program of a case in every way."""
    _, requirement, imports, answer = CASES[case]
    needs = [requirement] if requirement else []
    tools = environment(CACHE / "start" / "tools", *PEERS).parent
    app_python = environment(CACHE / "start" / f"app-{case}", *(needs or ["pip"]), pip=False)
    (site,) = app_python.parents[1].glob("lib/python3*/site-packages")
    stage = folder / "stage"
    stage.mkdir(parents=True)
    (stage / "app.py").write_text(APP.format(imports=imports, answer=answer))
    found = {"python app.py": Candidate([str(app_python), str(stage / "app.py")])}
    whole = folder / "whole"
    shutil.copytree(site, whole, ignore=shutil.ignore_patterns("pip", "pip-*", "__pycache__"))
    shutil.copy(stage / "app.py", whole)

    def built(name: str, file: str, make: Callable[[Path], object]) -> None:
        print(f"building {name}, {case}", file=sys.stderr)
        make(folder / file)
        path = folder / file
        found[name] = Candidate([str(path)], path.stat().st_size)

    (folder / "effe").mkdir()
    logic = folder / "effe" / "logic.py"
    logic.write_text(EFFE.format(requirement=f'"{requirement}"' if needs else "", imports=imports, answer=answer))
    options = [] if not needs else ["--python", PYTHON.removeprefix("python")]
    effe_tool = [sys.executable, "-m", "effetool", "build", "-q", logic.parent]
    built("effe-tool", "effe.pex", lambda out: run(*effe_tool, "--out", out, *options, cwd=ROOT))
    if case != "native":  # a zip cannot hold what the system's linker has to load
        shebang = f"/usr/bin/env {PYTHON}"
        zipped = [sys.executable, "-m", "zipapp", whole, "-m", "app:main", "-p", shebang, "-c"]
        built("zipapp", "app.pyz", lambda out: run(*zipped, "-o", out))
    shebang = f"/usr/bin/env {PYTHON}"
    shiv = [tools / "shiv", "--site-packages", whole, "-e", "app:main", "-p", shebang, "--compile-pyc"]
    built("shiv", "shiv.pyz", lambda out: run(*shiv, "-o", out))
    pex = [tools / "pex", *needs, "-D", stage, "-e", "app:main", "--python-shebang", shebang]
    built("pex", "pex.pex", lambda out: run(*pex, "-o", out))
    fast = ["--venv", "--sh-boot", "--interpreter-constraint", f"CPython=={PYTHON.removeprefix('python')}.*"]
    built("pex --venv --sh-boot", "venv.pex", lambda out: run(*pex[:-2], *fast, "-o", out))
    freeze = [tools / "pyinstaller", "--onefile", "--paths", site, "--workpath", folder / "work", "--specpath", folder]
    built("PyInstaller", "frozen", lambda out: run(*freeze, "--distpath", folder, "-n", out.name, stage / "app.py"))
    return found


def start(candidate: Candidate, home: Path, programs: Path) -> tuple[float, float]:
    """Start a candidate and ask it once; return the seconds to its answer, and the CPU seconds spent."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    variables = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(temporary), "LANG": "C.UTF-8"}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*candidate.command, "-port", str(port)], env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    taken = None
    while taken is None and time.perf_counter() - begun < 120 and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                if client.recv(4096).startswith(b"HTTP/1."):
                    taken = time.perf_counter() - begun
        except OSError:
            time.sleep(0.0005)
    below = _cpu_below(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    if taken is None:
        raise SystemExit(f"no answer from {' '.join(candidate.command)}")
    return taken, used.ru_utime + used.ru_stime + below


def _cpu_below(leader: int) -> float:
    """Return the CPU seconds of the leader's descendants that run (PyInstaller's program is one)."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != leader:
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(stat[2]) == leader:  # its process group
                    total += int((entry / "schedstat").read_text().split()[0])
            except (OSError, IndexError):
                continue
    return total / 1e9


def measure(found: dict[str, Candidate], rounds: int, folder: Path) -> None:
    """Start every candidate in turn, round by round."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / PYTHON).symlink_to(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    kept = {name: folder / "home" / str(number) for number, name in enumerate(found)}
    for name, candidate in found.items():
        kept[name].mkdir(parents=True)
        start(candidate, kept[name], programs)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", end="\r", file=sys.stderr)
        for name, candidate in found.items():
            new = Path(tempfile.mkdtemp(dir=folder))
            candidate.first.append(start(candidate, new, programs))
            shutil.rmtree(new, ignore_errors=True)
            candidate.then.append(start(candidate, kept[name], programs))
    print(file=sys.stderr)


def rows(found: dict[str, Candidate]) -> list[list[str]]:
    """Return a row for each candidate: size, first and later starts, CPU, and the ratio to the environment's."""
    base = found["python app.py"]

    return [
        [
            name,
            "" if one.size is None else f"{one.size / 1e6:.1f} MB",
            f"{spent(one.first) * 1000:.0f} ms",
            f"{spent(one.then) * 1000:.0f} ms",
            f"{spent(one.first) / spent(base.then):.2f}",
            f"{spent(one.then) / spent(base.then):.2f}",
            f"{best(one.first) * 1000:.0f} ms",
            f"{best(one.then) * 1000:.0f} ms",
        ]
        for name, one in found.items()
    ]


def best(runs: list[tuple[float, float]]) -> float:
    return min(taken for taken, _ in runs)


def spent(runs: list[tuple[float, float]]) -> float:
    return statistics.median(cpu for _, cpu in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="which of them; all without")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--write", action="store_true", help="write the page and its plot")
    options = parser.parse_args()
    kept = CACHE / "start" / "results.json"
    results = json.loads(kept.read_text()) if options.cases and kept.exists() else {}
    for case in options.cases or CASES:
        with tempfile.TemporaryDirectory(prefix="effe-start-") as name:
            folder = Path(name)
            found = candidates(case, folder)
            measure(found, options.rounds, folder)
        results[case] = {
            "method": f"Measured in {machine()}; {options.rounds} rounds.",
            "rows": rows(found),
            "bars": {name: [spent(one.first) * 1000, spent(one.then) * 1000] for name, one in found.items()},
        }
        kept.write_text(json.dumps(results))  # a case that was measured is kept if the next one fails
    header = ("", "size", "CPU first", "CPU then", "first ÷ python", "then ÷ python", "wall first", "wall then")
    text, plot = [], {}
    for case in filter(results.get, CASES):
        text += [f"### {CASES[case][0]}", results[case]["method"], table(header, results[case]["rows"])]
        plot[CASES[case][0]] = results[case]["bars"]
    print("\n\n".join(text))
    if options.write:
        title = "CPU time from exec to the first answer"
        PAGE.with_suffix(".svg").write_text(bars(title, plot, ("first start", "later starts"), "ms"))
        write_between(PAGE, "start", "\n\n".join(text))


if __name__ == "__main__":
    main()
