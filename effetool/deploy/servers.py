"""Where the instances of each effe listen: counted from a first port, or given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..runtime.flags import Settings
from .effes import Effe

__all__ = ["ADMIN", "FIRST_PORT", "Server", "count_servers", "read_servers"]

FIRST_PORT = 8101
# From an instance's port to that of its admin listener, where ports are counted.
ADMIN = 1000
# NAME=HOST:PORT/ADMINPORT; the host is a name (RFC 1123), an IPv4 address or an IPv6 address in brackets.
GIVEN = re.compile(r"([a-z0-9_-]+)=([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})/([0-9]{1,5})")
# Two checks that fail, the second soon after the first: a hiccup takes no instance out, a dead one is out in 1.3 s.
CHECKS = "inter 1s fastinter 250ms fall 2 rise 1"


@dataclass(frozen=True)
class Server:
    """One instance as HAProxy knows it.

    Attributes:
        name: unique in its backend; of its address, so that the same name is the same instance.
        address: `127.0.0.1:8101`, `[::1]:8101` or `unix@/path`.
        check_address: where its admin listener is.
        check_port: the port of its admin listener.
        maxconn: requests that it gets at once; more wait in HAProxy, where another instance can take them.
        command: what starts it, for people; empty where it is not ours to say.
        checks: how often it is checked, and what counts.
    """

    name: str
    address: str
    check_address: str
    check_port: int
    maxconn: int
    command: str = ""
    checks: str = CHECKS

    @property
    def words(self) -> str:
        """What follows the name, in the configuration and in `add server` alike."""
        check = f"check addr {self.check_address} port {self.check_port} {self.checks}"
        return f"{self.address} maxconn {self.maxconn} {check}"


def count_servers(
    effes: Sequence[Effe], instances: int = 1, first: int = FIRST_PORT, given: Mapping[str, Sequence[Server]] = {}
) -> dict[str, list[Server]]:
    """Return the servers of each effe by its name: those `given`, else `instances` on ports of 127.0.0.1 counted up.

    The effes are counted in the order of their names, so one more effe moves the ports of those after it.

    Raises:
        UsageError: E001 when the ports do not suffice, or a server is given to an effe that is not there.
    """
    counted = [effe for effe in effes if effe.name not in given]
    last = first + len(counted) * instances - 1
    if counted and (last + ADMIN > 65535 or last - first >= ADMIN):
        raise UsageError(
            f"{len(counted)} effes with {instances} instances each do not fit from port {first} on",
            code="E001",
            fix=f"--port {FIRST_PORT} leaves room for {ADMIN}; --server gives addresses by hand",
        )
    unknown = sorted(set(given) - {effe.name for effe in effes})
    if unknown:
        raise UsageError(
            f"--server {unknown[0]}=…: there is no effe of this name",
            code="E001",
            fix=f"one of {', '.join(effe.name for effe in effes)[:200]}",
        )
    servers: dict[str, list[Server]] = {}
    port = first
    for effe in effes:
        if effe.name in given:
            servers[effe.name] = [
                Server(one.name, one.address, one.check_address, one.check_port, maxconn(effe))
                for one in given[effe.name]
            ]
            continue
        servers[effe.name] = []
        for _ in range(instances):
            servers[effe.name].append(_counted(effe, port))
            port += 1
    return servers


def read_servers(words: Sequence[str]) -> dict[str, list[Server]]:
    """Read `--server NAME=HOST:PORT/ADMINPORT`, each as it was typed.

    Raises:
        UsageError: E001 when one is malformed or given twice.
    """
    found: dict[str, list[Server]] = {}
    for word in words:
        match = GIVEN.fullmatch(word)
        if match is None or not all(0 < int(port) < 65536 for port in match.group(3, 4)):
            raise UsageError(
                f"--server {word}: this takes NAME=HOST:PORT/ADMINPORT",
                code="E001",
                fix="--server hello=10.0.0.5:8080/9090, once for each instance",
            )
        effe, host, port, admin = match.groups()
        server = Server(f"{host.strip('[]')}:{int(port)}", f"{host}:{int(port)}", host.strip("[]"), int(admin), 0)
        if any(server.name == other.name for others in found.values() for other in others):
            raise UsageError(
                f"--server {word}: {server.address} is given twice", code="E001", fix="one address for each instance"
            )
        found.setdefault(effe, []).append(server)
    return found


def maxconn(effe: Effe) -> int:
    """Return how many requests an instance of one process takes at once: INFO's concurrency, else the runtime's."""
    return effe.conventions.concurrency or Settings().concurrency


def _counted(effe: Effe, port: int) -> Server:
    file = f"./{effe.info.stem}.pex" if effe.artifact is None else str(effe.path)
    words = [file, "-host", "127.0.0.1", "-port", str(port), "-admin", f"127.0.0.1:{port + ADMIN}"]
    command = "".join(char if char.isprintable() else "?" for char in shlex.join(words))
    return Server(f"127.0.0.1:{port}", f"127.0.0.1:{port}", "127.0.0.1", port + ADMIN, maxconn(effe), command)
