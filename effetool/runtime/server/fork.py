"""What becomes of a fork of the process that an author's code makes (os.fork, multiprocessing's `fork`).

Only the thread that forked lives on in the child. It has the author's work to do and nothing to answer: the parent does
that. So the child closes its copies of the server's sockets, which would keep the port and the clients waiting; a
signal to it is its own, and not written into the pipe that the parent reads; and a child that returns from `run` ends
there instead of answering once more and serving beside its parent.
"""

from __future__ import annotations

import os
import signal
import threading

from ..signals import HEARD, noted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .core import Core

# The servers that serve in this process: one, but in tests.
serving: list[Core] = []


def _before() -> None:
    if serving:  # one that comes before the child's handlers are its own would still be written into that pipe
        _masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)


def _parent() -> None:
    mask = _masks.pop(threading.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _child() -> None:
    if serving:
        signal.set_wakeup_fd(-1)
        for number in HEARD:
            if signal.getsignal(number) is noted:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for server in serving:
        server.forked = True
        server.leader.slot.clear()  # so that its owner looks (Runner.demoted)
        for fd in list(server.sources):
            try:
                os.close(fd)
            except OSError:
                pass
    _parent()


# By thread: two may fork at once.
_masks: dict[int, set[int | signal.Signals]] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_parent, after_in_child=_child)
