"""`new`: an effe from a template, all of it or nothing."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..effe.info import check_name, check_version
from ..effe.project import IGNORED
from ..errors import InfoError, ScaffoldError, UsageError
from .catalog import find_template
from .render import render_template, templates_root
from .writing import conflicts, write_all

__all__ = ["DEBUG_PORT", "NewOptions", "Scaffold", "check_new_name", "new", "plan"]

# Where an editor's debugger attaches to `dev --debugpy`: debugpy's own customary port.
DEBUG_PORT = 5678
LAUNCH = ".vscode/launch.json"

# What an effe of one file does without.
ALONE = frozenset({"logic.py", "tests", "README.md", ".gitignore"})
# What each file is for, shown beside it.
PURPOSE = {
    "README.md": "run, test, build, ship",
    ".gitignore": "",
    LAUNCH: f"attach to effe-tool dev --debugpy {DEBUG_PORT}",
}


@dataclass(frozen=True)
class NewOptions:
    """What `new` was asked for.

    Attributes:
        target: `hello` makes a directory, `hello.py` one file, `.` fills the working directory.
        template: the name of a template, `./directory`, or `git+https://…@tag`.
        version: the version in INFO.
        doc: one line on the effe, the template's own when None.
        force: replace files that exist.
        vscode: write `.vscode/launch.json` too, which attaches to `dev --debugpy`.
    """

    target: Path
    template: str = "hello"
    version: str = "1.0"
    doc: str | None = None
    force: bool = False
    vscode: bool = False


@dataclass(frozen=True)
class Scaffold:
    """What `new` writes: the root, each file's text by its path below it, and whether it is one file alone."""

    root: Path
    name: str
    files: dict[str, str]
    single: bool

    @property
    def path(self) -> Path:
        """What the user calls the effe: the file or the directory."""
        return self.root / next(iter(self.files)) if self.single else self.root

    def purpose(self, name: str) -> str:
        """Return a few words on a file."""
        if name in PURPOSE:
            return PURPOSE[name]
        if name == "logic.py" or self.single:
            defined = re.findall(r"(?m)^(?:async )?def (init|start|run|stop|ready)\b", self.files[name])
            return f"the effe: INFO, {', '.join(defined)}"
        if name.startswith("tests/test_"):
            count = len(re.findall(r"(?m)^(?:async )?def test_", self.files[name]))
            return f"{count} tests" if count != 1 else "1 test"
        return ""


def plan(options: NewOptions, say: Callable[[str], None] = lambda line: None) -> Scaffold:
    """Render what `new` would write; writes nothing. `say` is told what takes time.

    Raises:
        UsageError: E115 for a name an effe cannot have, E116 for a version, E202 no such template.
        ScaffoldError: E201 files exist, E203 a faulty template, E206 a repository.
    """
    target = options.target
    if target.name == "..":
        raise UsageError(
            f"{target} is a directory above this one",
            code="E115",
            fix=f"effe-tool new {target.resolve()}, if you mean it",
        )
    single = target.suffix == ".py"
    name = check_new_name((target if target.name else target.resolve()).name.removesuffix(".py"))
    if name in IGNORED and not single:
        raise UsageError(
            f"no effe is looked for in a directory called {name!r}: such a one holds what is built or installed",
            code="E115",
            fix=f"effe-tool new {name}-effe",
        )
    try:
        check_version(options.version)
    except InfoError as error:
        raise UsageError(error.message.removeprefix("INFO: "), code=error.code, fix="--version 1.0") from None
    template = find_template(options.template, say)
    values = {
        "name": name,
        "version": options.version,
        "doc": options.doc or template.description.partition(":")[0] or "An effe",
        "module": name if single else "logic",
        "single": single,
    }
    files = template.render(values)
    root = target
    if single:
        beside = [file for file in files if file.split("/")[0] not in ALONE]
        if beside:
            raise ScaffoldError(
                f"the template {options.template} is more than one file: {', '.join(beside[:5])}",
                code="E205",
                fix=f"effe-tool new {target.with_suffix('')} -t {options.template}",
            )
        files = {target.name: files["logic.py"]}
        root = target.parent
    if options.vscode:
        files[LAUNCH] = render_template(templates_root() / "vscode", {"port": DEBUG_PORT})["launch.json"]
    scaffold = Scaffold(root, name, files, single)
    if not options.force:
        _refuse_existing(scaffold)
    return scaffold


def new(options: NewOptions, say: Callable[[str], None] = lambda line: None) -> Scaffold:
    """Write a new effe.

    Raises:
        as `plan`, and ScaffoldError E204 when the system refuses; nothing is left half-written.
    """
    scaffold = plan(options, say)
    write_all(scaffold.root, scaffold.files)
    return scaffold


def check_new_name(name: str) -> str:
    """Return `name` if a new effe may have it.

    Raises:
        UsageError: E115, with a name near to it that fits.
    """
    try:
        check_name(name)
    except InfoError as error:
        near = error.fix.split('"')[3] if error.fix else "hello"
        fix: str | None = f"effe-tool new {near}"
        try:
            check_new_name(near)
        except UsageError as further:  # Class is written class, which is a keyword
            fix = further.fix
        raise UsageError(error.message.replace("INFO: name", "the name"), code="E115", fix=fix) from None
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise UsageError(f"the name {name!r} is a keyword of Python", code="E115", fix=f"effe-tool new {name}-effe")
    if name == "effetool":
        raise UsageError("the name 'effetool' is the runtime's own", code="E115", fix="effe-tool new hello")
    if name in sys.stdlib_module_names:
        raise UsageError(
            f"the name {name!r} is a module of the standard library: importing it would find the wrong one",
            code="E115",
            fix=f"effe-tool new {name}-effe",
        )
    return name


def _refuse_existing(scaffold: Scaffold) -> None:
    if scaffold.root.exists() and not scaffold.root.is_dir():
        raise ScaffoldError(f"{scaffold.root} exists and is no directory", code="E201", fix="choose another name")
    found = conflicts(scaffold.root, scaffold.files)
    if not found:
        return
    kept = sorted({name.split("/")[0] + "/" for name in scaffold.files if "/" in name and name not in found})
    stays = f" ({', '.join(kept)} stays)" if kept and scaffold.root.joinpath(kept[0]).exists() else ""
    count = f"this file{stays}" if len(found) == 1 else f"these {len(found)} files{stays}"
    has = f"{scaffold.root}/ already has {', '.join(found)}" if not scaffold.single else f"{scaffold.path} exists"
    raise ScaffoldError(has, code="E201", fix=f"choose another name, or --force to replace {count}")
