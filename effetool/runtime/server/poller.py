"""Which sockets are ready: epoll where there is one, `selectors` elsewhere, with one interface.

Both are level-triggered: what a leader has not handled is reported again to the next one.
"""

from __future__ import annotations

import select
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ = 1  # EPOLLIN
WRITE = 4  # EPOLLOUT


class Epoll:
    """Linux. The kernel keeps the set: any thread may change it while another one waits."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._epoll = select.epoll()
        self.poll: Callable[[float, int], list[tuple[int, int]]] = self._epoll.poll
        self.register: Callable[[int, int], None] = self._epoll.register
        self.modify: Callable[[int, int], None] = self._epoll.modify
        self.unregister: Callable[[int], None] = self._epoll.unregister
        self.close: Callable[[], None] = self._epoll.close


class Selector:
    """macOS, BSD and others. Only the leader touches the selector; other threads leave their change and wake it."""

    def __init__(self, wake: Callable[[], None]) -> None:
        import selectors

        self._selector = selectors.DefaultSelector()
        # deque's append and popleft are atomic, with and without the GIL.
        self._changes: deque[tuple[int, int]] = deque()
        self._wake = wake

    def register(self, fd: int, mask: int) -> None:
        """Report this descriptor from now on."""
        self._changes.append((fd, mask))
        self._wake()

    modify = register

    def unregister(self, fd: int) -> None:
        """Do not report it any more. Until the leader has seen this it may still be: callers expect it."""
        self._changes.append((fd, 0))
        self._wake()

    def poll(self, timeout: float, maximum: int) -> list[tuple[int, int]]:
        """Return (descriptor, mask) for those that are ready; -1 waits for ever."""
        known = self._selector.get_map()
        while self._changes:
            fd, mask = self._changes.popleft()
            try:
                if fd in known:
                    self._selector.unregister(fd)
                if mask:
                    self._selector.register(fd, (1 if mask & READ else 0) | (2 if mask & WRITE else 0))
            except (ValueError, KeyError, OSError):
                pass  # closed meanwhile: a later change of the same number is of the next descriptor
        ready = self._selector.select(None if timeout < 0 else timeout)
        return [(key.fd, READ | WRITE if events == 3 else READ if events == 1 else WRITE) for key, events in ready]

    def close(self) -> None:
        """Give the selector back."""
        self._selector.close()


def poller(wake: Callable[[], None]) -> Epoll | Selector:
    """Make an Epoll, or a Selector where the system has no epoll; `wake` interrupts a wait."""
    return Epoll(wake) if hasattr(select, "epoll") else Selector(wake)
