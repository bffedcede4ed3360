"""Templates to files: find them, render them, write all of them or none. Only importer of jinja2.

A template is a directory; each file in it that ends in `.jinja` becomes one file, its path rendered too.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .errors import Place, ScaffoldError

__all__ = ["Template", "conflicts", "find_template", "list_templates", "render_template", "templates_root", "write_all"]

DESCRIPTION = re.compile(r"\A\{#-?\s*(.+?)\s*-?#\}")
# What a template may hold at most: it is somebody else's, and it is read whole.
MAX_FILES = 200
MAX_FILE = 1024 * 1024


@dataclass(frozen=True)
class Template:
    """One template: its name, the directory it lies in and one line on it."""

    name: str
    directory: Path
    description: str


def templates_root() -> Path:
    """Return the directory of the tool's own templates: in the installed package, else in the checkout."""
    installed = resources.files("effetool") / "templates"
    if isinstance(installed, Path) and installed.is_dir():
        return installed
    return Path(__file__).resolve().parent.parent / "templates"


def list_templates() -> list[Template]:
    """Return the templates `new` offers, hello first; reads the first line of each."""
    found = []
    for directory in sorted((templates_root() / "effe").iterdir()):
        logic = directory / "logic.py.jinja"
        if logic.is_file():
            with logic.open(encoding="utf-8") as file:
                match = DESCRIPTION.match(file.readline())
            found.append(Template(directory.name, directory, match.group(1) if match else ""))
    return sorted(found, key=lambda template: template.name != "hello")


def find_template(name: str) -> Template:
    """Return the template of that name.

    Raises:
        ScaffoldError: E202 with the nearest name.
    """
    found = {template.name: template for template in list_templates()}
    if name in found:
        return found[name]
    import difflib

    near = difflib.get_close_matches(name, found, 1)
    raise ScaffoldError(
        f"no template {name!r}",
        code="E202",
        fix=f"did you mean {near[0]}? effe-tool new --list shows all" if near else "effe-tool new --list shows all",
    )


def render_template(directory: Path, values: Mapping[str, object]) -> dict[str, str]:
    """Render every file of a template in memory; writes nothing.

    Returns:
        The text of each file by its path below the root, with `/` between the parts.

    Raises:
        ScaffoldError: E203 when the template is faulty: a name it uses is not given, its syntax is wrong, a path leaves
            the directory, it is too large, or it is a link.
    """
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["literal"] = _literal
    environment.filters["docstring"] = _docstring
    files: dict[str, str] = {}
    for path in _template_files(directory):
        try:
            name = environment.from_string(path.relative_to(directory).as_posix()).render(values)
            target = _target(name, path)
            text = environment.from_string(path.read_text(encoding="utf-8")).render(values)
        except jinja2.TemplateSyntaxError as error:
            raise _faulty(f"{error.message}", path, error.lineno) from None
        except jinja2.TemplateError as error:
            raise _faulty(f"{error.message}", path, _line_in(error)) from None
        except (UnicodeDecodeError, OSError) as error:
            raise _faulty(f"cannot read it: {error}", path) from None
        if target in files:
            raise _faulty(f"two files render to {target}", path)
        files[target] = text.lstrip("\n") if text.startswith("\n") else text
    # The effe first, what is for people and tools last: the order it is read in.
    last = {"README.md": 1, ".gitignore": 2}
    return dict(sorted(files.items(), key=lambda item: (item[0] != "logic.py", last.get(item[0], 0), item[0])))


def conflicts(root: Path, files: Mapping[str, str]) -> list[str]:
    """Return which of the files exist below `root` already."""
    return [name for name in files if os.path.lexists(root / name)]


def write_all(root: Path, files: Mapping[str, str]) -> list[Path]:
    """Write every file below `root`, or none: what was there before is restored when one fails.

    They are written to a temporary directory beside `root` and renamed; files of the same name are replaced.

    Raises:
        ScaffoldError: E204 when the system refuses, with its word for it.
    """
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{root.resolve().name}.", dir=root.resolve().parent))
    except OSError as error:
        raise _unwritable(root, error) from error
    try:
        new = staging / "new"
        for name, text in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if not os.path.lexists(root):
            new.rename(root)
        else:
            _move_into(root, new, staging / "old", list(files))
    except OSError as error:
        raise _unwritable(root, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [root / name for name in files]


def _move_into(root: Path, new: Path, old: Path, names: list[str]) -> None:
    made: list[Path] = []
    directories: list[Path] = []
    kept: list[tuple[Path, Path]] = []
    try:
        for name in names:
            target = root / name
            for parent in reversed(target.relative_to(root).parents[:-1]):
                directory = root / parent
                if directory.is_symlink():
                    raise NotADirectoryError(20, "is a link", str(directory))
                if not directory.is_dir():
                    directory.mkdir()
                    directories.append(directory)
            if os.path.lexists(target):
                backup = old / name
                backup.parent.mkdir(parents=True, exist_ok=True)
                target.rename(backup)
                kept.append((backup, target))
            (new / name).rename(target)
            made.append(target)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        for backup, target in kept:
            backup.rename(target)
        for directory in reversed(directories):
            directory.rmdir()
        raise


def _template_files(directory: Path) -> list[Path]:
    found: list[Path] = []
    for parent, directories, names in os.walk(directory, followlinks=False):
        directories[:] = sorted(name for name in directories if name != ".git")
        for name in sorted([*directories, *names]):
            path = Path(parent, name)
            if path.is_symlink():
                raise _faulty("is a link", path)
            if name.endswith(".jinja") and not path.is_dir():
                if path.stat().st_size > MAX_FILE:
                    raise _faulty(f"is larger than {MAX_FILE} bytes", path)
                found.append(path)
        if len(found) > MAX_FILES:
            raise _faulty(f"holds more than {MAX_FILES} files", directory)
    if not found:
        raise _faulty("holds no file that ends in .jinja", directory)
    return found


def _target(name: str, path: Path) -> str:
    name = name.removesuffix(".jinja")
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise _faulty(f"its path renders to {name!r}, outside the directory", path)
    return "/".join(".gitignore" if part == "gitignore" else part for part in parts)


def _literal(value: object) -> str:
    """Return a value as Python source, strings in double quotes."""
    import json

    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _docstring(value: object) -> str:
    """Return text as it may stand inside a triple-quoted string, on one line."""
    return " ".join(str(value).split()).replace("\\", "\\\\").replace('"', "'").rstrip(".")


def _line_in(error: Exception) -> int | None:
    """Return the template's line a rendering error comes from: jinja2 maps its frames to it."""
    frames = error.__traceback__
    line = None
    while frames is not None:
        if frames.tb_frame.f_code.co_filename in ("<template>", "<unknown>"):
            line = frames.tb_lineno
        frames = frames.tb_next
    return line


def _faulty(message: str, path: Path, line: int | None = None) -> ScaffoldError:
    return ScaffoldError(
        f"the template cannot be used: {message}", code="E203", place=Place(path, line), fix=f"correct {path}"
    )


def _unwritable(root: Path, error: OSError) -> ScaffoldError:
    return ScaffoldError(
        f"cannot write {error.filename or root}: {error.strerror}",
        code="E204",
        place=Place(root),
        fix="check the path and its permissions; nothing was written",
    )
