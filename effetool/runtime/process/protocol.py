"""What a worker and its parent say to one another, and how a worker is told what it was started with.

The parent runs the same file again with EFFE_WORKER in its environment: the worker's number, the descriptors of the
listening sockets (a group for each number) and that of a socket to the parent. On that socket each side sends lines:

- the worker: `serving` and `ready`, once each, and a line of JSON (`status`) for each STATUS;
- the parent: `status`, `help N` (accept for worker N, which is dead) and `leave N` (it is back).

When the parent is gone the socket ends, and so does the worker, gracefully.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

VARIABLE = "EFFE_WORKER"

SERVING, READY = b"serving", b"ready"
STATUS, HELP, LEAVE = b"status", b"help", b"leave"


def environment(number: int, sockets: list[list[socket.socket]], control: socket.socket) -> str:
    """Write the value of EFFE_WORKER."""
    each = "/".join(",".join(str(listener.fileno()) for listener in listeners) for listeners in sockets)
    return f"{number}:{each}:{control.fileno()}"


def descriptors(value: str) -> tuple[int, list[list[int]], int]:
    """Read the value of EFFE_WORKER: number, descriptors of the listeners, that of the control socket. ValueError."""
    number, groups, control = value.split(":")
    each = [[int(one) for one in group.split(",")] for group in groups.split("/")]
    if not 0 <= int(number) < len(each):
        raise ValueError("a number without sockets")
    return int(number), each, int(control)
