"""The typer application: it reads a command line and explains a wrong one."""

from __future__ import annotations

import os
import re
import shlex
import sys
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

import typer
from typer import TyperException
from typer.core import TyperGroup

from ..errors import UsageError
from .commands import COMMANDS, COMPLETING
from .console import Console

__all__ = ["application", "run"]


class Ordered(TyperGroup):
    """The commands in the order of the table: typer itself puts groups, such as deploy, behind all others."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = [name for command, aliases in COMMANDS.items() for name in (command, *aliases)]
        return sorted(self.commands, key=order.index)


def application(words: tuple[str, ...] = ()) -> typer.Typer:
    """Return the application with the commands named by `words`, with all of them when none is."""
    app = typer.Typer(
        name="effe-tool",
        cls=Ordered,
        help="Turn a Python function into one file that serves HTTP.",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    for name, aliases in COMMANDS.items():
        if not words or not {name, *aliases}.isdisjoint(words):
            function = getattr(import_module(f".{name}", __package__), name)
            if isinstance(function, typer.Typer):
                app.add_typer(function, name=name)
                continue
            settings = getattr(function, "command_settings", {})
            app.command(name, **settings)(function)
            for alias in aliases:
                app.command(alias, hidden=True, **settings)(function)
    return app


def _version(value: bool) -> None:
    if value:
        from .. import __version__

        print(f"effe-tool {__version__}")
        raise typer.Exit


def root(
    version: bool = typer.Option(
        False, "--version", "-V", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Turn a Python function into one file that serves HTTP."""


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit code."""
    try:
        if not arguments and COMPLETING not in os.environ:  # help is what was meant, and nothing was done
            with redirect_stdout(sys.stderr):
                application()(["--help"], prog_name="effe-tool", standalone_mode=False)
            return 2
        code = application(_command(arguments))(arguments, prog_name="effe-tool", standalone_mode=False)
    except typer.Abort:
        return 130
    except TyperException as error:
        return _usage(error, arguments)
    return code if isinstance(code, int) else 0


def _command(arguments: list[str]) -> tuple[str, ...]:
    """Return the command's word where it is one: the only words before it are flags without a value."""
    if COMPLETING in os.environ:
        return ()
    word = next((word for word in arguments if not word.startswith("-")), None)
    known = {alias for name, aliases in COMMANDS.items() for alias in (name, *aliases)}
    return (word,) if word in known else ()


def _usage(error: TyperException, arguments: list[str]) -> int:
    """Draw what typer refuses as any other error: exit 2."""
    import difflib

    (command,) = _command(arguments) or (None,)
    option = getattr(error, "option_name", None)
    near = getattr(error, "possibilities", None)
    word = next((word for word in arguments if not word.startswith("-")), None)
    message = error.format_message().strip().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    fix = f"{context.command_path if context else ' '.join(filter(None, ('effe-tool', command)))} --help"
    if option is not None and message.startswith("no such option"):
        message = f"no such option: {option}"
        if command and arguments.index(command) > next((i for i, a in enumerate(arguments) if a == option), 99):
            words = [word for word in arguments if word not in (command, option)]
            fix = f"flags stand after the command: {shlex.join(['effe-tool', command, *words, option])}"
        elif near:
            bare = {one.lstrip("-"): one for one in near}  # the dashes are alike in all
            found = difflib.get_close_matches(option.lstrip("-"), bare, 1)
            fix = f"did you mean {bare[found[0]]}?" if found else fix
    elif command and (meant := _joined(message, arguments)):
        message, fix = f"no such option: {meant[0]}", f"did you mean {meant[1]}?"
    elif number := re.search(r"invalid value for (.+?): (?:('.*') is not)?.*valid (?:int|float)", message):
        message = f"{number[1]} takes a number" + (f", not {number[2]}" if number[2] else "")
    elif command is None and word is not None:
        message = f"no such command: {word}"
        fix = _meant(word)
    elif message.startswith("no such command"):  # a target of deploy
        wrong = message.split("'")[1]
        message = f"no such command: {command} {wrong}"
        found = difflib.get_close_matches(wrong, getattr(context.command, "commands", ()), 1) if context else []
        fix = f"did you mean effe-tool {command} {found[0]}?" if found else f"effe-tool {command} --help lists them"
    elif "unexpected extra argument" in message:
        message = f"more arguments than {command} takes: {message.rpartition(' (')[2][:-1]}"
    Console(json="--json" in arguments).error(UsageError(message, code="E001", fix=fix))
    return 2


def _joined(message: str, arguments: list[str]) -> tuple[str, str] | None:
    """Return a misspelt `-prot`, read as `-p rot`, and the `-port` that was meant."""
    import difflib

    refused = re.search(r"invalid value for (.+?): '(.*)' is not", message)
    if refused is None:
        return None
    names = [name for name in re.findall(r"'(-[^']+)'", refused[1]) if re.match(r"-\w\w", name)]
    for word in arguments:
        if re.match(r"-\w", word) and word[2:] == refused[2] and (near := difflib.get_close_matches(word, names, 1)):
            return word, near[0]
    return None


# What other tools call these.
ELSEWHERE = {"help": "--help", "version": "--version", "init": "new", "create": "new", "serve": "dev", "start": "run"}


def _meant(word: str) -> str:
    """Return the fix for an unknown command: one of a similar name, or `run` where the word is a path."""
    import difflib
    from pathlib import Path

    if Path(word).exists():
        return f"effe-tool run {shlex.quote(word)}, if it is an effe"
    named = {one: one for aliases in COMMANDS.items() for one in (aliases[0], *aliases[1])} | ELSEWHERE
    # Above difflib's own cutoff of 0.6, at which invoke is near to nope.
    found = difflib.get_close_matches(word, named, 1, 0.65)
    return f"did you mean effe-tool {named[found[0]]}?" if found else "effe-tool --help lists them"
