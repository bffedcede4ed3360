"""`deploy haproxy` under load: what comes, goes and dies behind a real HAProxy, and how many requests that costs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from effetool.deploy.haproxy_runtime import Change, match_servers

from .conftest import Load, servers_of, write_effes

pytestmark = [pytest.mark.haproxy, pytest.mark.slow]
INFOS = [{"name": name, "version": "1.0"} for name in ("hello", "mail", "shop")]
PATHS = ["/hello", "/mail", "/shop"]


def test_scaling_out_and_in_loses_nothing(tmp_path: Path, instance, proxy) -> None:
    """3 effes × 2 instances; a third of one comes and goes, again and again, while both kinds of requests run."""
    effes = write_effes(tmp_path / "effes", *INFOS)
    running = [instance(effe) for effe in effes for _ in range(2)]
    front = proxy(effes, running)
    with Load(front.port, PATHS) as gets, Load(front.port, PATHS, "POST") as posts:
        for _ in range(3):
            third = instance(effes[0])
            done = match_servers(front.runtime, servers_of(effes, [*running, third]), 60)
            assert done == [Change("added", f"hello/127.0.0.1:{third.port}", f"127.0.0.1:{third.port}")]
            gets.wait_for(third)
            posts.wait_for(third)
            done = match_servers(front.runtime, servers_of(effes, running), 60)
            assert [change.verb for change in done] == ["drained", "removed"]
            assert third.stop() == 0  # no request is lost, although HAProxy can no longer know of its end
        assert match_servers(front.runtime, servers_of(effes, running), 60) == []
    assert (gets.failed, posts.failed) == ({}, {})
    print(f"{gets.answered} GET, {posts.answered} POST, 0 failed")


def test_a_rolling_upgrade_loses_nothing(tmp_path: Path, instance, proxy) -> None:
    """All instances of one effe are exchanged for those of its next version: POSTs too, which are never sent twice."""
    effes = write_effes(tmp_path / "effes", *INFOS)
    running = {effe.name: [instance(effe) for _ in range(2)] for effe in effes}
    front = proxy(effes, [each for group in running.values() for each in group])
    with Load(front.port, PATHS) as gets, Load(front.port, PATHS, "POST") as posts:
        for version in ("1.1", "1.2"):
            effes = write_effes(tmp_path / "effes", {**INFOS[0], "version": version})
            old, running["hello"] = running["hello"], [instance(effes[0]) for _ in range(2)]
            wanted = servers_of(effes, [each for group in running.values() for each in group])
            done = match_servers(front.runtime, wanted, 60)
            assert [change.verb for change in done] == ["added"] * 2 + ["drained", "removed"] * 2
            assert [each.stop() for each in old] == [0, 0]
            for each in running["hello"]:
                gets.wait_for(each)
                posts.wait_for(each)
    assert (gets.failed, posts.failed) == ({}, {})
    begun = [line.split()[1] for line in (tmp_path / "begun").read_text().splitlines()]
    posted = [name for name in begun if name.startswith("POST")]
    assert len(posted) == len(set(posted)) >= posts.answered
    print(f"{gets.answered} GET, {posts.answered} POST, 0 failed")


def test_restarts_in_place_lose_nothing(tmp_path: Path, instance, proxy) -> None:
    """SIGTERM alone, HAProxy told nothing: what an instance refuses goes to the other, and the check sees the rest."""
    effes = write_effes(tmp_path / "effes", *INFOS)
    running = [instance(effe) for effe in effes for _ in range(2)]
    front = proxy(effes, running)
    with Load(front.port, PATHS) as load:
        for old in running:
            assert old.stop() == 0
            new = instance(old.effe, place=old)
            load.wait_for(new)
    assert load.failed == {}
    print(f"{load.answered} GET, 0 failed")


def test_an_instance_killed_costs_what_it_had_in_hand(tmp_path: Path, instance, proxy) -> None:
    """Only what was sent to the killed instance can fail: most GETs are asked again; no POST is run twice."""
    effes = write_effes(tmp_path / "effes", *INFOS)
    running = [instance(effe) for effe in effes for _ in range(2)]
    front = proxy(effes, running)
    with (
        Load(front.port, PATHS, query="&sleep=0.005") as gets,
        Load(front.port, PATHS, "POST", query="&sleep=0.005") as posts,
    ):
        for each in running[::2]:
            posts.wait_for(each)
            assert each.stop(signal.SIGKILL) == -signal.SIGKILL
            gets.wait()
            posts.wait()
    dead = {f"{each.effe.name}/127.0.0.1:{each.port}" for each in running[::2]}
    for load in (gets, posts):
        # A connection that the client has used before HAProxy closes without an answer, or a line in its log.
        logged = [name for name, text in load.failed.items() if "RemoteDisconnected" not in text]
        assert {front.server_of(name) for name in logged} <= dead
        assert len(load.failed) <= len(dead) * load.clients
    posted = [line.split()[1] for line in (tmp_path / "begun").read_text().splitlines() if " POST" in line]
    assert len(posted) == len(set(posted))
    print(
        f"in hand when killed: {len(gets.failed)} of {gets.answered} GET, {len(posts.failed)} of {posts.answered} POST"
    )
