"""Templates to text: read them, render them in a sandbox. Only importer of jinja2.

A template is a set of files; each one that ends in `.jinja` becomes one file, its path rendered too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from importlib import resources
from pathlib import Path, PurePosixPath

from ..errors import Place, ScaffoldError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["MAX_FILE", "MAX_FILES", "MAX_TEXT", "faulty", "read_sources", "render", "render_template", "templates_root"]

# What a template may hold and make at most: it may be somebody else's, and it is held in memory. Bytes, characters.
MAX_FILES = 200
MAX_ENTRIES = 10_000
MAX_FILE = 1024 * 1024
MAX_TEXT = 8 * 1024 * 1024


def templates_root() -> Path:
    """Return the directory of the tool's own templates: in the installed package, else in the checkout."""
    installed = resources.files("effetool") / "templates"
    if isinstance(installed, Path) and installed.is_dir():
        return installed
    return Path(__file__).resolve().parents[2] / "templates"


def render_template(directory: Path, values: Mapping[str, object]) -> dict[str, str]:
    """Read the files of a directory and render them; as `render`."""
    return render(read_sources(directory), values, directory)


def read_sources(directory: Path) -> dict[str, str]:
    """Return the text of each `.jinja` file below a directory, by its path there.

    Raises:
        ScaffoldError: E203 for links, for what is no plain file or no UTF-8, and for too much of it.
    """
    found: dict[str, str] = {}
    seen = 0
    for parent, directories, names in os.walk(directory, followlinks=False):
        directories[:] = sorted(name for name in directories if name != ".git")
        seen += len(directories) + len(names)
        for name in sorted([*directories, *names]):
            path = Path(parent, name)
            if path.is_symlink():
                raise faulty("is a link", path)
            if not name.endswith(".jinja") or name in directories:
                continue
            try:
                status = path.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise faulty("is no plain file", path)
                if status.st_size > MAX_FILE:
                    raise faulty(f"is larger than {MAX_FILE} bytes", path)
                found[path.relative_to(directory).as_posix()] = path.read_text(encoding="utf-8")
            except (UnicodeError, OSError) as error:
                raise faulty(f"cannot read it: {error}", path) from None
        if len(found) > MAX_FILES or seen > MAX_ENTRIES:
            raise faulty(f"holds more than {MAX_FILES if len(found) > MAX_FILES else MAX_ENTRIES} files", directory)
        if sum(map(len, found.values())) > MAX_TEXT:
            raise faulty(f"holds more than {MAX_TEXT} bytes", directory)
    return found


def render(sources: Mapping[str, str], values: Mapping[str, object], origin: Path) -> dict[str, str]:
    """Render every file of a template in memory; writes nothing.

    Args:
        sources: the text of each file by its path in the template.
        values: the names it may use.
        origin: where the template is, for the place of an error.

    Returns:
        The text of each file by its path below the root, with `/` between the parts.

    Raises:
        ScaffoldError: E203 when the template is faulty: a name it uses is not given, its syntax is wrong, what it does
            is not allowed in the sandbox, a path leaves the directory, or it makes too much.
    """
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if not sources:
        raise faulty("holds no file that ends in .jinja", origin)
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
    size = 0
    for source, text in sources.items():
        path = origin / source
        try:
            target = _target(_text(environment.from_string(source), values, MAX_FILE), path)
            files_text = _text(environment.from_string(text), values, MAX_TEXT - size)
        except jinja2.TemplateSyntaxError as error:
            raise faulty(f"{error.message}", path, error.lineno) from None
        except ScaffoldError:
            raise
        except Exception as error:  # what its expressions raise, and the sandbox: range too big, a zero division
            raise faulty(str(error) or type(error).__name__, path, _line_in(error)) from None
        if target in files:
            raise faulty(f"two files render to {target}", path)
        size += len(files_text)
        files[target] = files_text.lstrip("\n") if files_text.startswith("\n") else files_text
    within = [name for name in files if any(parent.as_posix() in files for parent in PurePosixPath(name).parents)]
    if within:
        raise faulty(f"{within[0]} would lie within a file", origin)
    # The effe first, what is for people and tools last: the order it is read in.
    last = {"README.md": 1, ".gitignore": 2}
    return dict(sorted(files.items(), key=lambda item: (item[0] != "logic.py", last.get(item[0], 0), item[0])))


def _text(template: Template, values: Mapping[str, object], most: int) -> str:
    """Render piece by piece, so that what does not end is stopped."""
    pieces, size = [], 0
    for piece in template.generate(values):
        size += len(piece)
        if size > most:
            raise ValueError(f"it makes more than {MAX_TEXT} characters")
        pieces.append(piece)
    return "".join(pieces)


def _target(name: str, path: Path) -> str:
    name = name.removesuffix(".jinja")
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part for part in parts):
        raise faulty(f"its path renders to {name!r}, outside the directory", path)
    if any(not part.isprintable() or len(part.encode()) > 255 for part in parts) or len(parts) > 20:
        raise faulty(f"its path renders to {name[:80]!r}, which is no name for a file", path)
    # A repository's own directory, as any file system spells it: git would run what lies in it.
    if any(part.rstrip(". ").lower() in (".git", "git~1") for part in parts):
        raise faulty(f"its path renders to {name!r}, inside a repository's own directory", path)
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


def faulty(message: str, path: Path, line: int | None = None) -> ScaffoldError:
    """Return the error of a template that cannot be used."""
    return ScaffoldError(
        f"the template cannot be used: {message}", code="E203", place=Place(path, line), fix=f"correct {path}"
    )
