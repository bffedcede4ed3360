"""Ask a running effe whether it is well: what `-healthcheck` does, for containers that have no curl."""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .flags import Settings

# A probe that waits longer than this says the same as a refusal (Docker's own limit is 30 s, Kubernetes' 1
# s).
_PATIENCE = 5.0


def check(settings: Settings) -> str | None:
    """Return None if the effe that runs with these settings is ready, else what is wrong, in a few words.

    With `-admin` it asks /ready there. Without, it asks the main port for `/`, and any answer below 500 is
    well: the author's `run` is called, because every path of that port is the author's.
    """
    try:
        if settings.admin:
            host, _, port = settings.admin.rpartition(":")
            status = _status(_connect(host.strip("[]"), int(port)), "/ready")
            return None if status == 200 else f"/ready answers {status}"
        channel = _connect_unix(settings.unix) if settings.unix else _connect(settings.host or "", settings.port)
        if settings.cert:
            import ssl

            # It is this machine's own effe: its certificate names another host.
            channel = ssl._create_unverified_context().wrap_socket(channel)  # noqa: S323
        status = _status(channel, "/")
        return None if status < 500 else f"/ answers {status}"
    except (OSError, ValueError) as error:
        return str(error)


def _connect(host: str, port: int) -> socket.socket:
    """Connect to where an effe with this -host or -admin can be reached from the same machine."""
    everywhere = host in ("", "0.0.0.0", "::")  # noqa: S104
    return socket.create_connection(("localhost" if everywhere else host, port), _PATIENCE)


def _connect_unix(path: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.settimeout(_PATIENCE)
        channel.connect(path)
    except OSError:
        channel.close()
        raise
    return channel


def _status(channel: socket.socket, path: str) -> int:
    with channel:
        channel.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: healthcheck\r\nConnection: close\r\n\r\n".encode()
        )
        with channel.makefile("rb") as answer:
            line = answer.readline(1000)
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ValueError("no HTTP answer")
    return int(rest[:3])
