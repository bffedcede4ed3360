"""Find what an effe says it needs, and which of its files says so.

The first of these that is there wins, even when it declares nothing: the PEP 723 block of the module, `pylock.toml`
(PEP 751; `pylock.NAME.toml` for the single file NAME.py), `requirements.txt`, `[project]` of `pyproject.toml`. A lock
beside a block or a list is not a declaration but an answer to it: see `lock.py`.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ...effe.project import Project
from ...errors import DependencyError, Place
from .requirement import Requirement, read_requirement
from .versions import Specifiers

# Options of a requirements file that both resolvers take from one; the others are refused, not silently lost.
_OPTIONS = {
    "--index-url": "--index-url",
    "-i": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "--find-links": "--find-links",
    "-f": "--find-links",
    "--no-index": "--no-index",
    "--no-binary": "--no-binary",
    "--only-binary": "--only-binary",
    "--pre": "--pre",
    "--require-hashes": "",
    "--prefer-binary": "",
    "--trusted-host": "--trusted-host",
}


@dataclass(frozen=True, slots=True)
class Declaration:
    """What an effe needs, as declared.

    Attributes:
        origin: which declaration won, for people: "the script block of logic.py".
        file: where it stands; None when nothing is declared.
        requirements: the dependencies, markers not yet evaluated.
        places: where each of them stands.
        requires_python: a version specifier, None when not given.
        hashes: for a requirements file with hashes, the SHA-256 digests admitted, by normalised name.
        options: lines for the resolver's requirements file (`--index-url …`), never written into an artefact.
        lock: the lock that is itself the declaration, else None.
    """

    origin: str
    file: Path | None = None
    requirements: tuple[Requirement, ...] = ()
    places: tuple[Place | None, ...] = ()
    requires_python: str | None = None
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    lock: Path | None = None

    def place(self, name: str) -> Place | None:
        """Return where the dependency `name` (normalised) is declared."""
        for requirement, place in zip(self.requirements, self.places, strict=True):
            if requirement.name == name:
                return place
        return Place(self.file) if self.file else None


def lock_path(project: Project) -> Path:
    """Return where the lock of an effe is written: PEP 751 lets several lie in one directory by name."""
    return project.root / (f"pylock.{project.module.replace('.', '-')}.toml" if project.single else "pylock.toml")


def find_lock(project: Project) -> Path | None:
    """Return the lock of an effe when it has one."""
    for path in (lock_path(project), project.root / "pylock.toml"):
        if path.is_file():
            return path
    return None


def read_declaration(project: Project) -> Declaration:
    """Read the declaration that wins.

    Raises:
        DependencyError: E142 when it is malformed, with its place.
    """
    script = project.script
    if script.present:
        return Declaration(
            origin=f"the script block of {project.logic.name}",
            file=project.logic,
            requirements=tuple(map(_requirement, script.dependencies, script.places)),
            places=script.places,
            requires_python=_python(script.requires_python, project.logic),
        )
    lock = find_lock(project)
    if lock is not None:
        return Declaration(origin=lock.name, file=lock, lock=lock)
    if (path := project.root / "requirements.txt").is_file():
        return _read_requirements(path)
    if (path := project.root / "pyproject.toml").is_file():
        table = read_toml(path).get("project")
        if isinstance(table, dict):
            return _read_project(path, table)
    return Declaration(origin="no declaration")


def read_toml(path: Path) -> dict[str, object]:
    """Parse a TOML file. Raises DependencyError (E142) with the line at fault."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        row = re.search(r"at line (\d+), column (\d+)", str(error))
        place = find_place(path, int(row[1]), int(row[2])) if row else Place(path)
        message = f"{path.name} is not TOML: {str(error).split(' (at ')[0]}"
    except (OSError, UnicodeDecodeError) as error:
        place, message = Place(path), f"cannot read {path.name}: {error}"
    raise DependencyError(message, code="E142", place=place, fix="correct the file, then run the command again")


def find_place(path: Path, line: int, column: int | None = None) -> Place:
    """Return a place in a file together with its line, for the caret."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return Place(path, line, column, lines[line - 1] if 0 < line <= len(lines) else None)


def find_text(path: Path, text: str) -> Place:
    """Return where a string stands in a file, quoted, else bare."""
    for needle, offset in ((f'"{text}"', 2), (f"'{text}'", 2), (text, 1)):
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if (at := line.find(needle)) >= 0:
                return Place(path, number, at + offset, line)
    return Place(path)


def _requirement(text: str, place: Place | None) -> Requirement:
    try:
        requirement = read_requirement(text)
    except ValueError as error:
        fix = 'write for example "requests>=2.31"'
        raise DependencyError(f"not a dependency (PEP 508): {error}", code="E142", place=place, fix=fix) from None
    url = urlsplit(requirement.url or "")
    if url.password or (url.username and url.scheme in ("http", "https")):
        raise DependencyError(
            f"a secret in the URL of {requirement.name} would travel in the artefact",
            code="E142",
            place=place,
            fix=f"take it out of the URL and put it into ~/.netrc: machine {url.hostname} login USER password TOKEN",
        )
    return requirement


def _python(text: str | None, path: Path) -> str | None:
    if text is None:
        return None
    try:
        Specifiers(text)
    except ValueError as error:
        raise DependencyError(
            f"requires-python: {error}", code="E142", place=find_text(path, text), fix='write requires-python = ">=3.9"'
        ) from None
    return text


def _read_project(path: Path, table: dict[str, object]) -> Declaration:
    dynamic = table.get("dynamic")
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        raise DependencyError(
            "pyproject.toml leaves its dependencies to a build backend (dynamic)",
            code="E142",
            place=find_text(path, "dependencies"),
            fix="declare them in [project] dependencies, or in a `# /// script` block of the effe",
        )
    texts, python = table.get("dependencies", []), table.get("requires-python")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        fix = 'write dependencies = ["requests>=2"]'
        place = find_text(path, "dependencies")
        raise DependencyError("[project] dependencies is no list of strings", code="E142", place=place, fix=fix)
    places = tuple(find_text(path, text) for text in texts)
    return Declaration(
        origin="[project] of pyproject.toml",
        file=path,
        requirements=tuple(map(_requirement, texts, places)),
        places=places,
        requires_python=_python(python if isinstance(python, str) else None, path),
    )


def _read_requirements(path: Path, seen: frozenset[Path] = frozenset()) -> Declaration:
    requirements: list[Requirement] = []
    places: list[Place | None] = []
    hashes: dict[str, frozenset[str]] = {}
    options: list[str] = []
    for number, line in _logical_lines(path):
        place = find_place(path, number, 1)
        if line.startswith("-"):
            words = shlex.split(line.replace("=", " ", 1) if line.startswith("--") else line)
            option, value = words[0], " ".join(words[1:])
            if option in ("-r", "--requirement"):
                other = (path.parent / value).resolve()
                if other in seen or not other.is_file():
                    fix = "name an existing file that does not lead back here"
                    raise DependencyError(f"cannot follow -r {value}", code="E142", place=place, fix=fix)
                nested = _read_requirements(other, seen | {path.resolve()})
                requirements += nested.requirements
                places += nested.places
                hashes.update(nested.hashes)
                options += nested.options
            elif option in ("-c", "--constraint"):
                options.append(f"--constraint {(path.parent / value).resolve()}")
            elif option in _OPTIONS:
                if option in ("-f", "--find-links") and "://" not in value:
                    value = str((path.parent / value).resolve())
                if _OPTIONS[option]:
                    options.append(f"{_OPTIONS[option]} {value}".strip())
            else:
                fix = "install it from an index, or name it as `name @ URL`"
                raise DependencyError(f"{option} has no meaning in a build", code="E142", place=place, fix=fix)
            continue
        text, *digests = re.split(r"(?<!\s)\s+--hash[= ]", line)
        requirement = _requirement(text, place)
        requirements.append(requirement)
        places.append(place)
        if digests:
            sha256 = frozenset(d.strip().removeprefix("sha256:") for d in digests if d.startswith("sha256:"))
            hashes[requirement.name] = hashes.get(requirement.name, frozenset()) | sha256
    return Declaration(
        origin=path.name + (" with hashes" if hashes else ""),
        file=path,
        requirements=tuple(requirements),
        places=tuple(places),
        hashes=hashes,
        options=tuple(options),
    )


def _logical_lines(path: Path) -> list[tuple[int, str]]:
    """Join continued lines and drop comments, as pip reads a requirements file."""
    lines: list[tuple[int, str]] = []
    begun: tuple[int, str] | None = None
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot read {path.name}: {error}"
        raise DependencyError(message, code="E142", place=Place(path), fix="make it a UTF-8 text file") from None
    for number, line in enumerate(text.splitlines(), 1):
        part = re.sub(r"(^|\s)#.*$", "", line).strip()
        continued = part.endswith("\\")
        part = part.removesuffix("\\").strip()
        first, before = begun or (number, "")
        joined = f"{before} {part}".strip()
        begun = (first, joined) if continued else None
        if not continued and joined:
            lines.append((first, joined))
    if begun and begun[1]:
        lines.append(begun)
    return lines
