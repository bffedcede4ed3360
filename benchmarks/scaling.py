"""How many processes for how many requests: service times measured now, then replicas, queue and latency simulated.

    python benchmarks/scaling.py            measures, simulates, writes docs/explanation/scaling.md and scaling.svg
    python benchmarks/scaling.py --again    writes them again, from the times that stand in the page
    python benchmarks/scaling.py --check    compares them with what those times give

The simulation is seeded: from the same service times it gives the same tables. What is modelled, and what is not, the
page says.
"""

from __future__ import annotations

import argparse
import heapq
import http.client
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from effetool.deploy.sizing import CONTEXTS_TARGET, CPU_TARGET  # noqa: E402
from effetool.runtime.flags import Settings  # noqa: E402

PAGE = ROOT / "docs" / "explanation" / "scaling.md"
PICTURE = PAGE.with_suffix(".svg")
BEGIN, END = "<!-- written by benchmarks/scaling.py -->\n", "<!-- end -->\n"
SEED = 20261124
SAMPLE = 10_000  # requests in one steady run
RATES = (10, 100, 1_000, 10_000, 100_000)
TARGETS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MINIMUM = 2
# Kubernetes' own times: how often the autoscaler looks, how old its figures are, how often readiness is asked.
SYNC, LAG, READY = 15.0, 15.0, 5.0
PULL = 3.0  # scheduling, pulling a small image, creating the sandbox: an assumption, the only one


@dataclass(frozen=True)
class Work:
    """What one request of a kind takes: seconds of CPU, seconds of waiting (of a database, a service)."""

    name: str
    cpu: float
    wait: float


@dataclass(frozen=True)
class Steady:
    """One process under a steady load: shares, seconds, counts on average."""

    utilisation: float
    contexts: float
    queue: float
    p50: float
    p99: float
    refused: float


LOGIC = """
import time
INFO = {{"name": "work", "version": "1.0"}}
def run(context, error, response, request):
    until = time.thread_time() + {cpu}
    while time.thread_time() < until:
        pass
    time.sleep({wait}) if {wait} else None
    response.write("done")
"""
KINDS = (("hello", 0.0, 0.0), ("compute", 0.005, 0.0), ("wait", 0.0, 0.05))


def measure() -> tuple[list[Work], float]:
    """Run each kind behind the runtime; return what a request takes, and the seconds from start to readiness."""
    found, starts = [], []
    for name, cpu, wait in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "logic.py").write_text(LOGIC.format(cpu=cpu, wait=wait))
            began = time.perf_counter()
            command = [
                sys.executable,
                "-m",
                "effetool.runtime",
                folder,
                "-port",
                "0",
                "-host",
                "127.0.0.1",
                "-log",
                "json",
            ]
            process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
            try:
                assert process.stderr is not None
                port = int(json.loads(process.stderr.readline())["address"].rpartition(":")[2])
                starts.append(time.perf_counter() - began)
                count, threads = (4_000, 4) if not wait else (400, 8)
                ask(port, count // 10, threads)
                before = cpu_of(process.pid)
                ask(port, count, threads)
                found.append(Work(name, (cpu_of(process.pid) - before) / count, wait))
            finally:
                process.terminate()
                process.wait(30)
                assert process.stderr is not None
                process.stderr.close()
    return found, sorted(starts)[len(starts) // 2]


def ask(port: int, count: int, threads: int) -> None:
    """Send `count` requests over `threads` connections."""

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(count // threads):
            connection.request("GET", "/")
            connection.getresponse().read()
        connection.close()

    clients = [threading.Thread(target=client) for _ in range(threads)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process: utime and stime of proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def steady(work: Work, rate: float, concurrency: int, queue: int, sample: int = SAMPLE, seed: int = SEED) -> Steady:
    """Simulate one process: requests come at random (Poisson), wait in parallel, and share one core in turn.

    A request takes a context for as long as it runs; without one it queues, and is refused when the queue is full.
    CPU and waiting times are exponential around their means: more spread than most work has.
    """
    chance = random.Random(seed)
    events: list[tuple[float, int, str, float]] = []
    waiting: deque[float] = deque()  # for a context: when each came
    ready: deque[tuple[float, float]] = deque()  # for the core
    latencies: list[float] = []
    now = last = busy = in_contexts = in_queue = 0.0
    contexts, refused, arrived, core, number = 0, 0, 0, False, 0

    def at(moment: float, what: str, came: float) -> None:
        nonlocal number
        number += 1
        heapq.heappush(events, (moment, number, what, came))

    def begin(came: float) -> None:
        at(now + (chance.expovariate(1 / work.wait) if work.wait else 0.0), "ready", came)

    at(chance.expovariate(rate), "arrive", 0.0)
    while events:
        now, _, what, came = heapq.heappop(events)
        busy += (now - last) * core
        in_contexts += (now - last) * contexts
        in_queue += (now - last) * len(waiting)
        last = now
        if what == "arrive":
            arrived += 1
            if arrived < sample:
                at(now + chance.expovariate(rate), "arrive", 0.0)
            if contexts < concurrency:
                contexts += 1
                begin(now)
            elif len(waiting) < queue:
                waiting.append(now)
            else:
                refused += 1
        elif what == "ready":
            ready.append((came, chance.expovariate(1 / work.cpu)))
        else:
            core = False
            latencies.append(now - came)
            if waiting:
                begin(waiting.popleft())
            else:
                contexts -= 1
        if ready and not core:
            core = True
            came, length = ready.popleft()
            at(now + length, "done", came)
    latencies.sort()
    count = len(latencies)
    return Steady(
        busy / now,
        in_contexts / now,
        in_queue / now,
        latencies[count // 2],
        latencies[count * 99 // 100],
        refused / sample,
    )


def replicas(work: Work, rate: float, target: float, concurrency: int, contexts_target: float) -> int:
    """Return how many processes the autoscaler ends at: the larger of what the two metrics ask for."""
    by_cpu = rate * work.cpu / target
    by_contexts = rate * (work.wait + work.cpu) / (concurrency * contexts_target)
    return max(MINIMUM, math.ceil(by_cpu - 1e-9), math.ceil(by_contexts - 1e-9))


@dataclass(frozen=True)
class Surge:
    """What a step in the load does until there are enough processes."""

    replicas: int
    overload: float
    queue: int
    refused: float


def surge(work: Work, start: float, factor: float, target: float, startup: float, queue: int) -> Surge:
    """Multiply a steady load at once and follow the autoscaler, as a fluid: no chance, steps of a tenth of a second.

    It sees the mean CPU of `LAG` ago each `SYNC`, asks for what the target needs, at most twice as many or four more,
    and the new ones answer after scheduling, start and their first probe.
    """
    rate, step = start * factor, 0.1
    count = replicas(work, start, target, 10**9, 1.0)
    history: list[float] = [start * work.cpu / count]
    coming: list[tuple[float, int]] = []
    backlog = worst = overload = refused = moment = 0.0
    wanted = count
    look = SYNC
    while moment < 600:
        for ready, more in [one for one in coming if one[0] <= moment]:
            count += more
            coming.remove((ready, more))
        capacity = count / work.cpu * step
        backlog += rate * step
        done = min(backlog, capacity)
        backlog -= done
        if backlog > queue * count:
            refused += backlog - queue * count
            backlog = float(queue * count)
        overload += step * (backlog > 0)
        worst = max(worst, backlog / count)
        history.append(done / capacity)
        if moment >= look:
            look += SYNC
            seen = history[max(0, len(history) - 1 - int(LAG / step))]
            asked = math.ceil(count * seen / target - 1e-9)
            wanted = max(wanted, min(asked, max(2 * wanted, wanted + 4)))
            missing = wanted - count - sum(more for _, more in coming)
            if missing > 0:
                coming.append((moment + PULL + startup + READY, missing))
        moment += step
    return Surge(count, round(overload, 1), int(worst), refused / (rate * 600))


def simulate(works: list[Work], startup: float) -> tuple[str, dict[str, list[tuple[float, float, float]]]]:
    """Return the page's tables as Markdown, and the lines of the picture: share, p50, p99 over the target."""
    flags = Settings()
    lines = [
        "Measured when this page was written:",
        "",
        "| request | CPU, µs | waits, ms |",
        "|---|---|---|",
        *(f"| {work.name} | {work.cpu * 1e6:.0f} | {work.wait * 1e3:.0f} |" for work in works),
        "",
        f"From the start of a process to its readiness: {startup * 1e3:.0f} ms.",
        "",
        "## One process, by the share of a core it uses",
        "",
        "| CPU target | "
        + " | ".join(f"{work.name} p50, p99, ms" for work in works[:2])
        + " | a step to twice the load, "
        "seconds in overload | most in the queue of each |",
        "|---|---|---|---|---|",
    ]
    curves: dict[str, list[tuple[float, float, float]]] = {work.name: [] for work in works[:2]}
    for target in TARGETS:
        cells = []
        for work in works[:2]:
            found = steady(work, target / work.cpu, flags.concurrency, flags.queue)
            curves[work.name].append((target, found.p50 * 1e3, found.p99 * 1e3))
            cells.append(f"{found.p50 * 1e3:.2f}, {found.p99 * 1e3:.2f}")
        step = surge(works[1], 10 / works[1].cpu, 2, target, startup, flags.queue)
        mark = " (default)" if target == CPU_TARGET else ""
        lines.append(f"| {target:.0%}{mark} | {' | '.join(cells)} | {step.overload:.0f} | {step.queue} |")
    lines += [
        "",
        "## From 10 to 100,000 requests/s",
        "",
        f"CPU target {CPU_TARGET:.0%} of a core, contexts target {CONTEXTS_TARGET:.0%} of a concurrency of "
        f"{flags.concurrency}, {MINIMUM} processes at least.",
        "",
        "| requests/s | request | processes | CPU of each | contexts in use | in its queue | p50, ms | p99, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rate in RATES:
        for work in works:
            count = replicas(work, rate, CPU_TARGET, flags.concurrency, CONTEXTS_TARGET)
            found = steady(work, rate / count, flags.concurrency, flags.queue)
            lines.append(
                f"| {rate:,} | {work.name} | {count} | {found.utilisation:.0%} | {found.contexts:.1f} "
                f"| {found.queue:.2f} | {found.p50 * 1e3:.2f} | {found.p99 * 1e3:.2f} |"
            )
    lines += [
        "",
        "## A process that waits, by its concurrency",
        "",
        f"The request `{works[2].name}`, at {CONTEXTS_TARGET:.0%} and at 90% of its contexts, and at twice the load of "
        f"the first.",
        "",
        f"| concurrency | requests/s at {CONTEXTS_TARGET:.0%} | p99, ms | CPU | p99 at 90%, ms | p99 at twice, ms "
        "| refused |",
        "|---|---|---|---|---|---|---|",
    ]
    work = works[2]
    for concurrency in (16, 32, 64, 128, 256, 512):
        rate = CONTEXTS_TARGET * concurrency / (work.wait + work.cpu)
        found, high, twice = (
            steady(work, rate * factor, concurrency, flags.queue) for factor in (1, 0.9 / CONTEXTS_TARGET, 2)
        )
        mark = " (default)" if concurrency == flags.concurrency else ""
        lines.append(
            f"| {concurrency}{mark} | {rate:,.0f} | {found.p99 * 1e3:.0f} | {found.utilisation:.0%} "
            f"| {high.p99 * 1e3:.0f} | {twice.p99 * 1e3:.0f} | {twice.refused:.1%} |"
        )
    return "\n".join(lines) + "\n", curves


def picture(curves: dict[str, list[tuple[float, float, float]]]) -> str:
    """Draw p50 and p99 over the share of a core, on a logarithmic scale of latency."""
    width, height, left, bottom = 640, 360, 70, 50
    values = [value for rows in curves.values() for row in rows for value in row[1:]]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(target: float) -> float:
        return left + (target - TARGETS[0]) / (TARGETS[-1] - TARGETS[0]) * (width - left - 120)

    def y(value: float) -> float:
        return height - bottom - (math.log10(value) - low) / (high - low) * (height - bottom - 30)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="sans-serif" font-size="12">',
        "<title>Latency over the share of a core that a process uses</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for power in range(low, high + 1):
        level = y(10.0**power)
        parts.append(f'<path d="M{left} {level:.1f}H{width - 120}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{level + 4:.1f}" text-anchor="end">{10.0**power:g} ms</text>')
    for target in TARGETS:
        parts.append(f'<text x="{x(target):.1f}" y="{height - bottom + 20}" text-anchor="middle">{target:.0%}</text>')
    parts.append(f'<path d="M{x(CPU_TARGET):.1f} 30V{height - bottom}" stroke="#888" stroke-dasharray="4"/>')
    parts.append(f'<text x="{x(CPU_TARGET):.1f}" y="22" text-anchor="middle" fill="#555">default</text>')
    for (name, rows), colour in zip(curves.items(), ("#1f6feb", "#bf4b00"), strict=True):
        for column, label, dash in ((1, "p50", ' stroke-dasharray="2 3"'), (2, "p99", "")):
            points = " ".join(f"{x(row[0]):.1f},{y(row[column]):.1f}" for row in rows)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
            place = f'x="{x(TARGETS[-1]) + 8:.1f}" y="{y(rows[-1][column]) + 4:.1f}"'
            parts.append(f'<text {place} fill="{colour}">{name} {label}</text>')
    parts.append(
        f'<text x="{(left + width - 120) / 2}" y="{height - 10}" text-anchor="middle">share of one core in use</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> int:
    """Measure or read the times, simulate, and write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="simulate from the page's own times and compare")
    parser.add_argument("--again", action="store_true", help="write the page from its own times")
    arguments = parser.parse_args()
    text = PAGE.read_text()
    if arguments.check or arguments.again:
        found = re.search(r"<!-- times (\{.*\}) -->", text)
        assert found is not None
        times = json.loads(found[1])
        works, startup = [Work(**one) for one in times["works"]], times["startup"]
    else:
        works, startup = measure()
    times = {"works": [asdict(work) for work in works], "startup": startup}
    tables, curves = simulate(works, startup)
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    new = f"{head}{BEGIN}<!-- times {json.dumps(times)} -->\n\n{tables}{END}{tail}"
    drawn = picture(curves)
    if arguments.check:
        same = new == text and PICTURE.read_text() == drawn
        print("the page is what the simulation gives" if same else "the page differs: run benchmarks/scaling.py")
        return 0 if same else 1
    PAGE.write_text(new)
    PICTURE.write_text(drawn)
    print(f"wrote {PAGE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
