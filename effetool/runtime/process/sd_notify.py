"""Tell the service manager how the service is: systemd's sd_notify(3) protocol, a datagram to $NOTIFY_SOCKET."""

from __future__ import annotations

import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def notify(environ: Mapping[str, str], state: str) -> bool:
    """Send `READY=1`, `STOPPING=1` or `RELOADING=1`; False where nobody listens.

    Never raises: a service that works must not end because its manager went away.
    """
    path = environ.get("NOTIFY_SOCKET", "")
    if path[:1] not in ("/", "@"):
        return False
    if state == "RELOADING=1":
        # Type=notify-reload wants to know that READY=1 comes after this moment, not before it.
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + path[1:] if path[0] == "@" else path)
            channel.settimeout(1)
            channel.send(state.encode())
    except OSError:
        return False
    return True
