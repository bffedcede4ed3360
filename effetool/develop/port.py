"""Take a port for `dev`, or say who has it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from ..errors import ServeError

__all__ = ["DEFAULT", "listen", "owner"]

DEFAULT = 8080
# How many ports after the default are tried when the user asked for none.
TRIED = 100
BACKLOG = 2048


def listen(host: str, port: int | None) -> socket.socket:
    """Return a listening socket on `host`.

    Args:
        host: an address.
        port: the one asked for (0: any free one); None: 8080, or the next one that is free.

    Raises:
        ServeError: E301 when the port that was asked for is taken, with its owner, or may not be used.
    """
    if port is not None:
        try:
            return _bind(host, port)
        except OSError as error:
            raise _refused(host, port, error) from None
    for candidate in range(DEFAULT, DEFAULT + TRIED):
        try:
            return _bind(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _refused(host, candidate, error) from None
    return listen(host, 0)


def _bind(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what it accepts inherits it
        sock.bind((host, port))
        # With SO_REUSEADDR a port can be bound beside a listener on another address; what counts is who answers.
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _refused(host: str, port: int, error: OSError) -> ServeError:
    if error.errno == errno.EADDRINUSE:
        who = owner(port)
        return ServeError(
            f"port {port} is taken" + (f" by {who}" if who else ""),
            code="E301",
            fix="leave -port out: the next free one is taken and named; or -port 0" + _kill(who),
        )
    if error.errno == errno.EACCES:
        return ServeError(f"port {port} may not be used: {error.strerror}", code="E301", fix="take one above 1023")
    return ServeError(f"cannot listen on {host}:{port}: {error.strerror}", code="E301", fix="check -host and -port")


def _kill(who: str | None) -> str:
    match = re.search(r"process (\d+)", who or "")
    return f"; or kill {match[1]}" if match else ""


def owner(port: int) -> str | None:
    """Say which process listens on a port, in words: `python3 app.py, process 4711`; None where nobody can say."""
    if Path("/proc/net/tcp").exists():
        return _owner_in_proc(port)
    lsof = shutil.which("lsof")
    if lsof is None:
        return None
    done = subprocess.run(
        [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"], capture_output=True, text=True, check=False
    )
    found = {line[0]: line[1:] for line in done.stdout.splitlines() if line}
    return f"{found['c']}, process {found['p']}" if {"c", "p"} <= set(found) else None


def _owner_in_proc(port: int) -> str | None:
    """Read /proc: the inode of the listening socket, then whose descriptor it is (proc(5), /proc/net/tcp)."""
    wanted = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                wanted.add(f"socket:[{fields[9]}]")
    if not wanted:
        return None
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for descriptor in os.listdir(process / "fd"):  # noqa: PTH208
                if os.readlink(process / "fd" / descriptor) in wanted:  # noqa: PTH115 - a link to no path
                    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                    return f"{' '.join(words).strip()[:80]}, process {process.name}"
        except OSError:
            continue  # another user's, or gone
    return None
