"""The servers that are attacked: an effe, Go's net/http and granian, each with the limits of a careful operator."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from serving import peers

APPS = Path(__file__).parent / "apps"
CACHE = peers.CACHE  # with the peers' environment
NAMES = ("effe", "go", "granian")
# Connections that the effe may hold, and the limit of open files in the rows about that.
HOUSE, FILES = 64, 128


@dataclass(frozen=True)
class Server:
    """How a server is started; `PORT` stands for the port."""

    command: list[str]
    tls: list[str]  # what is added for TLS
    house: list[str]  # what is added for a limit of `HOUSE` connections; it may have none


def prepare(names: list[str]) -> dict[str, Server]:
    """Build and install the named servers. One that cannot be had here is left out, and said so."""
    CACHE.mkdir(parents=True, exist_ok=True)
    certificate, key = CACHE / "certificate.pem", CACHE / "key.pem"
    if not key.exists():
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"]
        files = ["-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
        subprocess.run([*command, *files], check=True, stderr=subprocess.DEVNULL)
    found: dict[str, Server] = {}
    for name in names:
        try:
            found[name] = _server(name, str(certificate), str(key))
            _check(found[name])
        except (OSError, subprocess.CalledProcessError) as error:
            if name == "effe":
                raise SystemExit(f"the effe was not built: {error}") from None
            print(f"left out: {name}: {error}", file=sys.stderr)
    return found


def _server(name: str, certificate: str, key: str) -> Server:
    if name == "effe":
        source = shutil.copy(APPS / "attacked.py", CACHE)
        tool = [sys.executable, "-m", "effetool", "build", "--quiet", source]
        subprocess.run(tool, cwd=CACHE, env=peers.environ(), check=True, stdout=subprocess.PIPE)
        effe = [str(CACHE / "attacked-1.0.pex"), "-host", "127.0.0.1", "-port", "PORT"]
        return Server(effe, ["-cert", certificate, "-key", key], ["-max-connections", str(HOUSE)])
    if name == "go":
        binary = CACHE / "attacked-go"
        go = peers.environ() | {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
        subprocess.run(["go", "build", "-o", binary, APPS / "attacked.go"], env=go, check=True)
        return Server([str(binary), "PORT"], [certificate, key], [])
    # Threads as many as an effe's -concurrency, the time for a head that of -header-timeout.
    limits = ["--blocking-threads", "128", "--http1-header-read-timeout", "10000", "--http", "1", "--no-ws"]
    address = ["--host", "127.0.0.1", "--port", "PORT", "--log-level", "warning", "--interface", "wsgi"]
    granian = [peers.install(name), "-m", "granian", *address, *limits, "attacked_wsgi:app"]
    return Server(granian, ["--ssl-certificate", certificate, "--ssl-keyfile", key], [])


def _check(server: Server) -> None:
    """Hold that the attacks meet what they are meant for: a path that fails at once would look unharmed."""
    with start(server, os.sched_getaffinity(0), False, False) as running:
        for path, expected in (("/body", "3 octets"), ("/form", "1 fields"), ("/", "Hello from Effe")):
            connection = HTTPConnection("127.0.0.1", running.port, timeout=5)
            connection.request("POST", path, "a=1", {"Content-Type": "application/x-www-form-urlencoded"})
            if (text := connection.getresponse().read().decode().strip()) != expected:
                raise SystemExit(f"{server.command[0]} answers {text!r} to {path}")
            connection.close()
        if (octets := len(running.ask("/large"))) < 8_000_000:
            raise SystemExit(f"{server.command[0]} answers {octets} octets to /large")


def start(server: Server, cpus: set[int], limited: bool, tls: bool) -> peers.Running:
    """Start a server: `limited` to so few open files, else to so many connections."""
    command = [*server.command, *(server.tls if tls else []), *([] if limited else server.house)]
    return peers.Running(command, cpus, APPS, FILES if limited else 0, tls)
