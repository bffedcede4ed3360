"""The load: wrk for requests, sockets of our own for connections that only stay open."""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .peers import Running

# One line of JSON at the end; wrk counts in microseconds.
_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('\\n{"requests":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end
"""
# What a browser and a proxy in front of the effe send along.
_BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-GB,en;q=0.9,nl;q=0.8",
    "Cookie": "session=6f1c2b0a9d8e7f60514233445566778899aabbcc",
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Proto": "https",
    "X-Request-Id": "7d9f2c34-1111-4222-8333-944455556666",
    "Connection": "keep-alive",
}
_ORDER = {"order": 4711, "items": [{"sku": f"A-{n}", "count": n} for n in range(8)], "note": "ring the bell"}
HELLO = ""
HEADERS = "".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}\n" for name, value in _BROWSER.items())
POST = f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [[{json.dumps(_ORDER)}]]\n'
CLOSE = 'wrk.headers["Connection"] = "close"\n'


@contextmanager
def asking(
    port: int, connections: int, seconds: int, script: str = HELLO, path: str = "/"
) -> Iterator[subprocess.Popen[str]]:
    """Start wrk on the last CPU; `result` gives what it found."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not here: apt-get install wrk")
    cpu = max(os.sched_getaffinity(0))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script + _REPORT)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", file.name]
        process = subprocess.Popen(
            [*command, f"http://127.0.0.1:{port}{path}"],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def result(process: subprocess.Popen[str]) -> dict[str, float]:
    """Wait for wrk; return requests, seconds, p50 and p99 in ms, errors."""
    text, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"wrk failed: {text}")
    found = json.loads(text.strip().splitlines()[-1])
    return {
        "requests": found["requests"],
        "rate": found["requests"] / (found["us"] / 1e6),
        "p50": found["p50"] / 1000,
        "p99": found["p99"] / 1000,
        "errors": found["errors"],
    }


def measure(server: Running, connections: int, seconds: int, script: str = HELLO, path: str = "/") -> dict[str, float]:
    """Load the server; return what wrk found, and `cpu`: its microseconds of CPU for each request."""
    before = server.seconds
    with asking(server.port, connections, seconds, script, path) as process:
        found = result(process)
    found["cpu"] = (server.seconds - before) / max(1, found["requests"]) * 1e6
    return found


def beside(server: Running, connections: int, path: str, seconds: int) -> dict[str, float]:
    """Measure 16 connections on the fast path while others are on `path`; `others` is the rate of those."""
    with asking(server.port, connections, seconds + 1, path=path) as slow:
        select.select([], [], [], 0.5)
        found = measure(server, 16, seconds)
        found["others"] = result(slow)["rate"]
    return found


def many_files() -> int:
    """Allow this process, and the servers it starts, as many open files as they may have; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def idle(server: Running, connections: int, seconds: int) -> dict[str, float]:
    """Measure 16 connections while many others have asked once and stay open; also memory and threads for those."""
    connections = min(connections, many_files() - 1000)
    without = measure(server, 16, seconds)
    memory, threads = server.memory, server.threads
    clients: list[socket.socket] = []
    try:
        for _ in range(connections):
            client = socket.create_connection(("127.0.0.1", server.port), 30)
            client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
            clients.append(client)
            if not client.recv(4096).startswith(b"HTTP/1.1 200"):
                raise SystemExit("a connection of many was refused")
        found = {"connections": connections, "memory": server.memory - memory, "threads": server.threads - threads}
        with_them = measure(server, 16, seconds)
        return found | {"part": with_them["rate"] / without["rate"], "rate": with_them["rate"]}
    finally:
        for client in clients:
            client.close()


def middle(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each value, and its spread as `KEY.low` and `KEY.high`."""
    found: dict[str, float] = {}
    for key in runs[0]:
        values = [run[key] for run in runs]
        found[key] = statistics.median(values)
        found[f"{key}.low"], found[f"{key}.high"] = min(values), max(values)
    return found


def machine() -> str:
    """Describe where this runs: processor, CPUs, kernel."""
    text = Path("/proc/cpuinfo").read_text()
    names = {line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")}
    count = len(os.sched_getaffinity(0))
    return f"{count} CPUs ({', '.join(sorted(names)) or os.uname().machine}), Linux {os.uname().release.split('-')[0]}"
