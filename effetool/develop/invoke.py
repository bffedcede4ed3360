"""Send one request: to a source in a child of its own, to a built file, or to a URL."""

from __future__ import annotations

import http.client
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..effe.project import Project
from ..errors import EffeToolError, ServeError, UsageError
from .event import error_of
from .httpfile import Saved
from .process import Process

__all__ = ["Answered", "Target", "built", "remote", "source"]

PATIENCE = 60.0  # seconds an effe may take to load, and between two pieces of an answer


@dataclass
class Answered:
    """An answer whose body is still to be read.

    Attributes:
        status, reason, headers: its head.
        times: seconds, by phase: import, init, start (a source), run (to the first byte).
        faults: what went wrong in the author's code; complete once the body was read.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]
    times: dict[str, float]
    pieces: Iterator[bytes]
    faults: list[EffeToolError] = field(default_factory=list)


class Target:
    """Where requests go. `connect` gives a connected socket; `listen` collects what else is heard."""

    def __init__(
        self, connect: Callable[[], Any], host: str, times: dict[str, float], prefix: str | None = None
    ) -> None:
        self._connect = connect
        self._host = host
        self._prefix = prefix or ""
        # What to do where no answer comes: a server elsewhere (it has a prefix, if an empty one) is to be there.
        self._fix = "effe-tool dev shows what happens in it" if prefix is None else f"does a server listen at {host}?"
        self._times = times
        self.faults: list[EffeToolError] = []

    def send(self, saved: Saved) -> Answered:
        """Send a request and return the head of its answer.

        Raises:
            UsageError: E001, a field that cannot be sent so.
            ServeError: E310, no answer comes.
        """
        fields = list(saved.headers)
        names = {name.lower() for name, _ in fields}
        for name, value in fields:  # a longer one waits for what never comes
            if name.lower() == "content-length" and value.strip().isdecimal() and int(value) != len(saved.body):
                raise UsageError(
                    f"{name} is {value}, and the body has {len(saved.body)} bytes",
                    code="E001",
                    fix=f"leave {name} out: it is set from the body",
                )
        if "host" not in names:
            fields.insert(0, ("Host", self._host))
        if "content-length" not in names and "transfer-encoding" not in names and (saved.body or saved.method != "GET"):
            fields.append(("Content-Length", str(len(saved.body))))
        fields.append(("Connection", "close"))
        head = f"{saved.method} {self._prefix}{saved.target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields)
        if "\r" in head.replace("\r\n", "") or "\n" in head.replace("\r\n", ""):
            raise UsageError("a header field holds a line break", code="E001", fix="one -H for each field")
        began = time.perf_counter()
        try:
            connection = self._connect()
            connection.settimeout(PATIENCE)
            connection.sendall(head.encode() + b"\r\n" + saved.body)
            response = http.client.HTTPResponse(connection, method=saved.method)
            response.begin()
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise ServeError(f"no answer: {why}", code="E310", fix=self._fix) from None
        times = {**self._times, "run": time.perf_counter() - began}
        pieces = _pieces(connection, response)
        return Answered(response.status, response.reason, response.getheaders(), times, pieces, self.faults)


def _pieces(connection: Any, response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := response.read1(65536):
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise ServeError(f"the answer was cut: {error}", code="E310", fix="the effe's log says why") from None
    finally:
        response.close()
        connection.close()


@contextmanager
def source(project: Project, python: str, environ: Mapping[str, str], requests: int = 1) -> Iterator[Target]:
    """Load an effe as `dev` does, in a child that serves these requests and ends.

    Raises:
        EffeToolError: it cannot be loaded: the contract (E101, E12x), its own error (E305, E306).
    """
    _ = project.contract, project.conventions
    pairs = [socket.socketpair() for _ in range(requests)]
    process = Process(python, [], keep=[theirs.fileno() for _, theirs in pairs], stdout=sys.stderr)
    for _, theirs in pairs:
        theirs.close()
    ours = iter([mine for mine, _ in pairs])
    numbers = process.kept
    process.give(
        {
            "logic": str(project.logic), "module": project.module, "root": str(project.root.absolute()),
            "environ": dict(environ), "needs": dict(project.info.data),
            "lines": False, "colour": False, "adopted": numbers,
        }
    )  # fmt: skip
    try:
        loaded = _loaded(process)
        target = Target(lambda: next(ours), "localhost", loaded["phases"])
        try:
            yield target
        finally:
            process.drain()
            for event in _rest(process):
                if event["event"] == "fault":
                    target.faults.append(error_of(event["fault"]))
    finally:
        for mine, _ in pairs:
            mine.close()
        process.drain()
        process.wait(10.0)


def _loaded(process: Process) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([process.channel], [], [], left)[0]:
            break
        events = process.events()
        if events is None:
            raise ServeError(f"the effe's process ended while it was loaded: {process.fate()}", code="E309")
        for event in events:
            if event["event"] == "ready":
                return event
            if event["event"] == "broken":
                raise error_of(event["fault"])
    raise ServeError(f"the effe was not ready within {PATIENCE:.0f} s", code="E309", fix="look at its import and init")


def _rest(process: Process) -> Iterator[dict[str, Any]]:
    until = time.monotonic() + 10.0
    while (left := until - time.monotonic()) > 0:
        if not select.select([process.channel], [], [], left)[0]:
            return
        events = process.events()
        if events is None:
            return
        yield from events


@contextmanager
def built(pex: Path) -> Iterator[Target]:
    """Start a built file for these requests. Raises ServeError (E309) when it does not start."""
    from ..testing.started import Started

    began = time.perf_counter()
    started = Started(str(pex), pex.stem, ())
    try:
        started.enter()
    except (RuntimeError, OSError) as error:
        lines = str(error).splitlines()
        raise ServeError(lines[0], code="E309", notes=tuple(lines[1:]), fix=f"effe-tool run {pex}") from None
    target = Target(started.connect, "localhost", {"exec": time.perf_counter() - began})
    try:
        yield target
    finally:
        target.faults += [ServeError(str(error), code="E308") for error in started.errors]
        started.leave()


@contextmanager
def remote(url: str) -> Iterator[Target]:
    """Send to a server. Raises UsageError when it is not an http(s) URL."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise UsageError(f"no URL of a server: {url}", code="E001", fix="--url http://localhost:8080")
    host, secure = parts.hostname, parts.scheme == "https"

    def connect() -> Any:
        sock = socket.create_connection((host, port or (443 if secure else 80)), PATIENCE)
        if not secure:
            return sock
        import ssl

        return ssl.create_default_context().wrap_socket(sock, server_hostname=host)

    yield Target(connect, parts.netloc.rpartition("@")[2], {}, parts.path.rstrip("/"))


def environ_of(env_file: Path | None) -> dict[str, str]:
    """Return the effe's environment: the file's variables below what is there already."""
    from .envfile import read_env_file

    return {**(read_env_file(env_file) if env_file else {}), **os.environ}
