"""The command line: parse, one operation, print. Only importer of typer.

A command's module holds one function of its name: its parameters are its flags, its docstring is its help. Only the
module of the command that was typed is imported; all of them for help and for completion.
"""

from __future__ import annotations

import io
import os
import signal
import sys

__all__ = ["main", "unwritten"]


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else argv
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _terminated)
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a path that is not valid text is written as its bytes
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        return 130
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except OSError as error:
        code = unwritten(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = unwritten(error, said=code != 0)
    return code


def _run(arguments: list[str]) -> int:
    from . import plain

    if plain.build(arguments):
        return 0
    from .application import run

    return run(arguments)


def unwritten(error: OSError, *, said: bool = False) -> int:
    """Say that stdout takes no more, unless `… | head` has read enough; the flush at exit must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not (said or isinstance(error, BrokenPipeError)):
        from .console import Console
        from .reporting import refused

        Console().error(refused(error))
    return 1


def _open_closed_streams() -> None:
    """Open what was closed (`>&-`) to nothing: else the next file opened takes its number, and is written to."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def _terminated(number: int, frame: object) -> None:
    """Leave by an exception, so that what is half made is taken away (`kill` of a CI job, a closed terminal)."""
    signal.signal(number, signal.SIG_IGN)  # a closed terminal sends it twice, by the kernel and by the shell
    raise SystemExit(128 + number)
