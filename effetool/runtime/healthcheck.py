"""Ask a running effe: whether it is well (`-healthcheck`), or to do its work (`-call`), where there is no curl."""

from __future__ import annotations

import socket

from .flags import NEVER

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
    where = settings.admin or _where(settings)
    try:
        if settings.admin:
            host, _, port = settings.admin.rpartition(":")
            status = _status(_connect(host.strip("[]"), int(port)), "/ready")
            return None if status == 200 else f"/ready answers {status}"
        status = _status(_main(settings), "/")
        return None if status < 500 else f"/ answers {status}"
    except (OSError, ValueError) as error:
        return f"{where}: {error}"


def call(settings: Settings) -> str | None:
    """Send `POST /` to the effe at `-host` and `-port`, what a schedule does; return None if it answers below 400.

    It waits as long as that effe lets a run take (its `-timeout` is taken to be this one's), and a little more.
    """
    try:
        channel = _main(settings)
        channel.settimeout(None if settings.timeout >= NEVER else settings.timeout + _PATIENCE)
        status = _status(channel, "/", "POST", "schedule", "Content-Length: 0\r\n")
        return None if status < 400 else f"POST / answers {status}"
    except (OSError, ValueError) as error:
        return f"{_where(settings)}: {error}"


def _where(settings: Settings) -> str:
    return settings.unix or f"{settings.host or 'localhost'}:{settings.port}"


def _main(settings: Settings) -> socket.socket:
    """Connect to the main port."""
    channel = _connect_unix(settings.unix) if settings.unix else _connect(settings.host or "", settings.port)
    if settings.cert:
        import ssl

        # It is this machine's own effe: its certificate names another host.
        channel = ssl._create_unverified_context().wrap_socket(channel)  # noqa: S323
    return channel


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


def _status(
    channel: socket.socket, path: str, method: str = "GET", agent: str = "healthcheck", fields: str = ""
) -> int:
    with channel:
        channel.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {agent}\r\n"
            f"{fields}Connection: close\r\n\r\n".encode()
        )
        with channel.makefile("rb") as answer:
            line = answer.readline(1000)
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ValueError("no HTTP answer")
    return int(rest[:3])
