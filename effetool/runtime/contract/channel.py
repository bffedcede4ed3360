"""What requests and responses know of the connection and of an async run's sender. Types only: never imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Any

    from ..http.head import Clock


class Service(Protocol):
    """The server behind a channel."""

    clock: Clock


class Channel(Protocol):
    """The connection of a request. Its methods are for the thread of the run, and take the request itself."""

    deadline: float  # monotonic seconds: when the server answers 504 in the place of a run that has not begun to

    @property
    def closing(self) -> bool:
        """Whether the connection ends after this response."""

    @property
    def server(self) -> Service:
        """The server, for the heads of its responses."""

    def close_after(self) -> None:
        """End the connection after this response."""

    def lose(self) -> None:
        """Take the connection for lost: its response cannot be completed."""

    def claim(self, request: Any) -> None:
        """Claim the response's first byte for the run. Raises Disconnected when a 504 has been sent instead."""

    def transmit(self, data: bytes) -> None:
        """Send it all; wait while the client makes progress. Raises Disconnected."""

    def receive(self, request: Any) -> None:
        """Wait for more of the request's body. Raises HTTPError and Disconnected."""

    def peer(self) -> tuple[str, int]:
        """Return the client's address and port."""


class Sink(Protocol):
    """Takes what an async run writes, and sends it from another thread."""

    def take(self, data: bytes) -> bool:
        """Take a piece to send; False once the run has ended. Raises ConnectionError where the client has gone."""

    def drained(self) -> Any:
        """Return an awaitable that is done when everything is sent."""
