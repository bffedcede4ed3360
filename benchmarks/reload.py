"""Save to served: how long until a save is answered, and how many requests are lost meanwhile.

    python benchmarks/reload.py                     effe-tool dev, uvicorn --reload, fastapi dev, flask --debug
    python benchmarks/reload.py --write             and into docs/explanation/loop.md
    python benchmarks/reload.py --saves 20 effe-tool flask

Each server runs as its users run it, in an environment of its own in the cache directory, and serves one file that
answers with a number. The file is written with the next number; the time runs until a new connection is answered with
it. Meanwhile two clients ask without a pause, a new connection each time: whatever is not an HTTP 200 with a number is
lost. The saves come at random moments, so that no server's polling is met in step, and each has another size: a .pyc
is valid for its source's size and its time in whole seconds, so that of two saves of one size within a second the
others may serve the first for ever.

Ends with 1 where effe-tool is over its budget: a median of 0.3 s, no request lost.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from figures import CACHE, ROOT, environment, machine, table, write_between

sys.path.insert(0, str(ROOT))

from tests.docs.shell import free_port

PAGE = ROOT / "docs/explanation/loop.md"
# What each peer's own documentation says to install first. (flask would use watchdog where it is installed; 7.1 watches
# all of sys.path, so that the kernel's queue overflows and no save is ever seen.)
PEERS = {
    "uvicorn --reload": ("uvicorn[standard]",),  # with watchfiles
    "fastapi dev": ("fastapi[standard]",),  # uvicorn's reloader, with watchfiles
    "flask --debug": ("flask",),
}
BUDGET = 0.3  # seconds, the median of effe-tool

EFFE = """
INFO = {{"name": "bench", "version": "1.0"}}
def run(context, error, response, request):
    response.write("{number}")
"""
FLASK = """
from flask import Flask
app = Flask(__name__)
@app.route("/")
def hello():
    return "{number}"
"""
FASTAPI = """
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
app = FastAPI()
@app.get("/", response_class=PlainTextResponse)
def hello():
    return "{number}"
"""
UVICORN = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"{number}"}})
"""


def servers(wanted: Sequence[str]) -> dict[str, tuple[str, str, list[str]]]:
    """Return, by name: the file's name, its text, the command (`PORT` stands for the port); installs the peers."""
    found = {"effe-tool dev": ("logic.py", EFFE, [sys.executable, "-m", "effetool", "dev", "-port", "PORT"])}
    commands = {
        "uvicorn": ("main.py", UVICORN, ["uvicorn", "--reload", "--port", "PORT", "main:app"]),
        "fastapi": ("main.py", FASTAPI, ["fastapi", "dev", "--port", "PORT", "main.py"]),
        "flask": ("app.py", FLASK, ["flask", "--app", "app", "--debug", "run", "-p", "PORT"]),
    }
    for name, packages in PEERS.items():
        word = name.split()[0]
        if not wanted or word in wanted:
            folder = "reload-" + "-".join(package.partition("[")[0] for package in packages)
            file, text, command = commands[word]
            found[name] = (file, text, [str(environment(CACHE / folder, *packages)), "-m", *command])
    return {name: server for name, server in found.items() if not wanted or name.split()[0] in wanted}


def ask(port: int) -> str:
    """Ask on a connection of its own. Raises where there is no whole answer of status 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        text = response.read().decode()
        if response.status != 200 or not text.isdigit():
            raise ConnectionError(f"{response.status} {text[:80]}")
        return text
    finally:
        connection.close()


class Load:
    """Two clients that ask without a pause."""

    def __init__(self, port: int) -> None:
        self.lost: list[str] = []
        self.asked = 0
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port,)) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _ask(self, port: int) -> None:
        while not self._ended.is_set():
            self.asked += 1
            try:
                ask(port)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(str(error) or type(error).__name__)

    def end(self) -> None:
        """Stop asking."""
        self._ended.set()
        for thread in self._threads:
            thread.join()


def measure(file: str, text: str, command: list[str], saves: int) -> tuple[list[float], Load]:
    """Return the seconds of each save, and what became of the other requests."""
    port = free_port()
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")}
    environ["PYTHONPATH"] = str(ROOT)
    line = [str(port) if word == "PORT" else word for word in command]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        path = Path(folder, file)
        path.write_text(source(text, 1000))
        process = subprocess.Popen(line, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True)
        load = None
        try:
            until(lambda: ask(port) == "1000", 60)
            load = Load(port)
            taken = [save(path, text, number, port) for number in range(1001, 1001 + saves)]
        finally:
            if load is not None:
                load.end()
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return taken, load


def source(text: str, number: int) -> str:
    """Return the file that answers with a number, in a size that no neighbour has."""
    return text.format(number=number) + f"# {'x' * (number % 100)}\n"


def save(path: Path, text: str, number: int, port: int) -> float:
    """Write the file and return the seconds until it is served."""
    time.sleep(random.uniform(0.3, 0.6))  # the author thinks
    began = time.perf_counter()
    path.write_text(source(text, number))
    until(lambda: ask(port) == str(number), 30)
    return time.perf_counter() - began


def until(check: Callable[[], bool], seconds: float) -> None:
    """Ask every 5 ms until it is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if check():
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.005)
    raise SystemExit(f"not within {seconds} s")


def main() -> int:
    """Measure what was asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="SERVER", help="effe-tool, uvicorn, fastapi, flask; none: all")
    parser.add_argument("--saves", type=int, default=50)
    parser.add_argument("--write", action="store_true", help="write the page")
    options = parser.parse_args()
    rows, base, over = [], 0.0, False
    for name, server in servers(options.names).items():
        taken, load = measure(*server, options.saves)
        median, tenth = statistics.median(taken), sorted(taken)[int(len(taken) * 0.9)]
        base = base or median
        if name.startswith("effe-tool"):
            over = median > BUDGET or bool(load.lost)
        times = [f"{seconds:.2f} s" for seconds in (median, tenth, max(taken))]
        rows.append([name, *times, f"{median / base:.1f}", f"{len(load.lost)} of {load.asked}"])
        print("  ".join(rows[-1]), file=sys.stderr)
        for reason in sorted(set(load.lost))[:3]:
            print(f"  {name}: {reason}", file=sys.stderr)
    told = table(("", "save to served, median", "nine of ten", "slowest", "ratio", "lost requests"), rows)
    text = f"Measured in {machine()}; {options.saves} saves.\n\n{told}"
    print(text)
    if options.write:
        write_between(PAGE, "reload", text)
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
