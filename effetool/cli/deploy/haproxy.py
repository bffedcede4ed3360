"""`effe-tool deploy haproxy`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import Console
from ..options import command
from .options import Paths

if TYPE_CHECKING:
    from ...deploy.servers import Server


@command
def haproxy(
    console: Console,
    paths: Paths = None,
    instances: Annotated[int, typer.Option("--instances", "-n", min=1, help="Instances of each effe.")] = 1,
    port: Annotated[
        int,
        typer.Option("--port", "-p", min=1, max=65535, help="The first instance's port; each next one has one more."),
    ] = 8101,
    server: Annotated[
        list[str] | None,
        typer.Option(
            "--server", help="An instance by hand, NAME=HOST:PORT/ADMINPORT; may be repeated.", show_default=False
        ),
    ] = None,
    bind: Annotated[str, typer.Option("--bind", help="Where HAProxy listens.")] = "*:8080",
    cert: Annotated[
        Path | None,
        typer.Option("--cert", help="Speak HTTPS: a PEM file with certificate and key.", show_default=False),
    ] = None,
    stats: Annotated[
        str | None,
        typer.Option("--stats", help="Where its statistics page is, such as 127.0.0.1:8404.", show_default=False),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="The user HAProxy becomes when root starts it.", show_default=False)
    ] = None,
    socket: Annotated[
        str | None,
        typer.Option("--socket", help="Its runtime API. [default: /run/haproxy/admin.sock]", show_default=False),
    ] = None,
    dirout: Annotated[
        Path | None,
        typer.Option("--dirout", help="Write haproxy.cfg and its maps to this directory.", show_default=False),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime", help="Add, drain and remove servers of the HAProxy at this socket.", show_default=False
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds for servers to be ready, and to finish, with --runtime.")
    ] = 60,
) -> None:
    """Print the configuration of an HAProxy in front."""
    from ...deploy import find_effes
    from ...deploy.haproxy import SOCKET, Front, configuration
    from ...deploy.servers import count_servers, read_servers

    effes = find_effes(paths or [])
    servers = count_servers(effes, instances, port, read_servers(server or []))
    front = Front(bind, cert, socket or runtime or SOCKET, stats, user)
    files = configuration(effes, servers, front, maps=dirout is not None)
    document: dict[str, object] = {}
    if dirout is not None:
        document["files"] = _write(dirout, files, console)
    if runtime is not None:
        document["changes"] = _match(runtime, servers, wait, console)
    if not document:
        (text,) = files.values()
        document["configuration"] = text
        console.result(text.rstrip("\n"))
    console.document(document)


def _write(dirout: Path, files: Mapping[str, str], console: Console) -> list[str]:
    from ...deploy.haproxy import CONFIGURATION
    from ...templating.writing import write_all

    paths = [str(path) for path in write_all(dirout, files)]
    for path in paths:
        console.write(f"wrote {path}")
    path = str(dirout / CONFIGURATION)
    console.result(path)
    return paths


def _match(runtime: str, servers: Mapping[str, Sequence[Server]], wait: float, console: Console) -> list[object]:
    from ...deploy.haproxy_runtime import Change, Runtime, match_servers

    began = time.perf_counter()

    def told(change: Change) -> None:
        console.result(f"{change.verb} {change.server} {change.address}")

    changes = match_servers(Runtime(runtime), servers, wait, told)
    count = f"{len(changes)} change{'s' * (len(changes) != 1)} in {time.perf_counter() - began:.1f} s"
    console.write(count if changes else "it has these servers already")
    return [{"verb": change.verb, "server": change.server, "address": change.address} for change in changes]
