"""Open the sockets an effe listens on: TCP (IPv4, IPv6 or both), a Unix socket, or those systemd hands over.

A socket is bound before the author's code runs, so that a busy port is told at once, and listens only when
the effe is ready to answer: until then a client is refused, and a proxy asks the next server. (An inherited
socket listens already: its clients wait, and none is lost while one effe takes over from another.)
"""

from __future__ import annotations

import errno
import os
import socket
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from ..flags import Settings

# What may wait between two accepts. The kernel cuts it to net.core.somaxconn (4096 on Linux since 5.4).
BACKLOG = 2048
# systemd's sd_listen_fds(3): the first descriptor that is handed over.
_FIRST = 3
# The Unix sockets this process has bound, with their inodes.
_files: dict[str, int] = {}


class ListenError(Exception):
    """A socket cannot be opened; the text says why, who is in the way, and what to write instead."""


def bind(settings: Settings, environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the bound sockets that the settings name, or those that systemd hands over (these already listen).

    Raises ListenError. Takes LISTEN_FDS and its companions out of `environ`, so that the author's child
    processes do not believe that they are meant.
    """
    handed = inherited(environ)
    if handed:
        return handed
    if settings.unix is not None:
        return [_unix(settings.unix)]
    return tcp(settings.host, settings.port)


def listen(sockets: list[socket.socket]) -> None:
    """Begin to take connections; harmless for a socket that does so already."""
    for listener in sockets:
        try:
            listener.listen(BACKLOG)
        except OSError as error:  # bound by two, both with SO_REUSEADDR: only the first may listen
            raise _explained(error, _host(listener), _port(listener)) from None


def listening(listener: socket.socket) -> bool:
    """Return whether a socket takes connections already, as an inherited one does."""
    return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def close(sockets: list[socket.socket]) -> None:
    """Close the sockets, and remove the file of a Unix socket that this process has bound."""
    for listener in sockets:
        listener.close()
    while _files:
        path, inode = _files.popitem()
        try:
            if os.stat(path).st_ino == inode:  # else it is that of a successor
                os.unlink(path)
        except OSError:
            pass


def address(listener: socket.socket, scheme: str = "http") -> str:
    """Say where a client finds this socket: `http://127.0.0.1:8080`, or `unix:/run/hello.sock`."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host = _host(listener)
    if host in ("0.0.0.0", "::"):  # noqa: S104  every address: this one works from here
        host = "localhost"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{_port(listener)}"


def inherited(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the sockets systemd's protocol hands over (LISTEN_FDS for this LISTEN_PID); [] without them."""
    count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return []
    sockets = []
    for descriptor in range(_FIRST, _FIRST + int(count)):
        try:
            os.set_inheritable(descriptor, False)
            listener = socket.socket(fileno=descriptor)
            listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            raise ListenError(
                f"LISTEN_FDS: descriptor {descriptor} is no socket; use Accept=no in the .socket"
            ) from None
        if not listening:
            raise ListenError(f"LISTEN_FDS: descriptor {descriptor} does not listen; use Accept=no, ListenStream=")
        _prepare(listener)
        sockets.append(listener)
    return sockets


def tcp(host: str | None, port: int, *, reuse_port: bool = False, admin: str | None = None) -> list[socket.socket]:
    """Bind the port on every address of `host`; None: on all, one socket for IPv4 and IPv6 where there is IPv6.

    With port 0 all of them get the same free one. `admin` is the host as -admin has it, for what an error says. Raises
    ListenError.
    """
    if host is None:
        try:
            return [_tcp(socket.AF_INET6, ("::", port), reuse_port, dual=True)]
        except OSError as error:
            # No IPv6 here (or it is switched off): IPv4 alone.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENOPROTOOPT):
                raise _explained(error, "::", port, admin) from None
        host = "0.0.0.0"  # noqa: S104
    try:
        # As bytes: a str goes through the idna codec, whose import takes longer than all the rest here.
        name = host.encode() if host.isascii() else host
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        named = f"-host {host}" if admin is None else f"-admin {admin}:{port}"
        raise ListenError(f"{named}: {error.strerror or error}; give an address of this machine") from None
    for attempt in range(8):
        sockets: list[socket.socket] = []
        chosen = port
        try:
            for family, _, _, _, where in dict.fromkeys(found):
                sockets.append(_tcp(family, (where[0], chosen, *where[2:]), reuse_port))
                chosen = _port(sockets[0])
            return sockets
        except OSError as error:
            close(sockets)
            # The free port of the first address may be taken on the second.
            if port == 0 and error.errno == errno.EADDRINUSE and attempt < 7:
                continue
            if sockets and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # localhost without ::1
                found = found[: len(sockets)]
                continue
            raise _explained(error, host, port, admin) from None
    raise ListenError(f"-host {host}: no port is free on all its addresses")


def _tcp(family: int, where: tuple[object, ...], reuse_port: bool, dual: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        # A restart must not wait for the TIME_WAIT of old connections.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _prepare(listener)
        listener.bind(where)
    except BaseException:
        listener.close()
        raise
    return listener


def _prepare(listener: socket.socket) -> None:
    listener.setblocking(False)
    if listener.family != socket.AF_UNIX:
        # Inherited by each connection: a response is one send and must not wait for an acknowledgement
        # (Nagle).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _unix(path: str) -> socket.socket:
    """Bind a Unix socket; one that nobody listens on any more is replaced. Who may connect is the umask's business."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(path)
        _files[path] = os.stat(path).st_ino
        _prepare(listener)
    except OSError as error:
        listener.close()
        reason = "the path is too long for a socket (107 bytes)" if error.errno is None else error.strerror
        raise ListenError(f"-unix {path}: {reason}") from None
    except ListenError:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"-unix {path}: a file that is no socket is there; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:  # a full backlog, or not ours to ask: it is alive
            pass
    raise ListenError(f"-unix {path}: another process listens there; stop it, or choose another path")


def _host(listener: socket.socket) -> str:
    return str(listener.getsockname()[0])


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _explained(error: OSError, host: str, port: int, admin: str | None = None) -> ListenError:
    flag = "-port " if admin is None else f"-admin {admin}:"
    if error.errno == errno.EADDRINUSE:
        who = _owner(port)
        return ListenError(
            f"port {port} is taken{f' by {who}' if who else ''}; stop it, or choose another: {flag}{port + 1}"
        )
    if error.errno == errno.EACCES:
        return ListenError(f"port {port} needs privileges; choose one above 1023, such as {flag}{8000 + port % 1000}")
    if error.errno == errno.EADDRNOTAVAIL:
        if admin is not None:
            return ListenError(f"{flag}{port}: this machine has no such address; -admin :{port} listens on all")
        return ListenError(f"-host {host}: this machine has no such address; leave out -host to listen on all")
    return ListenError(f"cannot listen on {host} port {port}: {error.strerror}")


def _owner(port: int) -> str | None:
    """Name the process that listens on the port, as far as /proc lets this user see it."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            return None
        # local_address is HEX:PORT, st 0A is LISTEN (include/net/tcp_states.h).
        inodes |= {
            f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port
        }
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                if _link(f"/proc/{pid}/fd/{descriptor}") in inodes:
                    with open(f"/proc/{pid}/comm") as file:
                        return f"{file.read().strip()} (pid {pid})"
        except OSError:  # another user's, or just gone
            continue
    return None


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:  # closed meanwhile
        return ""
