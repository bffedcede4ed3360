"""The command line: parse, one operation, print. Only importer of typer.

A command's module holds one function: its parameters are its flags, its docstring is its help.
"""

from __future__ import annotations

import sys

import typer
from typer import TyperException

from ..console import Console
from ..errors import UsageError
from . import explain, info, new, run

__all__ = ["app", "main"]

app = typer.Typer(
    name="effe-tool",
    help="Turn a Python function into one file that serves HTTP.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# name, aliases (the original's short names), function
COMMANDS = (
    ("new", ("n",), new.new),
    ("run", (), run.run),
    ("info", (), info.info),
    ("explain", (), explain.explain),
)
for _name, _aliases, _function in COMMANDS:
    app.command(_name, **getattr(_function, "command_settings", {}))(_function)
    for _alias in _aliases:
        app.command(_alias, hidden=True, **getattr(_function, "command_settings", {}))(_function)


def _version(value: bool) -> None:
    if value:
        from .. import __version__

        print(f"effe-tool {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", "-V", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Turn a Python function into one file that serves HTTP."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        code = app(arguments, prog_name="effe-tool", standalone_mode=False)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except TyperException as error:
        return _usage(error, arguments)
    except BrokenPipeError:  # `effe-tool … | head` has read enough
        sys.stderr.close()
        return 1
    return code if isinstance(code, int) else 0


def _usage(error: TyperException, arguments: list[str]) -> int:
    """Draw what typer refuses as any other error: exit 2."""
    words = [word for word in arguments if not word.startswith("-")]
    known = {name for name, aliases, _ in COMMANDS for name in (name, *aliases)}
    command = f" {words[0]}" if words and words[0] in known else ""
    message = error.format_message().strip().rstrip(".")
    usage = UsageError(message[:1].lower() + message[1:], code="E001", fix=f"effe-tool{command} --help")
    Console(json="--json" in arguments).error(usage)
    return 2
