"""Serve an effe while it is written: the parent keeps the port and the watch, each save gets a child of its own.

A save: the new child, started ahead of time, loads and warms up while the old one serves; once it is ready the old one
drains. Both accept on the one listening socket, so no request is refused, and none is lost. A save that cannot be
loaded is served by its error. The next child is started when the machine is quiet again.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..effe.project import Project
from ..errors import EffeToolError
from .envfile import read_env_file
from .event import Event, error_of, fault_from
from .interpreter_finder import Finding
from .process import Process
from .watch import INTERVAL, Watch

__all__ = ["Loop", "LoopOptions"]

# Seconds until a child that was told to end is ended.
GRACE = 10.0
# Seconds that are waited at once for an interpreter: almost always it is there, and a save is served without a turn.
AT_ONCE = 0.2
# Seconds after which a save that is not served yet is spoken of; each time four times later.
SLOW = 3.0


@dataclass(frozen=True)
class LoopOptions:
    """How `dev` serves.

    Attributes:
        env_file: read again for each child; what the environment has wins.
        debugpy: the port a debugger attaches to, None for none.
        record: the directory that gets each request as a `.http` file.
        lines: one line on stderr for each request.
        colour: in colour.
    """

    env_file: Path | None = None
    debugpy: int | None = None
    record: Path | None = None
    lines: bool = True
    colour: bool = False


class Loop:
    """The loop of one effe.

    Args:
        open_project: finds the effe anew: its source is read for each save.
        python: gives the interpreter that has what the effe declares; raises DependencyError.
        listeners: the bound and listening sockets.
        options: see LoopOptions.
        say: told what happens.
    """

    def __init__(
        self,
        open_project: Callable[[], Project],
        python: Callable[[Project], str],
        listeners: list[socket.socket],
        options: LoopOptions,
        say: Callable[[Event], None],
    ) -> None:
        self._open = open_project
        self._python = python
        self._listeners = listeners
        self._options = options
        self._say = say
        self._watch = Watch()
        self._selector = selectors.DefaultSelector()
        self._serving: Process | None = None
        self._coming: Process | None = None
        self._spare: Process | None = None
        self._leaving: list[Process] = []
        self._interpreter: str | None = None
        self._waiting: tuple[str, ...] | None = None  # files of a save that a debugger holds up
        self._changed: tuple[str, ...] = ()
        self._finding: Finding | None = None  # the interpreter of the save that comes
        self._overtaken: list[Finding] = []
        self._slow = 0.0
        self._warned: str | None = None
        self._answered = False
        self._last: str | None = None
        self._stop = False
        self._began = 0.0
        self._news: dict[str, Any] | None = None  # what a new child said, while the old one still accepts

    def stop(self) -> None:
        """End the loop at its next turn; may be called from a signal handler."""
        self._stop = True

    def run(self) -> None:
        """Serve until `stop`; then drain and return."""
        with _terminal():
            try:
                self._begin()
                while not self._stop:
                    self._turn()
            finally:
                self._end()

    def _turn(self) -> None:
        for key, _ in self._selector.select(INTERVAL):
            process: Process = key.data
            events = process.events()
            if events is None:
                self._selector.unregister(process.channel)
                self._ended(process)
                continue
            for event in events:
                self._hear(process, event)
        changed = self._watch.look()
        if changed:
            self._saved(tuple(changed))
        if self._finding is not None and not self._finding.is_alive():
            self._found(self._finding)
        self._tell_slow()

    def _saved(self, changed: tuple[str, ...]) -> None:
        holder = next((p for p in (self._serving, self._coming) if p is not None and p.held), None)
        if holder is not None:
            if self._waiting is None:
                self._say(Event("held"))
            self._waiting = (*(self._waiting or ()), *changed)
        else:
            self._changed = changed
            self._begin()

    def _begin(self) -> None:
        """Start the child of what is on disk now; one that still loads, or waits for what it declares, is overtaken."""
        self._began = time.monotonic()
        self._slow = SLOW
        if self._finding is not None:
            self._overtaken.append(self._finding)
            self._finding = None
        self._drop_coming()
        project = self._open()
        self._watch.add(self._base(project))
        environ = dict(os.environ)
        try:
            if self._options.env_file is not None:
                environ = {**read_env_file(self._options.env_file), **environ}
            _ = project.contract, project.conventions
        except EffeToolError as error:
            self._load(project, environ, fault_from(error))
            return
        self._warn(project.info.problem)
        self._finding = Finding(self._python, project, environ)
        self._finding.join(AT_ONCE)
        if not self._finding.is_alive():
            self._found(self._finding)

    def _warn(self, problem: EffeToolError | None) -> None:
        """Say once what does not keep it from being served."""
        text = None if problem is None else problem.message
        if problem is not None and text != self._warned:
            self._say(Event("warning", error=problem))
        self._warned = text

    def _found(self, finding: Finding) -> None:
        self._finding = None
        if isinstance(finding.error, EffeToolError):
            self._load(finding.project, finding.environ, fault_from(finding.error))
            return
        if finding.error is not None:
            raise finding.error
        self._interpreter = finding.python
        self._load(finding.project, finding.environ, None)

    def _tell_slow(self) -> None:
        """Say what a save waits for, and have a child at hand for the next one."""
        waits = self._finding is not None or (self._coming is not None and not self._coming.held)
        if not waits or time.monotonic() - self._began < self._slow:
            return
        self._slow *= 4
        what = "installing what is declared in" if self._finding is not None else "loading"
        name = self._open().logic.name
        meanwhile = "the version before is served" if self._serving is not None else "requests wait"
        text = f"still {what} {name}, {time.monotonic() - self._began:.0f} s: {meanwhile}; a save starts anew"
        self._say(Event("note", text=text))
        if self._coming is not None and self._spare is None and not self._options.debugpy:
            self._spare = self._start(self._coming.python)

    def _load(self, project: Project, environ: dict[str, str], fault: dict[str, Any] | None) -> None:
        """Give a child what it is to load, or the error it is to serve."""
        self._drop_coming()  # the child that tells of a crash meanwhile
        # Broken before its dependencies were known: any Python can say so.
        interpreter = self._interpreter or sys.executable
        if self._options.debugpy and self._serving is not None:
            # The debugger's port has room for one: here, and only here, requests wait in the socket's queue.
            self._selector.unregister(self._serving.channel)
            self._serving.drain()
            self._serving.wait(GRACE)
            self._serving = None
        self._coming = self._take(interpreter)
        self._coming.give(self._task(project, environ, fault))

    def _task(self, project: Project, environ: dict[str, str], fault: dict[str, Any] | None) -> dict[str, Any]:
        options = self._options
        return {
            "logic": str(project.logic),
            "module": project.module,
            "root": str(project.root.absolute()),
            "environ": environ,
            "needs": {} if fault else dict(project.info.data),
            "lines": options.lines,
            "colour": options.colour,
            "record": str(options.record.absolute()) if options.record else None,
            "debugpy": options.debugpy,
            "fault": fault,
        }

    def _base(self, project: Project) -> list[str]:
        files = [str(project.logic.absolute())]
        if self._options.env_file is not None:
            files.append(str(self._options.env_file.absolute()))
        return files

    def _take(self, interpreter: str) -> Process:
        """Return a child without a task: the spare one, or one that is started now."""
        spare, self._spare = self._spare, None
        if spare is not None and spare.popen.poll() is None and spare.python == interpreter:
            return spare
        if spare is not None:
            self._drop(spare)
        return self._start(interpreter)

    def _start(self, interpreter: str) -> Process:
        process = Process(interpreter, self._listeners)
        self._selector.register(process.channel, selectors.EVENT_READ, process)
        return process

    def _hear(self, process: Process, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "files":
            if process in (self._serving, self._coming):
                self._watch.add(event["files"])
        elif kind in ("ready", "broken"):
            self._swap(process, event)
        elif kind == "draining":
            self._tell_news()
        elif kind == "held":
            process.held = True
        elif kind == "released":
            process.held = False
            if self._waiting is not None:
                changed, self._waiting = self._waiting, None
                self._saved(changed)
        elif kind == "fault":
            error = error_of(event["fault"])
            text = f"{error.place}: {error.message}"
            if text == self._last:
                self._say(Event("note", text=f"error[{error.code}] again: {text}"))
            else:
                self._say(Event("fault", error=error))
            self._last = text
        else:
            self._say(Event("note", text=event["text"]))

    def _swap(self, process: Process, event: dict[str, Any]) -> None:
        """Let the new child serve alone."""
        process.ready = True
        old, self._serving = self._serving, process
        if self._coming is process:
            self._coming = None
        if old is not None:
            self._retire(old)
        self._last = None
        self._news = event
        if old is None:
            self._tell_news()

    def _tell_news(self) -> None:
        """Say what the new child is, once the old one accepts no more: the next request is the new one's."""
        event, self._news = self._news, None
        if event is None:
            return
        files = tuple(self._changed)
        if event["event"] == "broken":
            self._say(
                Event("broken", seconds=time.monotonic() - self._began, error=error_of(event["fault"]), files=files)
            )
        if not self._answered or event["event"] == "ready":
            kind = "reloaded" if self._answered else "ready"
            self._say(Event(kind, seconds=time.monotonic() - self._began, files=files))
        self._answered = True
        if not self._options.debugpy and self._spare is None and self._serving is not None:
            self._spare = self._start(self._serving.python)

    def _ended(self, process: Process) -> None:
        """Handle the end of a child. When it was not stopped by this process, serve its end as an error."""
        if process in self._leaving:
            self._leaving.remove(process)
            process.wait(GRACE)
            self._tell_news()
            return
        if process is self._spare:
            self._spare = None
            process.wait(GRACE)
            return
        fate = process.fate()
        process.channel.close()
        while_ = "while it was loaded" if not process.ready else "while it served"
        if process is self._coming:
            self._coming = None
        if process is self._serving:
            self._serving = None
        task = dict(process.task or {})
        message = f"the effe's process ended {while_}: {fate}"
        task["fault"] = {
            "code": "E309", "message": message, "file": None, "line": None, "column": None, "text": None,
            "fix": "something called os._exit, or crashed in C; save a file to start it again",
        }  # fmt: skip
        if self._coming is None:
            self._coming = self._take(process.python)
            self._coming.give(task)

    def _retire(self, process: Process) -> None:
        process.drain()
        self._leaving.append(process)

    def _drop_coming(self) -> None:
        if self._coming is not None:
            self._drop(self._coming)
            self._coming = None

    def _drop(self, process: Process) -> None:
        """End a child that nobody has seen."""
        self._selector.unregister(process.channel)
        process.kill()

    def _end(self) -> None:
        for sock in self._listeners:
            sock.close()
        for process in (self._coming, self._spare):
            if process is not None:
                self._drop(process)
        if self._serving is not None:
            if self._serving.held:
                self._drop(self._serving)  # it sits in a debugger: Ctrl-C was meant
            else:
                self._retire(self._serving)
        until = time.monotonic() + GRACE
        for process in self._leaving:
            process.wait(max(0.0, until - time.monotonic()))
        for finding in (*self._overtaken, *filter(None, [self._finding])):  # an installation takes away what it began
            finding.join(max(0.0, until - time.monotonic()))
        self._selector.close()


@contextmanager
def _terminal() -> Iterator[None]:
    """Give the terminal back as it was: a debugger that is ended at its prompt leaves it without echo."""
    try:
        import termios

        before = termios.tcgetattr(0)
    except Exception:  # no such module; no terminal
        before = None
    try:
        yield
    finally:
        if before is not None:
            ignored = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            try:
                termios.tcsetattr(0, termios.TCSADRAIN, before)
            except termios.error:
                pass
            signal.signal(signal.SIGTTOU, ignored)
