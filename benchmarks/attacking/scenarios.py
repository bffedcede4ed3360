"""The measurement: one server, one attack, the good clients beside it."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from serving.peers import Running

from .attacks import ATTACKS
from .clients import Answers, Good
from .servers import FILES, HOUSE, Server, start

# What the servers are limited to in a row: connections, or open files.
CONNECTIONS, DESCRIPTORS = "connections", "files"
UNDER_WAY = 5.0  # seconds that an attack has to open its connections


@dataclass
class Row:
    """What was found for one server under one attack."""

    coming: Answers
    staying: Answers
    opened: int  # hostile connections
    memory: float  # MB at the end of the attack
    died: bool


# By limit, attack and server.
Found = dict[str, dict[str, dict[str, Row]]]


def run(servers: dict[str, Server], names: list[str], limits: list[str], seconds: float) -> Found:
    """Attack each server with each of the named attacks; those that hold connections under each of the limits."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cpus[1:]))  # the clients'
    try:
        return _run(servers, names, limits, seconds, cpus[0])
    finally:
        os.sched_setaffinity(0, cpus)


def _run(servers: dict[str, Server], names: list[str], limits: list[str], seconds: float, cpu: int) -> Found:
    found: Found = {}
    for limit in limits:
        for name in names:
            attack = ATTACKS[name]
            if limit == DESCRIPTORS and not attack.fills:
                continue
            most = FILES if limit == DESCRIPTORS else HOUSE
            count = attack.connections or most * 3 // 2
            rows = found.setdefault(limit, {})[name] = {}
            for title, server in servers.items():
                print(f"{limit}, {name}: {title}", file=sys.stderr)
                with start(server, {cpu}, limit == DESCRIPTORS, attack.tls) as running:
                    rows[title] = asyncio.run(_attack(running, name, count, attack.tls, seconds))
    return found


async def _attack(running: Running, name: str, count: int, tls: bool, seconds: float) -> Row:
    good = Good(running.port, tls)
    before: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asking = asyncio.create_task(good.run(before, seconds))
    await asyncio.sleep(0.5)  # the good clients were there first
    attacker = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("attacker.py")), name, str(running.port), str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.nice(5),
    )  # fmt: skip
    try:
        await asyncio.to_thread(select.select, [attacker.stdout], [], [], UNDER_WAY)
        before.set_result(None)
        await asking
        died = running.process.poll() is not None
        memory = 0.0 if died else running.memory
        said, _ = await asyncio.to_thread(attacker.communicate)
    finally:
        attacker.kill()
        attacker.wait()
        asking.cancel()
    return Row(good.coming, good.staying, json.loads(said.splitlines()[-1])["opened"], memory, died)
