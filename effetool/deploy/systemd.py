"""INFO of many effes → systemd units: a service and its socket each, a timer for a schedule."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..effe.info import shown
from ..errors import DeployError
from ..runtime.flags import duration
from ..templating.render import render_template, templates_root
from .effes import Effe
from .inputs import check_variables, variables_of
from .schedule import on_calendar
from .servers import ADMIN, FIRST_PORT
from .sizing import STOP, numbers

__all__ = ["Options", "units"]

FOLDER = re.compile(r"/[A-Za-z0-9._/+@-]*\Z")
HIDDEN = ("/home", "/root", "/run/user", "/dev", "/proc")  # by ProtectHome, PrivateDevices, ProtectProc
HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])?\Z")
# systemd.exec(5). Left out: MemoryDenyWriteExecute, since libffi and compilers of numbers write code; PrivateNetwork,
# since an effe may call others.
HARDENING = """\
# What it does not need it has not got: systemd-analyze security says so.
DynamicUser=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateUsers=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077"""
# Threads: one for each run, the server's few, and room for what the author starts.
THREADS = 64


@dataclass(frozen=True)
class Options:
    """What is not in INFO.

    Attributes:
        env: values of variables that INFO declares.
        port: the first effe's port; each next one has one more, its admin listener 1000 more.
        host: the address of the sockets, empty for every one.
        prefix: the directory with the built files.
        etc: the directory with `NAME.env` and the secrets `NAME/SECRET`.
        idle: the time without a request after which an effe ends until the next one, None for never.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    port: int = FIRST_PORT
    host: str = "127.0.0.1"
    prefix: str = "/opt/effe"
    etc: str = "/etc/effe"
    idle: str | None = "5m"


def units(effes: Sequence[Effe], options: Options) -> dict[str, str]:
    """Return the text of each unit by its file's name.

    Raises:
        InfoError: E117–E119.
        DeployError: E420 a path, address or number that does not fit, E422 a variable.
    """
    _check(effes, options)
    found: dict[str, str] = {}
    for number, effe in enumerate(effes):
        made = render_template(templates_root() / "deploy" / "systemd", _values(effe, options, options.port + number))
        found.update({name: text for name, text in made.items() if text.strip()})
    return found


def _check(effes: Sequence[Effe], options: Options) -> None:
    check_variables(effes, options.env)
    for flag, path in (("--prefix", options.prefix), ("--etc", options.etc)):
        if not FOLDER.match(path):
            raise DeployError(
                f"{flag}: {shown(path)} is not an absolute path of letters, digits and ._+@-",
                code="E420",
                fix=f"{flag} {'/opt/effe' if flag == '--prefix' else '/etc/effe'}",
            )
    hidden = next((top for top in HIDDEN if f"{options.prefix}/".startswith(f"{top}/")), None)
    if hidden:
        raise DeployError(
            f"--prefix {options.prefix}: the units see nothing of {hidden}", code="E420", fix="--prefix /opt/effe"
        )
    if not HOST.match(options.host):
        raise DeployError(f"--host: {shown(options.host)} is not an address", code="E420", fix="--host 127.0.0.1")
    last = options.port + len(effes) - 1 + ADMIN
    if options.port < 1 or last > 65535 or len(effes) > ADMIN:
        raise DeployError(
            f"--port {options.port}: the admin ports would reach {last}", code="E420", fix=f"--port {FIRST_PORT}"
        )
    if options.idle is not None:
        try:
            duration(options.idle)
        except ValueError as error:
            raise DeployError(
                f"--idle-exit {options.idle}: this takes {error}", code="E420", fix="--idle-exit 5m"
            ) from None


def _values(effe: Effe, options: Options, port: int) -> dict[str, object]:
    said = effe.conventions
    counted = numbers(said)
    file = effe.artifact.path.name if effe.artifact is not None else f"{effe.name}-{effe.version}.pex"
    return {
        "name": effe.name,
        "unit": f"effe-{effe.name}",
        "title": _one_line(effe.info.doc or f"{effe.name} {effe.version}"),
        "pex": _quoted(f"{options.prefix.rstrip('/')}/{file}"),
        "address": f"{options.host}:{port}" if options.host else str(port),
        "host": options.host.strip("[]") or "localhost",
        "port": port,
        "admin": port + ADMIN,
        "numbers": counted,
        "hardening": HARDENING,
        "stop": STOP,
        "idle": options.idle if options.idle is not None and duration(options.idle) else None,
        "variables": [
            _quoted(f"{name}={value}") for name, value in variables_of(effe, options.env).items() if value is not None
        ],
        "etc": options.etc.rstrip("/"),
        "secrets": list(said.secrets),
        "memory": said.memory,
        "tasks": counted.concurrency + THREADS,
        "events": on_calendar(said.schedule) if said.schedule else [],
    }


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("%", "%%").rstrip("\\")


def _quoted(text: str) -> str:
    r"""Quote a word as systemd.syntax(7) has it: `%` doubled, C's escapes inside `"`."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "%": "%%"}
    inside = "".join(escapes.get(c, c if c.isprintable() else "".join(f"\\x{b:02x}" for b in c.encode())) for c in text)
    return inside if re.fullmatch(r"[A-Za-z0-9._/+@=:,-]+", inside) else f'"{inside}"'
