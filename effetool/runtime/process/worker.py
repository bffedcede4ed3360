"""Serve as one of several workers: as serve.py does, with the sockets of a parent, which it obeys (protocol.py)."""

from __future__ import annotations

import os
import signal
import socket
import threading

from ..signals import HEARD, Ended, Signals
from ..telemetry.log import prepare
from . import protocol
from .lifecycle import attend, failed, leave
from .serve import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..flags import Settings
    from ..info import Info
    from ..server.listener import Listener
    from ..telemetry.log import Log


def work(settings: Settings, known: Info, log: Log) -> int:
    """Serve until the parent ends it, or ends; return the exit code."""
    try:
        number, groups, control = protocol.descriptors(os.environ.pop(protocol.VARIABLE))
        sockets = [[_adopt(descriptor) for descriptor in group] for group in groups]
        parent = _adopt(control)
    except (OSError, ValueError):
        return failed(log, f"{protocol.VARIABLE} is for the parent of -workers to set")
    signals = Signals(*HEARD)
    process = Process(settings, known, log, sockets[number])
    begun = threading.Event()
    obey = (parent, process, begun, sockets)
    threading.Thread(target=_obey, args=obey, name="effe-parent", daemon=True).start()
    try:
        # Only the parent's word counts, here as below.
        code = signals.during(process.prepare, signal.SIGTERM)
    except Ended:
        return leave(0)
    if code:
        return code
    try:
        return leave(signals.apart(lambda: _serve(process, signals, parent, begun)))
    except (RuntimeError, MemoryError) as error:
        return leave(failed(log, "cannot serve", error))


def _serve(process: Process, signals: Signals, parent: socket.socket, begun: threading.Event) -> int:
    """Answer until the parent ends it, drain; return the exit code. Raises RuntimeError: there is no thread left."""
    _say(parent, protocol.SERVING)  # before the first request, which may be the end of it
    thread = process.begin(signals)
    begun.set()
    _say(parent, protocol.READY)
    prepare()
    # A terminal's Ctrl-C and a hang-up go to the whole group: only the parent's SIGTERM is meant for a worker.
    attend(signals, thread, process.server.shutdown, stops=(signal.SIGTERM,))
    _say(parent, _status(process, "stopped"))  # the last counts, for the parent's sums
    return process.ended() if process.server.watchdog.failure else 0


def _adopt(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def _say(parent: socket.socket, words: bytes) -> None:
    try:
        parent.sendall(words + b"\n")
    except OSError:  # it is gone
        pass


def _obey(parent: socket.socket, process: Process, begun: threading.Event, sockets: list[list[socket.socket]]) -> None:
    """Do what the parent says until it is gone.

    Its end is SIGTERM, in an init that has not returned too: until then these sockets take clients that nobody answers.
    """
    parent.setblocking(True)
    helped: dict[int, list[Listener]] = {}
    ready = None
    try:
        with parent.makefile("rb") as lines:
            for line in lines:
                word, _, number = line.rstrip(b"\n").partition(b" ")
                if not begun.is_set():
                    continue
                if word == protocol.HELP and int(number) not in helped:
                    helped[int(number)] = [process.server.listen(each) for each in sockets[int(number)]]
                elif word == protocol.LEAVE:
                    for listener in helped.pop(int(number), ()):
                        listener.close()
                elif word == protocol.STATUS:
                    ready = ready or process.readiness()
                    _say(parent, _status(process, ready()))
    except OSError:
        pass
    except BaseException as error:
        process.log.critical("the thread that hears the parent failed: the worker ends", error)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


def _status(process: Process, wrong: str | None) -> bytes:
    import json  # when first asked: a worker without -admin never is

    status = {"wrong": wrong, "live": process.live() is None, "counts": process.snapshot()}
    return json.dumps(status).encode()
