"""Read the flags of a running effe: one table, Go's syntax, the environment behind it.

`FLAGS` is the only place where a default stands; its reason stands beside it. `-help`, `Settings`, the
environment variables and docs/reference/flags.md all come from that table.

Syntax (that of Go's package `flag`): `-port 8080`, `-port=8080`, `--port 8080`; a boolean is `-access-log`
or `-access-log=false`; `--` ends the flags. Each setting is read from the environment too
(`-header-timeout` is `EFFE_HEADER_TIMEOUT`); a flag beats the environment, which beats the default.
Durations are Go's (`500ms`, `1m30s`; a bare number is seconds), sizes are bytes with a binary suffix
(`64KiB`, `1MiB`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Row = tuple[str, Callable[[str], object], str, str | None, str, str]

# "No limit" as a number that is never reached, so that nobody who uses a limit needs a second case for it.
NEVER = 1e9  # seconds; 31 years
UNLIMITED = 1 << 62  # bytes or things

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DIGITS = "0123456789"
_NUMBER = _DIGITS + "."


def duration(text: str) -> float:
    """Read a Go duration (`1m30s`, `500ms`, `1.5h`) or a bare number of seconds; ValueError otherwise."""
    if text and not text.strip(_NUMBER):
        text += "s"
    total, rest = 0.0, text
    try:
        while True:
            number = rest[: len(rest) - len(rest.lstrip(_NUMBER))]
            rest = rest[len(number) :]
            unit = rest[: len(rest) - len(rest.lstrip("nuµmsh"))]
            rest = rest[len(unit) :]
            total += float(number) * _UNITS[unit]
            if not rest:
                return min(total, NEVER)
    except (ValueError, KeyError):
        raise ValueError("a duration like 500ms, 30s or 1m30s") from None


def _limit(text: str) -> float:
    """Read a duration where 0 means that there is no limit."""
    return duration(text) or NEVER


def size(text: str) -> int:
    """Read a number of bytes (`64KiB`, `1MiB`, `4096`); ValueError otherwise."""
    end = next((i for i, c in enumerate(text) if c not in _DIGITS), len(text))
    if not 0 < end <= 18 or text[end:] not in _SIZES:
        raise ValueError("a size like 64KiB or 1MiB")
    return min(int(text[:end]) * _SIZES[text[end:]], UNLIMITED)


def _some(text: str) -> int:
    """Read a size that is none without at least a byte."""
    octets = size(text)
    if not octets:
        raise ValueError("a size of a byte or more, like 64KiB or 1MiB")
    return octets


def _size_limit(text: str) -> int:
    """Read a size where 0 means that there is no limit."""
    return size(text) or UNLIMITED


def _number(text: str, least: int, most: int, what: str) -> int:
    if not text or len(text) > 9 or any(c not in _DIGITS for c in text) or not least <= int(text) <= most:
        raise ValueError(what)
    return int(text)


def _port(text: str) -> int:
    return _number(text, 0, 65535, "a port from 0 (any free one) to 65535")


def _count(text: str) -> int:
    return _number(text, 1, 10**9, "a whole number, 1 or more")


def _count_or_none(text: str) -> int:
    return _number(text, 0, 10**9, "a whole number, 0 or more")


def _workers(text: str) -> int:
    return 0 if text == "auto" else _number(text, 1, 1024, "a number from 1 to 1024, or auto")


def _text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("a value that is not empty")
    return text


def _host(text: str) -> str:
    # As -admin and a URL have it.
    return _text(text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text)


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    try:
        _port(port)
    except ValueError:
        colon = ""
    if not colon or (":" in host and not (host[0] == "[" and host[-1] == "]")):
        raise ValueError("HOST:PORT, such as 127.0.0.1:9090, [::1]:9090 or :9090")
    return text


def _log(text: str) -> str:
    if text not in ("text", "json"):
        raise ValueError("text or json")
    return text


def _flag(text: str) -> bool:
    # The words of Go's strconv.ParseBool.
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError("true or false")


# name, how a value is read, what a value is called, the default as it would be typed (None: not set), what
# it does, and why this default; in sections.
FLAGS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("Where it listens", (
    ("port", _port, "N", "8080", "listen on this TCP port; 0 takes a free one and says which",
     "The original effe's. $PORT counts too (Knative, Cloud Run, Heroku set it), after $EFFE_PORT."),
    ("host", _host, "ADDRESS", None, "listen on this address or name only",
     "Every address, IPv4 and IPv6: in a container nothing else can be reached from outside."),
    ("unix", _text, "PATH", None, "listen on a Unix socket instead of a port",
     "Off: most callers speak TCP."),
    ("cert", _text, "FILE", None, "speak TLS with this certificate chain (PEM); read again on SIGHUP",
     "Off: a proxy in front usually ends TLS."),
    ("key", _text, "FILE", None, "the private key of -cert (PEM), if it is not in the same file",
     "The file of -cert may hold both."),
    ("admin", _address, "HOST:PORT", None, "serve /live, /ready, /metrics and /info here",
     "Off: what it tells is not for everybody who reaches the main port."),
    )),
    ("Processes", (
    ("workers", _workers, "N|auto", None, "processes that share the port; auto: one for each CPU",
     "Not set: one process and no parent, which needs the least memory and keeps one core busy."),
    ("concurrency", _count, "N", "128", "contexts in use at once in each worker",
     "Enough for runs that wait (a database, a service); each costs a thread and what start() opens."),
    ("queue", _count_or_none, "N", "1024", "requests that may wait for a context; then 503",
     "A burst is absorbed, while a lasting overload is refused early instead of timing out late."),
    ("max-connections", _count, "N", "16384", "open connections in each worker; more wait outside",
     "An idle one costs about 1 KiB and no thread; the limit of open files lowers this to three quarters of itself."),
    )),
    ("Time-outs", (
    ("timeout", _limit, "D", "30s", "a run's time to its first byte (504); 0: no limit",
     "Below the 60 s that nginx and most load balancers wait: the effe's own log names the slow run."),
    ("header-timeout", _limit, "D", "10s", "time for a request's head to arrive, from its first byte (408)",
     "A head is a packet or a few: this carries it over a bad radio link, and ends a slow-header attack."),
    ("body-timeout", _limit, "D", "20s", "time a request's body may stall (408)",
     "Counted from the last progress: a big upload over a slow line succeeds, a stalled one does not."),
    ("write-timeout", _limit, "D", "20s", "time a client may refuse to read the response",
     "As -body-timeout, for the other direction: a reader that has stopped holds a context."),
    ("idle-timeout", _limit, "D", "75s", "time an idle keep-alive connection stays open",
     "Above the 60 s that load balancers keep connections: they close first, and no request meets a close."),
    ("context-idle", _limit, "D", "5m", "time a context stays unused before stop() is called; 0: for ever",
     "After a burst the connections it opened are given back; steady traffic never gets near it."),
    ("grace", duration, "D", "25s", "time for requests in flight to finish after SIGTERM",
     "Kubernetes kills after 30 s; this leaves five to stop the contexts."),
    ("idle-exit", _limit, "D", "0", "end after this time without a request or connection; 0: never",
     "Never; of use under socket activation, where the next connection starts the effe again."),
    )),
    ("Limits", (
    ("max-body", _size_limit, "SIZE", "8MiB", "bytes of a request's body (413); 0: no limit",
     "More than forms and JSON need; a body is streamed, so this guards authors who read it whole."),
    ("max-header", _some, "SIZE", "32KiB", "bytes of a request's head, all of it (431)",
     "Browsers stay below 16 KiB even with many cookies; other servers allow from 8 KiB to 1 MiB."),
    ("max-target", _some, "SIZE", "8KiB", "bytes of a request's target (414)",
     "RFC 9112 section 3 asks for at least 8000."),
    ("max-headers", _count, "N", "100", "header fields in a request (431)",
     "Twice what a browser behind several proxies sends; http.client stops at 100 too."),
    ("max-unread", _size_limit, "SIZE", "32MiB", "bytes of answers that wait for slow readers; 0: no limit",
     "In each worker; a small container has room for twice that, where those that stand still are soon cut off."),
    ("max-unfinished", _size_limit, "SIZE", "96MiB", "bytes of requests that do not run yet; 0: no limit",
     "In each worker; room for a full -queue of bodies of 64 KiB and half as much again; beyond, the slowest get 503."),
    )),
    ("Log", (
    ("log", _log, "text|json", None, "log to stderr in this form",
     "Not set: text at a terminal, else syslog where /dev/log answers, else JSON lines on stderr."),
    ("access-log", _flag, "", "false", "log each request",
     "Off: the proxy in front has one; a line for each request costs more than the request."),
    )),
)  # fmt: skip
_ROWS = {row[0]: row for _, rows in FLAGS for row in rows}

# What is done instead of serving. Never read from the environment: a stray EFFE_VERSION must not end a
# container.
ACTIONS: tuple[tuple[str, str], ...] = (
    ("info", "print INFO as JSON"),
    ("v", "with -info: its build record, lock and bill of materials too"),
    ("version", "print the name, the version and the runtime"),
    ("healthcheck", "ask the effe that runs with these flags whether it is ready; exit 0 or 1"),
    ("call", "send POST / to the effe at -host and -port, as a schedule does; exit 0 or 1"),
    ("help", "print this"),
)


class FlagError(Exception):
    """A flag or its variable cannot be used; the text is one line that says what to write instead."""


class Settings:
    """What the flags say: one attribute for each (`header_timeout` for `-header-timeout`).

    Times are seconds as float, sizes are bytes as int; "no limit" is `NEVER` or `UNLIMITED`, so that it
    compares like any other value. `workers` is 0 for auto and None for one process without a parent. `path`
    is the effe to run, in a checkout; `action` is one of `ACTIONS` or "". `Settings(port=0, timeout=1.5)`
    is the defaults with these changed.
    """

    __slots__ = (*[name.replace("-", "_") for name in _ROWS], "action", "path")

    port: int
    host: str | None
    unix: str | None
    cert: str | None
    key: str | None
    admin: str | None
    workers: int | None
    concurrency: int
    queue: int
    max_connections: int
    timeout: float
    header_timeout: float
    body_timeout: float
    write_timeout: float
    idle_timeout: float
    context_idle: float
    grace: float
    idle_exit: float
    max_body: int
    max_header: int
    max_target: int
    max_headers: int
    max_unread: int
    max_unfinished: int
    log: str | None
    access_log: bool
    path: str | None
    action: str

    def __init__(self, **changes: Any) -> None:
        for name, read, _, default, _, _ in _ROWS.values():
            setattr(self, name.replace("-", "_"), None if default is None else read(default))
        self.path, self.action = None, ""
        for name, value in changes.items():
            setattr(self, name, value)


def parse(argv: Sequence[str], environ: Mapping[str, str], operand: bool = True) -> Settings:
    """Read the arguments after the program's name, and the environment behind them.

    Without `operand` no argument is the effe to run: this is a built file. Raises FlagError, whose text is one line for
    the user. The last of two equal flags counts, as in Go.
    """
    settings = Settings()
    actions = [name for name, _ in ACTIONS]
    rest = list(argv)
    seen: set[str] = set()
    while rest:
        argument = rest.pop(0)
        if argument == "--" or argument[:1] != "-" or argument == "-":
            operands = [*rest] if argument == "--" else [argument]
            rest = [] if argument == "--" else rest
            for word in operands:
                if not operand:
                    raise FlagError(f"this effe takes no argument: {word!r} (a boolean flag is written -flag=false)")
                if settings.path is not None:
                    raise FlagError(f"one effe at a time: {word!r} is too much after {settings.path!r}")
                settings.path = word
            continue
        name, equals, value = argument.lstrip("-").partition("=")
        name = "help" if name == "h" else name
        if argument.startswith("---") or (name not in _ROWS and name not in actions):
            near = _nearest(name, [*_ROWS, *actions])
            raise FlagError(f"there is no flag -{_printable(name)}{near}; -help lists them all")
        if name in actions:
            if equals and not _boolean(name, value):
                continue
            if not settings.action or (settings.action, name) == ("info", "v"):
                settings.action = name
            continue
        row = _ROWS[name]
        if row[1] is _flag:
            value = value if equals else "true"
        elif not equals:
            if not rest:
                raise FlagError(f"-{name} needs a value: {_example(row)}")
            value = rest.pop(0)
        _set(settings, row, value, f"-{name}={value}" if equals else f"-{name} {value}", f"-{name} ")
        seen.add(name)
    for name, row in _ROWS.items():
        if name in seen:
            continue  # it beats its variable, whatever that holds
        names = ("EFFE_PORT", "PORT") if name == "port" else (variable(name),)
        for source in names:
            if environ.get(source):
                _set(settings, row, environ[source], f"${source}={environ[source]}", f"{source}=")
                break
    if settings.key and not settings.cert:
        raise FlagError("-key needs its certificate: add -cert FILE")
    if "unix" in seen and "port" in seen:
        raise FlagError("-unix is instead of a port: leave out -port or -unix")
    if "port" in seen:
        settings.unix = None  # $EFFE_UNIX, which a flag beats
    if settings.admin and settings.port and int(settings.admin.rpartition(":")[2]) == settings.port:
        host = settings.admin.rpartition(":")[0].strip("[]")
        if not settings.unix and (not host or not settings.host or host == settings.host):
            raise FlagError(f"-admin {settings.admin} is the effe's own port: give it another one")
    return settings


def variable(name: str) -> str:
    """Name the environment variable of a flag: `EFFE_HEADER_TIMEOUT` for `header-timeout`."""
    return "EFFE_" + name.upper().replace("-", "_")


def _set(settings: Settings, row: Row, value: str, written: str, start: str) -> None:
    try:
        setattr(settings, row[0].replace("-", "_"), row[1](value))
    except ValueError as error:
        example = f", such as {start}{row[3]}" if row[3] and row[3] not in str(error) else ""
        raise FlagError(f"{_printable(written)}: this takes {error}{example}") from None


def _boolean(name: str, value: str) -> bool:
    try:
        return _flag(value)
    except ValueError as error:
        raise FlagError(f"-{name}={_printable(value)}: this takes {error}") from None


def _example(row: Row) -> str:
    return f"-{row[0]} {row[3] or row[2]}"


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


def _nearest(name: str, names: list[str]) -> str:
    from difflib import get_close_matches  # 5 ms that only a mistake pays

    near = get_close_matches(name, names, 1)
    return f": did you mean -{near[0]}?" if near else ""


def usage(program: str, title: str) -> str:
    """Write the text of `-help`: `title` says what the effe is, `program` how it is called."""
    lines = [title, "", f"usage: {program} [flags]"]
    for section, rows in FLAGS:
        lines += ["", section]
        for name, read, value, default, what, _ in rows:
            shown = f" (default {default})" if default and read is not _flag else ""
            lines.append(_entry(f"  -{name} {value}".rstrip(), what + shown))
    lines += ["", "Instead of serving", *[_entry(f"  -{name}", what) for name, what in ACTIONS]]
    lines += [
        "",
        "-name VALUE, -name=VALUE and --name are the same. Each flag but the last six is also an",
        "environment variable: EFFE_PORT, EFFE_HEADER_TIMEOUT ...; a flag beats it.",
        "D is a duration: 500ms, 30s, 1m30s, or seconds; as a time-out, 0 is no limit.",
        "SIZE is bytes: 64KiB, 1MiB.",
    ]
    return "\n".join(lines) + "\n"


def _entry(head: str, what: str) -> str:
    return f"{head:<24}{what}" if len(head) < 23 else f"{head}\n{'':24}{what}"
