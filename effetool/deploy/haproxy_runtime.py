"""Make a running HAProxy's servers those that are wanted, through its runtime API, without a reload.

HAProxy has no upper limit for servers that come this way (management guide, `add server`), while a `server-template`
fixes their number when it starts. The names are made of the addresses: an instance that moved is another server, so
what was running is drained and what is new is checked before it gets its first request.
"""

from __future__ import annotations

import csv
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import DeployError
from .servers import Server

__all__ = ["Change", "Runtime", "match_servers"]

# How long an answer of HAProxy may take, in seconds: it answers from memory.
PATIENCE = 10.0
# Between two looks at what is waited for.
LOOK = 0.05
# `show servers state`: srv_check_result of a check that passed, srv_admin_state of one that nobody has touched.
PASSED, UNTOUCHED = "3", "0"


@dataclass(frozen=True)
class Change:
    """What was done: `verb` is added, drained or removed; `server` is `backend/name`."""

    verb: str
    server: str
    address: str


class Runtime:
    """HAProxy's runtime API at a Unix socket of level admin.

    Args:
        path: the socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def ask(self, command: str) -> str:
        """Return the answer to one command.

        Raises:
            DeployError: E412 when HAProxy does not answer, E413 when HAProxy refuses.
        """
        answer = self._talk(f"set severity-output number; {command}").strip()
        # syslog's levels (RFC 5424, section 6.2.1): 4 is a warning, and less is worse.
        if answer[:1] == "[" and answer[2:4] == "]:" and answer[1] in "0123":
            raise DeployError(
                f"HAProxy refuses: {answer[4:].strip()}",
                code="E413",
                notes=(f"to: {command}",),
                fix="HAProxy 2.6 or newer, and a socket with `level admin`",
            )
        return answer

    def _talk(self, line: str) -> str:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
                channel.settimeout(PATIENCE)
                channel.connect(self.path)
                channel.sendall(line.encode() + b"\n")
                parts = []
                while data := channel.recv(65536):
                    parts.append(data)
        except OSError as error:
            raise DeployError(
                f"no HAProxy answers at {self.path}: {error.strerror or error}",
                code="E412",
                fix="name the `stats socket` of its configuration, and run this as a user who may open it",
            ) from error
        return b"".join(parts).decode(errors="replace")

    def servers(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return the fields of `show servers state` by backend and server."""
        lines = self.ask("show servers state").splitlines()
        names: list[str] = []
        found: dict[str, dict[str, dict[str, str]]] = {}
        for line in lines:
            if line.startswith("# "):
                names = line[2:].split()
            elif len(fields := line.split()) == len(names) > 1:
                row = dict(zip(names, fields, strict=True))
                found.setdefault(row["be_name"], {})[row["srv_name"]] = row
        return found

    def backends(self) -> set[str]:
        """Return the names of the backends; one without a server is there too."""
        return set(self.ask("show backend").splitlines()) - {""}

    def sessions(self, backend: str, server: str) -> int:
        """Return how many requests a server has in hand."""
        return int(self._stat(backend, server).get("scur") or 0)

    def busy(self) -> bool:
        """Tell whether any request is in any server's hands, or waits for one."""
        rows = csv.DictReader(self.ask("show stat").removeprefix("# ").splitlines())
        return any(int(row["scur"] or 0) for row in rows if row["svname"] == "BACKEND")

    def pid(self) -> int:
        """Return the id of the process that answers: after a reload, the new one's."""
        (line,) = (line for line in self.ask("show info").splitlines() if line.startswith("Pid: "))
        return int(line.partition(" ")[2])

    def last_check(self, backend: str, server: str) -> str:
        """Return in words what the last check of a server said."""
        row = self._stat(backend, server)
        return " ".join(filter(None, (row.get("check_status"), row.get("check_code"), row.get("last_chk"))))

    def _stat(self, backend: str, server: str) -> dict[str, str]:
        rows = csv.DictReader(self.ask("show stat").removeprefix("# ").splitlines())
        return next((row for row in rows if (row["pxname"], row["svname"]) == (backend, server)), {})

    def add(self, backend: str, server: Server) -> None:
        """Add a server, checked and without requests: see `open`."""
        self.ask(f"add server {backend}/{server.name} {server.words}")
        self.ask(f"enable health {backend}/{server.name}")
        self.drain(backend, server.name)

    def open(self, backend: str, server: str) -> None:
        """Let a server have requests."""
        self.ask(f"set server {backend}/{server} state ready")

    def drain(self, backend: str, server: str) -> None:
        """Let a server have no new requests; it is still checked."""
        self.ask(f"set server {backend}/{server} state drain")

    def check_at(self, backend: str, server: str, port: int) -> None:
        """Check a server at another port from now on."""
        self.ask(f"set server {backend}/{server} check-port {port}")

    def remove(self, backend: str, server: str, deadline: float) -> None:
        """Remove a server that has nothing in hand any more; its idle connections are closed first."""
        self.ask(f"set server {backend}/{server} state maint")
        while True:
            try:
                self.ask(f"del server {backend}/{server}")
                return
            except DeployError as error:
                # "Server still has connections attached to it": they are being closed.
                if "connections" not in error.message or time.monotonic() > deadline:
                    raise
            time.sleep(LOOK)


def match_servers(
    runtime: Runtime,
    wanted: Mapping[str, Sequence[Server]],
    wait: float,
    progress: Callable[[Change], None] = lambda change: None,
) -> list[Change]:
    """Add the servers that are missing, wait until they are ready, then drain and remove those that are too many.

    Running it again does the rest of what a run that failed has left.

    Args:
        runtime: the running HAProxy.
        wanted: the servers of each backend. Backends that are not named are left alone.
        wait: seconds for the new ones to be ready, and for each old one to finish.
        progress: told each change as it is done.

    Raises:
        DeployError: E412, E413; E414 when a new server does not become ready (it is removed again, and nothing was
            drained) or an old one does not finish (it stays, without new requests).
    """
    there = runtime.servers()
    missing = [backend for backend in wanted if backend not in there]
    if missing and (missing := sorted(set(missing) - runtime.backends())):
        raise DeployError(
            f"HAProxy has no backend {missing[0]}: it reads routes and effes when it starts",
            code="E413",
            fix="write the configuration anew with --dirout, then reload HAProxy: systemctl reload haproxy",
        )
    changes: list[Change] = []

    def told(verb: str, backend: str, name: str, address: str) -> None:
        changes.append(Change(verb, f"{backend}/{name}", address))
        progress(changes[-1])

    for backend, server in _add_all(runtime, wanted, there, wait):
        told("added", backend, server.name, server.address)
    old = [
        (backend, name)
        for backend, servers in wanted.items()
        for name in there.get(backend, {})
        if name not in {server.name for server in servers}
    ]
    for backend, name in old:
        runtime.drain(backend, name)
    for backend, name in old:
        address = _address(there[backend][name])
        deadline = time.monotonic() + wait
        while (left := runtime.sessions(backend, name)) and time.monotonic() < deadline:
            time.sleep(LOOK)
        if left:
            raise DeployError(
                f"{backend}/{name} still has {left} request{'s' * (left != 1)} after {wait:g} s: it gets no new ones",
                code="E414",
                fix=f"run this again, or end them: shutdown sessions server {backend}/{name}",
            )
        told("drained", backend, name, address)
        runtime.remove(backend, name, time.monotonic() + wait)
        told("removed", backend, name, address)
    return changes


def _add_all(
    runtime: Runtime,
    wanted: Mapping[str, Sequence[Server]],
    there: Mapping[str, Mapping[str, Mapping[str, str]]],
    wait: float,
) -> list[tuple[str, Server]]:
    """Add what is missing, and open it and what an earlier run has left closed once it is ready."""
    coming: list[tuple[str, Server]] = []
    for backend, servers in wanted.items():
        for server in servers:
            row = there.get(backend, {}).get(server.name)
            if row is None:
                runtime.add(backend, server)
                coming.append((backend, server))
                continue
            if row["srv_check_port"] != str(server.check_port):
                runtime.check_at(backend, server.name, server.check_port)
            if row["srv_admin_state"] != UNTOUCHED:
                runtime.drain(backend, server.name)
                coming.append((backend, server))
    deadline = time.monotonic() + wait
    waiting = list(coming)
    while waiting:
        now = runtime.servers()
        waiting = [
            (backend, server) for backend, server in waiting if now[backend][server.name]["srv_check_result"] != PASSED
        ]
        if waiting and time.monotonic() > deadline:
            backend, server = waiting[0]
            said = runtime.last_check(backend, server.name)
            for each, one in coming:
                if one.name not in there.get(each, {}):
                    runtime.remove(each, one.name, deadline + wait)
            raise DeployError(
                f"{backend}/{server.name} is not ready after {wait:g} s: {said or 'no check has ended'}",
                code="E414",
                fix=f"curl http://{server.check_address}:{server.check_port}/ready",
            )
        if waiting:
            time.sleep(LOOK)
    for backend, server in coming:
        runtime.open(backend, server.name)
    return coming


def _address(row: Mapping[str, str]) -> str:
    host, port = row["srv_addr"], row["srv_port"]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
