"""Save to served: how long until a save is answered, and how many requests are lost meanwhile.

    python benchmarks/reload.py                     effe-tool dev, flask --debug, fastapi dev, uvicorn --reload
    python benchmarks/reload.py --saves 20 effe-tool flask

Each server serves one file that answers with a number. The file is written with the next number; the time runs until a
new connection is answered with it. Meanwhile two clients ask without a pause, a new connection each time: whatever is
not an HTTP 200 with a number is lost. The saves come at random moments, so that no server's polling is met in step.
The servers are installed into an environment of their own, in the cache directory.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "effe-tool" / "benchmarks" / "reload"
PEERS = ("flask", "fastapi[standard]", "uvicorn[standard]")
ROOT = Path(__file__).resolve().parents[1]

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


def servers(python: str) -> dict[str, tuple[str, str, list[str]]]:
    """Return, by name: the file's name, its text, the command (`PORT` stands for the port)."""
    uvicorn = [python, "-m", "uvicorn", "--reload", "--log-level", "warning", "--port", "PORT", "main:app"]
    return {
        "effe-tool": ("logic.py", EFFE, [sys.executable, "-m", "effetool", "dev", "-q", "-port", "PORT"]),
        "flask": ("app.py", FLASK, [python, "-m", "flask", "--app", "app", "--debug", "run", "-p", "PORT"]),
        "fastapi": ("main.py", FASTAPI, [python, "-m", "fastapi", "dev", "--port", "PORT", "main.py"]),
        "uvicorn": ("main.py", UVICORN, uvicorn),
    }


def install() -> str:
    """Make the peers' environment unless it is there; return its interpreter."""
    python = CACHE / "bin" / "python"
    if not (CACHE / "ready").exists():
        print(f"installing {', '.join(PEERS)} into {CACHE}", file=sys.stderr)
        venv.create(CACHE, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
        (CACHE / "ready").touch()
    return str(python)


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
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")}
    environ["PYTHONPATH"] = str(ROOT)
    line = [str(port) if word == "PORT" else word for word in command]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        path = Path(folder, file)
        path.write_text(text.format(number=1000))
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


def save(path: Path, text: str, number: int, port: int) -> float:
    """Write the file and return the seconds until it is served."""
    time.sleep(random.uniform(0.3, 0.6))  # the author thinks
    began = time.perf_counter()
    path.write_text(text.format(number=number))
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


def main() -> None:
    """Measure what was asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="SERVER", help="effe-tool, flask, fastapi, uvicorn; none: all")
    parser.add_argument("--saves", type=int, default=50)
    options = parser.parse_args()
    known = servers(install())
    print("| server | save to served, median | p90 | slowest | ratio | lost |\n|---|---|---|---|---|---|")
    base = 0.0
    for name in options.names or list(known):
        taken, load = measure(*known[name], options.saves)
        median = statistics.median(taken)
        base = base or median
        tenth = sorted(taken)[int(len(taken) * 0.9)]
        times = f"{median:.2f} s | {tenth:.2f} s | {max(taken):.2f} s | {median / base:.1f}"
        print(f"| {name} | {times} | {len(load.lost)} of {load.asked} |", flush=True)
        for reason in sorted(set(load.lost))[:3]:
            print(f"  {name}: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
