"""What the poll reports: a client's connection, a listening socket, the waker. All that the leader asks of each."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Source:
    """A descriptor in the poll. Every method is the leader's; `runner` is the leading thread's Runner."""

    fd: int
    deadline: float  # monotonic seconds: when `expire` is called; inf: never
    is_client = False  # it is a Lifecycle, the connection of a client

    def handle(self, runner: Any) -> None:
        """Do what the descriptor is ready for."""
        raise NotImplementedError

    def expire(self, runner: Any) -> None:
        """Act on the deadline, which has passed."""

    def fail(self, runner: Any) -> None:
        """Go on, or end, after an error of the server's own in one of the others (no memory, most likely)."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave the poll, and close the descriptor if it is its own."""
        raise NotImplementedError

    def last_call(self, now: float) -> None:
        """Set a near deadline if nobody is to be answered here: the server drains. `now` is monotonic seconds."""

    def abandon(self) -> None:
        """End at once, whatever is under way: the server ends. From the thread in `Server.serve`."""
