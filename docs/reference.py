"""Write what pages of docs/ take from the code: cli.md, errors.md, and parts of server.md and ARCHITECTURE.md.

python docs/reference.py            write them
python docs/reference.py --check    fail if they are out of date
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import sys
import tomllib
from pathlib import Path

from effetool.cli.application import application
from effetool.cli.commands import COMMANDS
from effetool.error_codes import CODES
from effetool.runtime.server.states import TIMES

FOLDER = Path(__file__).with_name("reference")
SERVER = Path(__file__).with_name("explanation") / "server.md"
ARCHITECTURE = Path(__file__).with_name("ARCHITECTURE.md")
ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- docs/reference.py writes from here -->\n", "<!-- docs/reference.py: to here -->\n"

CLI = """# The command line

*Written by `python docs/reference.py` from what `--help` prints.*

For all commands:

- **Streams.** stdout gets only the result: a path, JSON, YAML, or the body of an answer. Everything else goes to
  stderr. So `pex=$(effe-tool build -q)` works.
- **Exit code.** 0: done; 1: failed; 2: wrong usage; 130: interrupted by Ctrl-C.
- **Errors** have a code, a place and a fix. `effe-tool explain E112` explains a code; [Error codes](errors.md) lists
  all of them. With `--json` stdout is one document, also for an error:
  `{"error": {"code", "message", "file", "line", "column", "fix"}}`. `--traceback` shows a traceback.
- **Which effe.** A `.py` file is one effe, and so is a directory with `logic.py`. Any other directory stands for every
  effe below it. The default is the working directory or, if that is not an effe, its direct subdirectories.
  Hidden directories and those called `build`, `dist`, `node_modules`, `out`, `tests` or `venv` are skipped.
- **Colours** are used on a terminal; `NO_COLOR`, `FORCE_COLOR` and `TERM=dumb` are respected. A command asks questions
  only if stdin is a terminal.
- **Completion** of commands, flags and template names: `effe-tool --install-completion` in bash, zsh or fish.
- **Package indexes** are those of pip's and uv's configuration. The cache is `$XDG_CACHE_HOME/effe-tool`, otherwise
  `~/.cache/effe-tool`; it can be deleted at any time.

"""

ERRORS = """# Error codes

*Written by `python docs/reference.py`; `effe-tool explain CODE` prints the same paragraphs.*

"""


def help_of(*words: str) -> str:
    """Return what `effe-tool WORDS --help` prints on a terminal of the usual width."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        application(words[:1])([*words, "--help"], prog_name="effe-tool", standalone_mode=False)
    return printed.getvalue()


def below(text: str) -> list[str]:
    """Return the commands that a group's help lists."""
    listed = text.partition("\nCommands:\n")[2].splitlines()
    return [line.split()[0] for line in listed if line.startswith("  ") and line[2:3].strip()]


def cli() -> str:
    """Return the page of the commands."""
    os.environ["COLUMNS"] = "100"
    sections = []
    for command, aliases in COMMANDS.items():
        found = [(command,)]
        for words in found:
            text = help_of(*words)
            found += [(*words, one) for one in below(text)]
            also = (
                f"Also {' and '.join(f'`{alias}`' for alias in aliases)}.\n\n"
                if aliases and words == (command,)
                else ""
            )
            sections.append(f"## {' '.join(words)}\n\n{also}```text\n{text.rstrip()}\n```\n")
    return CLI + "\n".join(sections)


def errors() -> str:
    """Return the page of the error codes."""
    return ERRORS + "\n".join(f"## {code}: {entry.title}\n\n{entry.text}\n" for code, entry in CODES.items())


def server() -> str:
    """Return the page of the server with the table of its times."""
    rows = [
        ("waits for", "state", "ended by", "progress, which starts that time anew", "at most", "then"),
        ("---",) * 6,
        *TIMES,
    ]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return replaced(SERVER, table)


def replaced(page: Path, *parts: str) -> str:
    """Return the page with its marked parts replaced, in order."""
    before, *rest = page.read_text(encoding="utf-8").split(BEGIN)
    assert len(rest) == len(parts), f"{page}: {len(rest)} marked parts, and {len(parts)} to write"
    return before + "".join(
        f"{BEGIN}\n{part}\n{END}{old.partition(END)[2]}" for part, old in zip(parts, rest, strict=True)
    )


def layers() -> dict[str, list[list[str]]]:
    """Return the layers of each package that has some, from the top, without modules that do not exist."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = {}
    for contract in contracts:
        if contract["type"] == "layers":
            (package,) = contract["containers"]
            folder = ROOT.joinpath(*package.split("."))
            rows = [[name.strip("() ") for name in row.split("|")] for row in contract["layers"]]
            there = [[n for n in row if (folder / n).is_dir() or (folder / f"{n}.py").is_file()] for row in rows]
            found[package] = [row for row in there if row]
    return found


def tree() -> str:
    """Return each package of effetool/ with the first sentence of its docstring, in the order of the layers."""
    order = {
        f"{package}.{name}": at for package, rows in layers().items() for at, row in enumerate(rows) for name in row
    }

    def lines(folder: Path, depth: int) -> list[str]:
        told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        sentence = " ".join(told.partition("\n\n")[0].split()).partition(". ")[0].removesuffix(".")
        found = [f"{'  ' * depth}{folder.name + '/':<{18 - 2 * depth}}{sentence}"]
        package = ".".join(folder.relative_to(ROOT).parts)
        rooms = [init.parent for init in folder.glob("*/__init__.py")]
        for room in sorted(rooms, key=lambda room: (order.get(f"{package}.{room.name}", 0), room.name)):
            found += lines(room, depth + 1)
        return found

    return "```text\n" + "\n".join(lines(ROOT / "effetool", 0)) + "\n```\n"


def arrows() -> str:
    """Return the layers as the page shows them: one line for each, from the top."""
    found = []
    for package, rows in layers().items():
        shown = "\n".join(f"  {'  '.join(row)}" for row in rows)
        found.append(f"```text\n{package}\n{shown}\n```\n")
    return "\n".join(found)


def architecture() -> str:
    """Return the page of the architecture with its tree and its layers."""
    return replaced(ARCHITECTURE, tree(), arrows())


def main() -> int:
    """Write the pages; with `--check` say which is not what it would be, and return 1."""
    stale = 0
    pages = ((FOLDER / "cli.md", cli()), (FOLDER / "errors.md", errors()), (SERVER, server()))
    for path, text in (*pages, (ARCHITECTURE, architecture())):
        if sys.argv[1:] != ["--check"]:
            path.write_text(text, encoding="utf-8")
            print(path)
        elif path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what the tool says now: run python docs/reference.py", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
