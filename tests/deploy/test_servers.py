"""effetool.deploy.servers: where the instances are."""

from __future__ import annotations

from pathlib import Path

import pytest

from effetool.deploy.servers import count_servers, read_servers
from effetool.errors import UsageError

from .conftest import write_effes


def infos(*names: str) -> list[dict[str, object]]:
    return [{"name": name, "version": "1.0"} for name in names]


def test_ports_are_counted_in_the_order_of_the_names(tmp_path: Path) -> None:
    """One for each instance, its admin port a thousand above; what starts it is said."""
    found = count_servers(write_effes(tmp_path, *infos("b", "a")), 2, 4000)
    assert [(name, [one.address for one in servers]) for name, servers in found.items()] == [
        ("a", ["127.0.0.1:4000", "127.0.0.1:4001"]),
        ("b", ["127.0.0.1:4002", "127.0.0.1:4003"]),
    ]
    assert found["b"][1].command == "./b-1.0.pex -host 127.0.0.1 -port 4003 -admin 127.0.0.1:5003"
    assert found["b"][1].words.startswith("127.0.0.1:4003 maxconn 128 check addr 127.0.0.1 port 5003 inter ")


def test_given_ones_are_not_counted(tmp_path: Path) -> None:
    """As names, IPv4 and IPv6; maxconn is INFO's concurrency."""
    effes = write_effes(tmp_path, *infos("a", "c"), {"name": "b", "version": "1", "concurrency": 7})
    given = read_servers(["b=10.0.0.1:80/90", "b=[::1]:81/91", "b=host.internal:82/92"])
    found = count_servers(effes, 1, 4000, given)
    assert [one.words.partition(" inter")[0] for one in found["b"]] == [
        "10.0.0.1:80 maxconn 7 check addr 10.0.0.1 port 90",
        "[::1]:81 maxconn 7 check addr ::1 port 91",
        "host.internal:82 maxconn 7 check addr host.internal port 92",
    ]
    assert [one.name for one in found["b"]] == ["10.0.0.1:80", "::1:81", "host.internal:82"]
    assert [found[name][0].address for name in "ac"] == ["127.0.0.1:4000", "127.0.0.1:4001"]


@pytest.mark.parametrize(
    "words",
    [
        ["a"], ["a="], ["a=10.0.0.1"], ["a=10.0.0.1:80"], ["a=10.0.0.1:80/0"], ["a=10.0.0.1:65536/1"], ["a=::1:80/90"],
        ["a=b c:80/90"], ["a=b\n:80/90"], ["a=h:80/90\n"], ["a=h:80/90", "a=h:80/91"], ["a=h:80/90", "b=h:080/90"],
    ],
)  # fmt: skip
def test_a_malformed_or_repeated_one_is_refused(words: list[str]) -> None:
    """With the form it takes."""
    with pytest.raises(UsageError, match="--server"):
        read_servers(words)


def test_one_for_an_effe_that_is_not_there(tmp_path: Path) -> None:
    """Those that are there are named."""
    with pytest.raises(UsageError, match="no effe of this name") as caught:
        count_servers(write_effes(tmp_path, *infos("a")), given=read_servers(["b=h:1/2"]))
    assert caught.value.fix == "one of a"


@pytest.mark.parametrize(("instances", "first"), [(1, 65535), (501, 4000), (2, 64534)])
def test_ports_must_suffice(instances: int, first: int, tmp_path: Path) -> None:
    """Up to 65535, and no admin port is another's port."""
    with pytest.raises(UsageError, match="do not fit"):
        count_servers(write_effes(tmp_path, *infos("a", "b")), instances, first)
