"""What is measured: every server in turn, round by round, so that what disturbs one disturbs all."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from . import load
from .peers import Running

Found = dict[str, dict[str, dict[str, float]]]  # scenario → server → values

# name: connections, script. Each is measured for each server; CPU and ratio are the figures to quote.
LOADS = {
    "hello": (64, load.HELLO),
    "headers": (64, load.HEADERS),
    "post": (64, load.POST),
    "close": (16, load.CLOSE),
    "one": (1, load.HELLO),
}
# Beside others on a path that sleeps, or computes, for 50 ms: how many, and where.
MIXED = {"sleepers": (8, "/slow"), "burners": (2, "/cpu")}
# These are about the effe alone.
OWN = ("free", "workers", "admin", "idle")
EVERY = (*LOADS, *MIXED, *OWN)
IDLE = 10_000


def run(commands: dict[str, list[str]], names: list[str], rounds: int, seconds: int) -> Found:
    """Measure the named scenarios."""
    first, every = {min(os.sched_getaffinity(0))}, set(os.sched_getaffinity(0))
    found: Found = {}
    load.many_files()
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Running(command, first)) for name, command in commands.items()}
        wanted = [name for name in LOADS if name in names]
        if wanted:
            found.update(_loads(servers, wanted, rounds, seconds))
        for name, (connections, path) in MIXED.items():
            if name in names:
                others = {server: running for server, running in servers.items() if server != "bare"}
                ask = partial(load.beside, connections=connections, path=path, seconds=seconds)
                found[name] = _in_turn(name, others, rounds, ask)
    if "effe" not in commands:
        return found
    effe = commands["effe"]
    pairs = {
        "free": ({"pinned": effe, "free": effe}, {"pinned": first, "free": every}),
        "workers": ({"one": effe, "two": [*effe, "-workers", "2"]}, {"one": every, "two": every}),
        "admin": ({"off": effe, "on": [*effe, "-admin", "127.0.0.1:0"]}, {"off": first, "on": first}),
    }
    for name, (sides, cpus) in pairs.items():
        if name in names:
            with ExitStack() as stack:
                both = {side: stack.enter_context(Running(line, cpus[side])) for side, line in sides.items()}
                # wrk needs a CPU too: only runs that compute can show what a second worker gives.
                connections, path = (8, "/work") if name == "workers" else (64, "/")
                ask = partial(load.measure, connections=connections, seconds=seconds, path=path)
                found[name] = _in_turn(name, both, rounds, ask)
    if "idle" in names:
        runs = []
        for number in range(rounds):
            print(f"idle: round {number + 1} of {rounds}", file=sys.stderr)
            with Running([*effe, "-max-connections", str(IDLE + 500)], first) as server:
                runs.append(load.idle(server, IDLE, seconds))
        found["idle"] = {"effe": load.middle(runs)}
    return found


def _loads(servers: dict[str, Running], names: list[str], rounds: int, seconds: int) -> Found:
    """Measure each load on each server in every round; a POST's CPU is compared with a hello's in the same round."""
    runs: dict[str, dict[str, list[dict[str, float]]]] = {name: {server: [] for server in servers} for name in names}
    for running in servers.values():
        load.measure(running, 16, 1)  # warm
    for number in range(rounds):
        print(f"{', '.join(names)}: round {number + 1} of {rounds}", file=sys.stderr)
        for server in _order(servers, number):
            for name in names:
                connections, script = LOADS[name]
                runs[name][server].append(load.measure(servers[server], connections, seconds, script))
    found = {name: _middles(values) for name, values in runs.items()}
    if "hello" in names and "post" in names:
        for server in servers:
            found["post"][server]["to hello"] = _ratio(runs["post"][server], runs["hello"][server])
    return found


def _in_turn(
    name: str, servers: dict[str, Running], rounds: int, measure: Callable[[Running], dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Measure each server once a round, in changing order."""
    runs: dict[str, list[dict[str, float]]] = {server: [] for server in servers}
    for server in servers.values():
        load.measure(server, 16, 1)  # warm
    for number in range(rounds):
        print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr)
        for server in _order(servers, number):
            runs[server].append(measure(servers[server]))
    return _middles(runs)


def _order(servers: dict[str, Running], number: int) -> list[str]:
    return list(servers) if number % 2 == 0 else list(reversed(servers))


def _middles(runs: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return each server's medians; `ratio` is that of its CPU to the first one's, in each round."""
    first = next(iter(runs))
    return {server: load.middle(values) | {"ratio": _ratio(values, runs[first])} for server, values in runs.items()}


def _ratio(values: list[dict[str, float]], bases: list[dict[str, float]]) -> float:
    pairs = zip(values, bases, strict=True)
    return statistics.median(mine["cpu"] / base["cpu"] for mine, base in pairs if base["cpu"])
