"""Which effe answers where: the routes of many effes as one table, the most specific first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import DeployError
from .effes import Effe

__all__ = ["Route", "by_host", "routing_table"]


@dataclass(frozen=True)
class Route:
    """One row.

    Attributes:
        host: a host name, `*.example.org` for every name below it, empty for every host.
        path: the prefix, cut at `/`: `/hello` does not match /helloworld.
        effe: who answers.
    """

    host: str
    path: str
    effe: Effe

    @property
    def key(self) -> str:
        """The path with one `/` at its end: a path answers here if it begins so, once it has a `/` at its end too."""
        return self.path.rstrip("/") + "/"

    @property
    def shown(self) -> str:
        """Host and path as one reads them."""
        return f"{self.host}{self.path}"


def routing_table(effes: Iterable[Effe]) -> list[Route]:
    """Return every route, in the order they are tried: a host before `*.` before none, a longer path before a shorter.

    That is the precedence of Gateway API's HTTPRoute (gateway.networking.k8s.io/v1, HTTPRouteRule): the host first.

    Raises:
        InfoError: E117 when a route or host is unfit.
        DeployError: E411 when two effes answer at one place.
    """
    found: dict[tuple[str, str], Route] = {}
    for effe in effes:
        said = effe.conventions
        for route in [Route(host, path, effe) for host in said.hosts or ("",) for path in said.routes]:
            other = found.setdefault((route.host, route.key), route)
            if other is not route:
                raise DeployError(
                    f"{other.effe.name} and {effe.name} both answer at {route.shown}",
                    code="E411",
                    place=effe.info.place_of("host" if route.host and route.path == "/" else "route"),
                    notes=(f"the other one: {other.effe.info.place_of('route')}",),
                    fix=f'give one of them another route in INFO, such as "route": "/{effe.name}"',
                )
    return sorted(found.values(), key=lambda route: (*_rank(route.host), -len(route.key), route.key))


def by_host(table: Sequence[Route]) -> dict[str, list[Route]]:
    """Return the table of each host, complete: with what it has from `*.` and from the routes without a host.

    A request is then looked up once, in the table of the most specific host that fits it. What the host's own routes
    cover is theirs: they came first.
    """
    hosts = dict.fromkeys([*(route.host for route in table), ""])
    complete: dict[str, list[Route]] = {}
    for host in hosts:
        rows: list[Route] = []
        for other in sorted((other for other in hosts if _within(host, other)), key=_rank):
            rows += [
                route
                for route in table
                if route.host == other and not any(route.key.startswith(row.key) for row in rows)
            ]
        complete[host] = rows
    return complete


def _within(host: str, other: str) -> bool:
    """Tell whether the routes of `other` hold for `host` too."""
    return other in ("", host) or (other.startswith("*") and host.endswith(other[1:]))


def _rank(host: str) -> tuple[int, int, str]:
    kind = 0 if host and not host.startswith("*") else 1 if host else 2
    return kind, -len(host), host
