"""Read and write `pylock.toml` (PEP 751): the answer to a declaration, with a digest for every file.

Two forms are written. The author's has URLs, so that pip and uv install from it; credentials are taken out of them. The
one inside an artefact names files only: where a machine gets its packages from is no business of whoever has the
artefact, and two machines with different mirrors build the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from ...errors import DependencyError, Place
from ..requirements.declaration import read_toml
from ..requirements.requirement import Marker, Requirement, normalise, read_requirement
from ..requirements.versions import Specifiers, Version
from .index import without_credentials
from .target import Target


@dataclass(frozen=True, slots=True, order=True)
class File:
    """A wheel or a source distribution somewhere: `url` is empty where only its name and digest are known."""

    name: str
    url: str = ""
    sha256: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Pin:
    """One version of one distribution, and the files it comes in.

    Attributes:
        source: what is built where no wheel fits: a source distribution, or a directory or repository as a URL.
    """

    name: str
    version: str
    wheels: tuple[File, ...] = ()
    source: File | None = None
    marker: str | None = None
    requires_python: str | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock as read: the pins, the Pythons it is for, and the names it was asked for, where it tells."""

    path: Path
    pins: tuple[Pin, ...]
    requires_python: str | None
    roots: frozenset[str] = frozenset()

    def select(self, target: Target) -> list[Pin]:
        """Return the pins that count on a target."""
        environment = {**target.environment, "extras": "", "dependency_groups": ""}
        return [pin for pin in self.pins if pin.marker is None or Marker(pin.marker).holds(environment)]


def unmet(requirements: Iterable[Requirement], pins: Iterable[Pin], target: Target) -> Requirement | None:
    """Return the first requirement that the pins do not answer on a target, None when they answer all."""
    versions = {pin.name: pin.version for pin in pins}
    for requirement in requirements:
        if not requirement.applies(target.environment):
            continue
        version = versions.get(requirement.name)
        if version is None or (version and not requirement.versions.admit(version)):
            return requirement
    return None


def read_lock(path: Path) -> Lock:
    """Read a lock.

    Raises:
        DependencyError: E142 when it is no TOML or not what PEP 751 says.
    """
    table = read_toml(path)

    def wrong(what: str) -> DependencyError:
        return DependencyError(
            f"{path.name} is no lock (PEP 751): {what}",
            code="E142",
            place=Place(path),
            fix="write it anew with what made it, such as effe-tool build --lock",
        )

    version = table.get("lock-version")
    if not isinstance(version, str) or version.split(".")[0] != "1":
        raise wrong(f"lock-version {version!r}, 1.0 is known")
    packages, python = table.get("packages", []), table.get("requires-python")
    if not isinstance(packages, list):
        raise wrong("packages is no array of tables")
    pins: list[Pin] = []
    for package in packages:
        if not isinstance(package, dict) or not isinstance(package.get("name"), str):
            raise wrong("a package without a name")
        try:
            pins.append(_read_pin(package, path.parent))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise wrong(f"{package['name']}: {error}") from None
    try:
        Specifiers(str(python or ""))
    except ValueError as error:
        raise wrong(f"requires-python: {error}") from None
    try:
        roots = frozenset(read_requirement(text).name for text in table["tool"]["effe-tool"]["requirements"])  # type: ignore[index]
    except (LookupError, TypeError, ValueError):  # another tool's, or edited
        roots = frozenset()
    return Lock(path, tuple(pins), python if isinstance(python, str) else None, roots)


def parse_pins(table: Mapping[str, object], base: Path) -> list[Pin]:
    """Read the packages of a lock a resolver has just written; `base` is what its relative paths start from."""
    packages = table.get("packages", [])
    return [_read_pin(package, base) for package in packages] if isinstance(packages, list) else []


def _read_pin(package: Mapping[str, object], base: Path) -> Pin:
    marker, python, version = (package.get(key) for key in ("marker", "requires-python", "version"))
    if marker is not None:
        Marker(str(marker))
    if version is not None:
        Version(str(version))
    wheels = package.get("wheels") or []
    if not isinstance(wheels, list):
        raise ValueError("wheels is no array")
    files = [_read_file(wheel, base) for wheel in wheels]
    source: File | None = None
    if isinstance(entry := package.get("sdist"), dict):
        source = _read_file(entry, base)
    elif isinstance(entry := package.get("archive"), dict):
        file = _read_file(entry, base)
        if file.name.endswith(".whl"):
            files.append(file)
        else:
            source = file
    elif isinstance(entry := package.get("directory"), dict):
        folder = (base / str(entry["path"])).resolve()
        source = File(folder.name, folder.as_uri())
    elif isinstance(entry := package.get("vcs"), dict):
        where = str(entry.get("url") or (base / str(entry["path"])).resolve().as_uri())
        below = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
        source = File(where.rpartition("/")[2], f"{entry['type']}+{where}@{entry['commit-id']}{below}")
    if not files and source is None:
        raise ValueError("neither a wheel nor a source distribution")
    return Pin(
        name=normalise(str(package["name"])),
        version=str(version or ""),
        wheels=tuple(files),
        source=source,
        marker=str(marker) if marker is not None else None,
        requires_python=str(python) if python is not None else None,
    )


def _read_file(entry: object, base: Path) -> File:
    if not isinstance(entry, dict):
        raise ValueError("a file that is no table")
    url, path, hashes = entry.get("url"), entry.get("path"), entry.get("hashes")
    size = entry.get("size")
    if isinstance(path, str):
        file = base / path
        name = str(entry.get("name") or file.name)
        url = file.resolve().as_uri() if file.exists() else ""
    else:
        name = str(entry.get("name") or unquote(urlsplit(str(url)).path.rpartition("/")[2]))
    # A file of that name is written to the cache: it may not lead anywhere else.
    if not re.fullmatch(r"[\w!+.,~-]+", name) or name.startswith("."):
        raise ValueError(f"{name!r} is no file name of a distribution")
    digest = str(hashes.get("sha256", "")) if isinstance(hashes, dict) else ""
    if digest and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"{name}: {digest!r} is no SHA-256 digest")
    return File(name, str(url or ""), digest, size if isinstance(size, int) else None)


def join_pins(answers: Mapping[Target, Iterable[Pin]]) -> list[Pin]:
    """Make one list of the answers for several targets, with markers where they differ.

    Raises nothing: equal pins become one; a pin that only some targets have gets a marker that names them.
    """
    found: dict[tuple[str, str], tuple[Pin, list[Target]]] = {}
    for target, pins in answers.items():
        for pin in pins:
            kept, targets = found.setdefault((pin.name, pin.version), (pin, []))
            wheels = tuple(sorted({*kept.wheels, *pin.wheels}))
            joined = Pin(pin.name, pin.version, wheels, kept.source or pin.source, None, pin.requires_python)
            found[pin.name, pin.version] = (joined, [*targets, target])
    every = len(answers)
    return [
        Pin(
            pin.name,
            pin.version,
            pin.wheels,
            pin.source,
            None if len(targets) == every else write_marker(targets, list(answers)),
            pin.requires_python,
        )
        for _, (pin, targets) in sorted(found.items())
    ]


def write_marker(targets: Sequence[Target], every: Sequence[Target]) -> str:
    """Write the marker that is true for `targets` and for no other of `every`."""
    choices = []
    for target in targets:
        parts = []
        if len({one.python for one in every}) > 1:
            parts.append(f"python_version == '{target.version}'")
        if len({one.platform for one in every}) > 1:
            environment = target.environment
            for key in ("sys_platform", "platform_machine"):
                parts.append(f"{key} == '{environment[key]}'")
        choices.append(" and ".join(parts))
    choices = sorted(set(choices))
    return choices[0] if len(choices) == 1 else " or ".join(f"({choice})" for choice in choices)


def write_lock(pins: Iterable[Pin], requires_python: str, tool: Mapping[str, object], *, urls: bool) -> str:
    """Give a lock as text, the same for the same answer.

    Args:
        pins: the answer, in order.
        requires_python: the Pythons it is for.
        tool: what `[tool.effe-tool]` says of it: strings and lists of strings.
        urls: whether each file's URL is written (without credentials), or its name only.
    """
    lines = ['lock-version = "1.0"', 'created-by = "effe-tool"', f"requires-python = {_toml(requires_python)}"]
    for pin in pins:
        lines += ["", "[[packages]]", f"name = {_toml(pin.name)}"]
        if pin.version:
            lines.append(f"version = {_toml(pin.version)}")
        if pin.marker:
            lines.append(f"marker = {_toml(pin.marker)}")
        if pin.requires_python:
            lines.append(f"requires-python = {_toml(pin.requires_python)}")
        if pin.source and not pin.wheels:
            lines.append(_source(pin.source, urls=urls))
        if pin.wheels:
            lines.append("wheels = [")
            lines += [f"    {_file(wheel, urls=urls)}," for wheel in sorted(pin.wheels)]
            lines.append("]")
    lines += ["", "[tool.effe-tool]", *(f"{key} = {_toml(value)}" for key, value in sorted(tool.items()))]
    return "\n".join(lines) + "\n"


def _source(file: File, *, urls: bool) -> str:
    kind, _, rest = file.url.partition("+")
    if kind in ("git", "hg", "svn", "bzr") and rest:
        where, _, after = rest.rpartition("@")
        commit, _, below = after.partition("#subdirectory=")
        extra = f", subdirectory = {_toml(below)}" if below else ""
        return (
            f"vcs = {{ type = {_toml(kind)}, url = {_toml(without_credentials(where))}, "
            f"commit-id = {_toml(commit)}{extra} }}"
        )
    if not file.sha256:  # a directory on the author's machine
        path = unquote(urlsplit(file.url).path) if urls else file.name
        return f"directory = {{ path = {_toml(path)} }}"
    return f"sdist = {_file(file, urls=urls)}"


def _file(file: File, *, urls: bool) -> str:
    parts = [f"name = {_toml(file.name)}"]
    if urls and file.url:
        parts.append(f"url = {_toml(without_credentials(urljoin(file.url, file.url)))}")
    else:
        parts.append(f"path = {_toml(file.name)}")
    if file.size is not None:
        parts.append(f"size = {file.size}")
    parts.append(f"hashes = {{ sha256 = {_toml(file.sha256)} }}")
    return f"{{ {', '.join(parts)} }}"


def _toml(value: object) -> str:
    """Write a string, or a list of strings: a JSON string is a TOML basic string but for DEL (TOML 1.0)."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
