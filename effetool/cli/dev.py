"""`effe-tool dev`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Console, plain, time_text
from .options import EnvFile, Source, command

if TYPE_CHECKING:
    from ..develop.event import Event


@command
def dev(
    console: Console,
    path: Source = None,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", "-port", min=0, max=65535, help="[default: 8080, or the next free one]"),
    ] = None,
    host: Annotated[str, typer.Option("--host", "-host", help="The address to listen on.")] = "127.0.0.1",
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    env_file: EnvFile = None,
    debugpy: Annotated[
        int | None,
        typer.Option("--debugpy", min=1, max=65535, help="The port an editor's debugger attaches to."),
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", help="Save each request into this directory.", show_default=False)
    ] = None,
) -> None:
    """Serve an effe while you write it: each save is served at once."""
    from ..builder.environment import environment_of
    from ..develop.envfile import read_env_file
    from ..develop.loop import Loop, LoopOptions
    from ..develop.port import listen
    from ..effe.project import Project, find_one
    from ..errors import UsageError

    found = find_one(path)
    if env_file is not None:
        read_env_file(env_file)
    if record is not None and record.exists() and not record.is_dir():
        raise UsageError(f"{record} is not a directory", code="E001", fix="--record events")
    sock = listen(host, port)
    number = sock.getsockname()[1]
    shown = f"[{host}]" if ":" in host else "localhost" if host in ("0.0.0.0", "127.0.0.1") else host  # noqa: S104
    url = f"http://{shown}:{number}"
    if port is None and number != 8080:
        console.write(f"port 8080 is taken, so this is {number}")
    extra = []
    if debugpy is not None:
        listen("127.0.0.1", debugpy).close()  # report a taken port now, with its owner, instead of once a child
        extra = ["debugpy"]

    def python(project: Project) -> str:
        return environment_of(project, console.write, extra).python

    teller = Teller(console, url, found, open_=open_, debugpy=debugpy)
    loop = Loop(
        lambda: Project(found.root, found.logic, found.single),
        python,
        [sock],
        LoopOptions(env_file, debugpy, record, lines=not console.quiet, colour=console.colour),
        teller,
    )
    ended: list[int] = []

    def end(number: int, frame: object) -> None:
        ended.append(number)
        loop.stop()

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, end)
    loop.run()
    console.write("stopped")
    if signal.SIGINT in ended:
        raise typer.Exit(130)


class Teller:
    """Say what the loop says."""

    def __init__(self, console: Console, url: str, project: object, *, open_: bool, debugpy: int | None) -> None:
        self._console = console
        self._url = url
        self._path = getattr(project, "path", "")
        self._open = open_
        self._debugpy = debugpy

    def __call__(self, event: Event) -> None:
        console = self._console
        files = ", ".join(sorted({os.path.basename(file) for file in event.files}))  # noqa: PTH119
        if event.kind == "ready":
            console.document({"url": self._url, "pid": os.getpid()})
            attach = f", debugger on port {self._debugpy}" if self._debugpy else ""
            console.write(
                f"{console.styled('ready', 'green')}  {console.styled(self._url, 'bold')}  "
                f"{plain(str(self._path))} in {time_text(event.seconds)}{attach}, Ctrl-C ends it"
            )
            if self._open:
                import webbrowser

                threading.Thread(target=webbrowser.open, args=(self._url,), daemon=True).start()
        elif event.kind == "reloaded":
            console.write(f"{console.styled('reloaded', 'green')}  {plain(files)} in {time_text(event.seconds)}")
        elif event.kind in ("broken", "fault") and event.error is not None:
            if console.json:
                print(f"{event.error.code}: {plain(event.error.message)}", file=sys.stderr)
            else:
                console.error(event.error)
            if event.kind == "broken":
                console.write("every request is answered with this as HTTP 500, until the next good save")
        elif event.kind == "warning" and event.error is not None:
            if console.json:
                print(f"{event.error.code}: {plain(event.error.message)}", file=sys.stderr)
            console.warning(event.error)
        elif event.kind == "held":
            console.write("saved; served once the debugger is done")
        else:
            console.write(plain(event.text))
