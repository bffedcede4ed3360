"""HAProxy's configuration from the INFO of many effes.

Every name in it was checked where it came in (info.py, conventions.py, servers.py); what a user gives as a path or an
address is quoted here. Time-outs follow from the defaults of the effes themselves (runtime/flags.py), so that both ends
agree: an effe answers 504 before HAProxy gives up, HAProxy closes an idle connection before the effe does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..runtime.flags import Settings
from ..templating.render import render_template, templates_root
from .effes import Effe
from .routing import by_host, routing_table
from .servers import Server

__all__ = ["CONFIGURATION", "SOCKET", "Front", "configuration"]

CONFIGURATION = "haproxy.cfg"
# Where the packages of Debian, Ubuntu and Fedora make a directory for it.
SOCKET = "/run/haproxy/admin.sock"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# What HAProxy's own words in `bind` and `server` are made of; a name that goes into either has nothing else.
PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=*\[\]-]+")


@dataclass(frozen=True)
class Front:
    """How HAProxy stands in front.

    Attributes:
        bind: the address and port it listens on, `*:8080`, or `fd@N`.
        cert: a PEM file with certificate and key; it speaks HTTPS then.
        socket: its runtime API, None for none.
        stats: the address and port of the statistics page, None for none.
        user: the user and group it becomes, when root starts it.
        log: where it logs to: `stdout`, `stderr` or a socket.
        access_log: whether it logs each request.
    """

    bind: str = "*:8080"
    cert: Path | None = None
    socket: str | None = SOCKET
    stats: str | None = None
    user: str | None = None
    log: str = "stdout"
    access_log: bool = True


def configuration(
    effes: Sequence[Effe], servers: Mapping[str, Sequence[Server]], front: Front, *, maps: bool = False
) -> dict[str, str]:
    """Return HAProxy's configuration as the text of `haproxy.cfg` and, with `maps`, of the maps beside it.

    Without maps the routes are rules inside the one file, tried one by one; with maps each request is looked up in a
    tree, however many effes there are.

    Raises:
        InfoError: E117–E119 when INFO is unfit.
        DeployError: E411 when two effes answer at one place.
        UsageError: E001 when an address or path cannot be written into the file.
    """
    table = routing_table(effes)
    hosts = by_host(table)
    values = {
        "effes": [_backend(effe, servers[effe.name]) for effe in effes],
        "routes": table,
        "maps": "maps/" if maps else "",
        "map_routes": sorted((f"{host or '*'}{row.key}", row.effe.name) for host in hosts for row in hosts[host]),
        "map_hosts": sorted(host for host in hosts if host and not host.startswith("*")),
        "wildcards": sorted((host for host in hosts if host.startswith("*")), key=lambda host: (-len(host), host)),
        "times": _times(),
        "bind": _word("--bind", front.bind),
        "cert": front.cert and _word("--cert", str(front.cert.absolute())),
        "socket": front.socket and _word("--socket", front.socket),
        "stats": front.stats and _word("--stats", front.stats),
        "user": front.user and _word("--user", front.user),
        "log": front.log,
        "access_log": front.access_log,
    }
    files = render_template(templates_root() / "deploy" / "haproxy", values)
    wanted = {CONFIGURATION: True, "maps/hosts.map": maps, "maps/routes.map": maps}
    wanted["maps/wildcards.map"] = maps and bool(values["wildcards"])
    return {name: text for name, text in files.items() if wanted[name]}


def _backend(effe: Effe, servers: Sequence[Server]) -> dict[str, object]:
    said = effe.conventions
    routes = [f"{host}{path}" for host in said.hosts or ("",) for path in said.routes]
    return {
        "name": effe.name,
        "title": f"{effe.info.stem}: {', '.join(routes)}",
        "strip": _strip(said.routes) if said.strip else None,
        "servers": servers,
    }


def _strip(routes: Sequence[str]) -> str | None:
    """Return the expression whose third group is the path without its route, the longest route first."""
    found = sorted((route for route in routes if route != "/"), key=len, reverse=True)
    escaped = "|".join(re.sub(r"([.+])", r"\\\1", route) for route in found)
    return f"'^({escaped})(/(.*))?$'" if found else None


def _times() -> dict[str, int]:
    """Return HAProxy's time-outs in seconds."""
    effe = Settings()
    return {
        "head": int(effe.header_timeout),
        # A connection to an effe lives as long as the client's; the effe's own limit must not be the shorter one.
        "idle": int(effe.idle_timeout) - 15,
        # Longer than a run may take to its first byte: its 504 says more than HAProxy's.
        "server": int(effe.timeout) + 5,
        "client": max(int(effe.timeout), int(effe.body_timeout), int(effe.write_timeout)) + 5,
        "queue": int(effe.timeout),
        "stop": int(effe.timeout + effe.grace) + 5,
    }


def _word(flag: str, text: str) -> str:
    """Return a value as one word of the configuration.

    In single quotes HAProxy reads everything as it stands (configuration manual, section 2.2); a line cannot be
    continued in them.
    """
    if not text or CONTROL.search(text):
        raise UsageError(f"{flag} {text!r} has control characters, or nothing", code="E001", fix=f"another {flag}")
    if PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"
