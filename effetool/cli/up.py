"""`effe-tool up`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Console, plain
from .options import command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..deploy import Effe
    from ..up import Event

# The colours of the names, in turn.
COLOURS = ("cyan", "yellow", "magenta", "green", "blue")


@command
def up(
    console: Console,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Effes, .pex files, or directories of either; none: those here.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", "-port", min=0, max=65535, help="[default: 8080, or the next free one]"),
    ] = None,
    host: Annotated[str, typer.Option("--host", "-host", help="The address to listen on.")] = "127.0.0.1",
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would run, and where.")] = False,
) -> None:
    """Run every effe of a directory behind one port."""
    from ..deploy import find_effes
    from ..deploy.routing import routing_table
    from ..develop.port import listen
    from ..up import NotBuilt, check_machines, find_haproxy
    from ..up import up as run

    try:
        effes = find_effes(paths or [])
        routing_table(effes)
        check_machines(effes)
        program = find_haproxy()
        if dry_run:
            _show(effes, program, host, 8080 if port is None else port, console)
            return
        sock = listen(host, port)
        number = sock.getsockname()[1]
        if port is None and number != 8080:
            console.write(f"port 8080 is taken, so this is {number}")
        ended = run(paths or [], sock, Teller(console, effes, _url(host, number)), access_log=console.verbose)
    except NotBuilt as error:
        for effe, wrong in error.errors:
            console.error(wrong, about=str(effe.path))
        raise typer.Exit(1) from None
    if ended == signal.SIGINT:
        raise typer.Exit(130)


def _url(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else "localhost" if host in ("0.0.0.0", "127.0.0.1") else host  # noqa: S104
    return f"http://{shown}:{port}"


def _places(effe: Effe, url: str) -> list[str]:
    """Return where an effe answers: an URL, or host and path where it has hosts of its own."""
    said = effe.conventions
    return [f"{host or url}{path}" for host in said.hosts or ("",) for path in said.routes]


def _show(effes: Sequence[Effe], program: str, host: str, port: int, console: Console) -> None:
    url = _url(host, port)
    console.document(
        {
            "haproxy": program,
            "url": url,
            "effes": [
                {"name": effe.name, "version": effe.version, "path": str(effe.path), "places": _places(effe, url)}
                for effe in effes
            ],
        }
    )
    width = max(len(effe.name) for effe in effes)
    for effe in effes:
        console.result(plain(f"{effe.name:<{width}}  {effe.version}  {' '.join(_places(effe, url))}  {effe.path}"))
    console.write(f"behind {program} at {url}")


class Teller:
    """Say what happens, each line with the name of who says it."""

    def __init__(self, console: Console, effes: Sequence[Effe], url: str) -> None:
        self._console = console
        self._effes = effes
        self._url = url
        self._width = max(len("haproxy"), *(len(effe.name) for effe in effes))
        self._colours: dict[str, str] = {"haproxy": "dim"}

    def __call__(self, event: Event) -> None:
        console = self._console
        if event.error is not None and console.json:  # stdout holds one document
            print(f"{event.error.code}: {plain(event.error.message)}", file=sys.stderr)
        elif event.error is not None:
            console.error(event.error, about=event.name or None)
        if event.kind == "up":
            console.document(
                {
                    "url": self._url,
                    "pid": os.getpid(),
                    "effes": {effe.name: _places(effe, self._url) for effe in self._effes},
                }
            )
            for effe in self._effes:
                for place in _places(effe, self._url):
                    self._line(effe.name, console.styled(place, "bold"))
            console.write(
                f"{console.styled('ready', 'green')}  {console.styled(self._url, 'bold')}  "
                f"{event.text}, Ctrl-C ends them, SIGHUP to process {os.getpid()} builds again"
            )
        elif event.kind in ("error", "ended") and event.text:
            self._line(event.name, console.styled(plain(event.text), "red"))
        elif event.text:
            self._line(event.name, plain(event.text))
        elif event.kind == "stopped":
            console.write("stopped")

    def _line(self, name: str, text: str) -> None:
        """Write a line, which is plain already, behind a name."""
        if not name:
            self._console.write(text)
            return
        colour = self._colours.setdefault(name, COLOURS[(len(self._colours) - 1) % len(COLOURS)])
        self._console.write(f"{self._console.styled(f'{name:<{self._width}} |', colour)} {text}")
