"""Write what happens: one record for each event, to a terminal, to syslog or as JSON lines; never to nowhere.

Where records go is decided once, when `Log` is made:

- `-log text` or `-log json`: to stderr in that form;
- otherwise, where stderr is a terminal: to it, as text (whoever started the effe by hand looks there);
- otherwise to syslog, if something answers at /dev/log (the original's place for an effe's errors);
- otherwise (a container) as JSON lines to stderr.

The stdlib's `syslog` module cannot be used: where /dev/log is missing it loses everything in silence. A
datagram is three lines of our own (the local form of RFC 3164 that the C library writes), and its failure
is seen.

What a client sends can be in any field, so control characters are escaped in every form: a record cannot be
forged.

A record that cannot be written at once is dropped and counted (writer.py): no request waits for the log. The count is a
record of its own as soon as writing works again.
"""

from __future__ import annotations

import os
import sys
import time

from ..secrets import scrub, scrubbed
from .writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from traceback import TracebackException
    from typing import Any

SYSLOG = "/var/run/syslog" if sys.platform == "darwin" else "/dev/log"
# The severities of RFC 5424 section 6.2.1, and the facility "daemon" (3).
_SEVERITY = {"critical": 2, "error": 3, "warning": 4, "info": 6}
_DAEMON = 3 << 3
# rsyslog takes 8 KiB by default and journald 48 KiB: a longer traceback loses its middle, not its end.
_DATAGRAM = 8000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Log:
    """The log of one process.

    `form` is "text", "json" or None (decide as the module says). `name` is what syslog shows as the
    program. `access_log` says whether `.access` is to be called: the caller tests it, because a call for
    each request costs more than the test.
    """

    __slots__ = ("_pid", "_socket", "_writer", "access_log", "form", "name", "syslog")

    def __init__(
        self,
        form: str | None = None,
        name: str = "effe",
        *,
        access_log: bool = False,
        stream: int = 2,
        syslog: str = SYSLOG,
    ) -> None:
        self.name, self.access_log, self.syslog = name, access_log, syslog
        self._writer = Writer(stream)
        self._socket: socket.socket | None = None
        self._pid = os.getpid()
        if form is None and _terminal(stream):
            form = "text"
        elif form is None:
            self._socket = _connect(syslog)
            form = "syslog" if self._socket else "json"
        self.form = form

    @property
    def lost(self) -> int:
        """How many records could not be written."""
        return self._writer.lost

    def info(self, message: str, **fields: Any) -> None:
        self._record("info", message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._record("warning", message, fields)

    def error(
        self, message: str, exc: BaseException | None = None, request_id: str | None = None, **fields: Any
    ) -> None:
        """Write an error that somebody returned: `exc` in one line, without its traceback."""
        if exc is not None:
            fields = {"error": describe(exc), **fields}
        self._record("error", message, _with_id(request_id, fields))

    def critical(
        self, message: str, exc: BaseException | None = None, request_id: str | None = None, **fields: Any
    ) -> None:
        """Write a crash: `exc` with its traceback, from the author's first frame on, in the same record."""
        fields = _with_id(request_id, fields)
        if exc is not None:
            fields = {**fields, "error": describe(exc), "traceback": traceback_of(exc)}
        self._record("critical", message, fields)

    def access(
        self,
        method: str,
        target: str,
        status: int,
        size: int,
        seconds: float,
        client: str,
        request_id: str | None = None,
        traceparent: str | None = None,
        cut: bool = False,
    ) -> None:
        """Write one answered request: `size` is the bytes of its body that were sent, `seconds` from head to answer.

        `cut` says that they are not all of it.
        """
        fields: dict[str, Any] = {
            "method": method,
            "target": target,
            "status": status,
            "size": size,
            "ms": round(seconds * 1000, 3),
            "client": client,
        }
        if cut:
            fields["cut"] = True
        if request_id:
            fields["request_id"] = request_id
        if traceparent:
            fields["traceparent"] = traceparent
        self._record("info", "request", fields)

    def close(self) -> None:
        """Close the socket to syslog; a later record opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _record(self, level: str, message: str, fields: dict[str, Any]) -> None:
        """Write one record. Raises nothing: whoever logs an error has no use for another."""
        try:
            self._write(level, message, fields)
        except Exception:  # no memory, no descriptor
            self._writer.drop()

    def _write(self, level: str, message: str, fields: dict[str, Any]) -> None:
        now = time.time()
        message, fields = scrub(message), scrubbed(fields)
        if self.form == "syslog" and self._send(level, now, message, fields):
            return
        self._writer.write(self._line(level, now, message, fields), self._note)

    def _line(self, level: str, now: float, message: str, fields: dict[str, Any]) -> bytes:
        if self.form == "text":
            line = _text(level, now, message, fields)
        else:
            line = _json(level, now, message, self.name, fields)
        return line.encode("utf-8", "backslashreplace")

    def _note(self, count: int) -> bytes:
        return self._line("warning", time.time(), "records were dropped: stderr did not take them", {"records": count})

    def _send(self, level: str, now: float, message: str, fields: dict[str, Any]) -> bool:
        """Send a datagram to syslog; False when nobody takes it now (the record then goes to stderr)."""
        if self._pid != os.getpid():  # after a fork
            self._pid = os.getpid()
        when = time.localtime(now)
        stamp = f"{_MONTHS[when.tm_mon - 1]} {when.tm_mday:2} {when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02}"
        head = f"<{_DAEMON | _SEVERITY[level]}>{stamp} {self.name}[{self._pid}]: "
        body = escape(message) + "".join(f" {key}={_value(value)}" for key, value in fields.items())
        data = (head + body).encode("utf-8", "backslashreplace")
        if len(data) > _DATAGRAM:
            data = data[: _DATAGRAM // 2] + b" [...] " + data[-_DATAGRAM // 2 :]
        for _ in range(2):  # the second time after a restart of the daemon: its socket is a new one
            if self._socket is None:
                self._socket = _connect(self.syslog)
            if self._socket is None:
                return False
            try:
                self._socket.send(data)
                return True
            except BlockingIOError:
                return False  # the daemon is stuck: requests must not wait for it
            except OSError:
                self.close()
        return False


def _terminal(stream: int) -> bool:
    try:
        return os.isatty(stream)
    except OSError:
        return False


def _connect(path: str) -> socket.socket | None:
    if not os.path.exists(path):
        return None
    import socket

    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        channel.connect(path)
        channel.setblocking(False)
    except OSError:
        channel.close()
        return None
    return channel


def _with_id(request_id: str | None, fields: dict[str, Any]) -> dict[str, Any]:
    return {"request_id": request_id, **fields} if request_id else fields


def escape(text: str) -> str:
    r"""Write control characters, and what a terminal or a log reader takes for one, as `\n` or `\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _value(value: Any) -> str:
    text = escape(value if isinstance(value, str) else str(value))
    if text and " " not in text and '"' not in text and "=" not in text:
        return text
    return '"' + text.replace('"', '\\"') + '"'


def _text(level: str, now: float, message: str, fields: dict[str, Any]) -> str:
    """A record for eyes: a traceback keeps its lines, indented, so that none can look like a record."""
    trace = fields.get("traceback")
    shown = " ".join(f"{key}={_value(value)}" for key, value in fields.items() if key != "traceback")
    line = f"{time.strftime('%H:%M:%S', time.localtime(now))} {level.upper():<8} {escape(message)}"
    line += (f"  {shown}" if shown else "") + "\n"
    if trace:
        line += "".join(f"    {escape(part)}\n" for part in str(trace).split("\n"))
    return line


def _json(level: str, now: float, message: str, name: str, fields: dict[str, Any]) -> str:
    try:
        # The C function behind json.dumps, without the 6 ms that importing json costs a start.
        from _json import encode_basestring_ascii as string
    except ImportError:
        from json.encoder import encode_basestring_ascii as string

    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
    parts = [f'{{"time":"{moment}","level":"{level}","effe":{string(name)},"message":{string(message)}']
    for key, value in fields.items():
        if value is True or value is False or value is None:
            shown = {True: "true", False: "false", None: "null"}[value]
        elif isinstance(value, (int, float)) and value == value and abs(value) != float("inf"):
            # Not repr(): that of an HTTPStatus is no number.
            shown = int.__repr__(value) if isinstance(value, int) else float.__repr__(value)
        else:
            shown = string(value if isinstance(value, str) else str(value))
        parts.append(f"{string(key)}:{shown}")
    return ",".join(parts) + "}\n"


def prepare() -> None:
    """Import what a record of an error needs, while there are descriptors and memory for it."""
    # 10 ms: not before the effe is ready.
    import json.encoder
    import linecache
    import traceback

    del json, linecache, traceback


def describe(exc: BaseException) -> str:
    """Say what an exception is in one line: its type, and its text where it has one and can make it."""
    try:
        text = str.__str__(str(exc))  # (a subclass of str has methods of its own)
    except BaseException:  # an author's __str__ may raise
        text = "(its __str__ raises)"
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def traceback_of(exc: BaseException) -> str:
    """Format an exception without this package's frames before the author's last: they say nothing to an author."""
    try:
        import traceback

        told = traceback.TracebackException(type(exc), exc, exc.__traceback__)
        _strip(told)
        lines = [*told.format()]
    except BaseException:  # it calls the author's __str__ too
        return describe(exc)
    return "".join(lines).rstrip("\n")


def own_folder() -> str:
    """Return the folder of the runtime, ending in a slash: the code of files below it is not the author's."""
    return __file__.rsplit("/", __name__.count(".") - 1)[0] + "/"  # wherever in effetool.runtime this module is


def _strip(told: TracebackException) -> None:
    """Take our frames away; where none of the author's are, ours stay."""
    stdlib = os.path.dirname(os.__file__)
    # An async function's error comes through the loop's thread, by a future.
    ours = (own_folder(), f"{stdlib}/asyncio/", f"{stdlib}/concurrent/futures/")
    left = [told]
    while left:
        one = left.pop()
        authors = [at for at, frame in enumerate(one.stack) if not frame.filename.startswith(ours)]
        if authors:
            one.stack[: authors[-1]] = [one.stack[at] for at in authors[:-1]]
        context = one.__context__
        if context is not None and context.stack and all(frame.filename.startswith(ours) for frame in context.stack):
            one.__context__ = None  # what we were at when the author's code was called
        left += filter(None, (one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())))
