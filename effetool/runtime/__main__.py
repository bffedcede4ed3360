"""Start an effe: `./hello-1.0.pex -port 8080`, or `python -m effetool.runtime hello.py -port 8080` in a checkout.

What does not serve (`-info`, `-version`, `-help`) imports nothing of the server: it takes little more than the
interpreter's own start.
"""

from __future__ import annotations

import os
import sys

from . import flags, info
from .stderr import discard, fail, program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .flags import Settings
    from .info import Info


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say (None: those of the process) and return the exit code: 0 done, 1 failed, 2 usage."""
    _fill()
    if sys.implementation.name != "cpython":  # its threads, collector and sockets are what the server is tried on
        return fail(f"an effe runs on CPython, and {sys.executable} is {sys.implementation.name}", 1)
    arguments = sys.argv[1:] if argv is None else argv
    try:
        made = info.embedded()
        settings = flags.parse(arguments, os.environ, operand=made is None)
        if settings.action == "help":
            return _print(flags.usage(program(), _about(made)))
        known = made or info.read(settings.path)
    except flags.FlagError as error:
        return fail(str(error), 2)
    except info.InfoError as error:
        return fail(str(error), 1)
    if settings.action == "info":
        return _print(known.text if known.text.endswith("\n") else known.text + "\n")
    if settings.action == "v":
        return _print(info.details(known))
    if settings.action == "version":
        from .. import __version__

        return _print(f"{known.title} (effe-tool {__version__}, Python {sys.version.split()[0]})\n")
    if settings.action == "healthcheck":
        from .healthcheck import check

        wrong = check(settings)
        return 0 if wrong is None else fail(f"not ready: {wrong}", 1)
    if settings.action == "call":
        from .healthcheck import call

        wrong = call(settings)
        return 0 if wrong is None else fail(wrong, 1)
    return _serve(settings, known)


def _serve(settings: Settings, known: Info) -> int:
    from .telemetry.log import Log

    log = Log(settings.log, known.name or known.module, access_log=settings.access_log)
    if "EFFE_WORKER" in os.environ:
        from .process.worker import work

        return work(settings, known, log)
    if settings.workers is not None:
        from .process.supervisor import supervise

        return supervise(settings, known, log)
    from .process.serve import serve

    return serve(settings, known, log)


def _about(made: Info | None) -> str:
    if made is None:
        return "Serve an effe from its source: the first argument is a .py file, or a directory with logic.py."
    return f"{made.title}: {made.doc}" if made.doc else made.title


def _print(text: str) -> int:
    if sys.stdout is None:  # `>&-`
        return fail("stdout is closed", 1)
    try:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:  # a locale that lacks a character: INFO is UTF-8
            sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    except OSError as error:
        discard(1)
        if not isinstance(error, BrokenPipeError):  # `-help | head -1`: the reader has what it wanted
            return fail(f"stdout: {error.strerror}", 1)
    return 0


def _fill() -> None:
    """Open what of stdin, stdout and stderr is closed: else a client's socket gets that number, and the log with it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


if __name__ == "__main__":
    sys.exit(main())
