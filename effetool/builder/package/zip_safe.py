"""The modules of the wheels, compiled for the straight start, and which wheels need not be unpacked for it.

A wheel stays in the file when it holds Python modules alone and none of them looks for files beside itself. It is
decided from the wheel's text, and in doubt it is unpacked, as every wheel with other files or native code is:

- one of its modules says `__file__` or `__path__` where importing it executes that
- or does so in a function, and the module has a word that reads, lists or runs files
- or it shares a top-level name with a wheel that is unpacked, or has one of the standard library's
- `pkg_resources` is named anywhere: it knows no archive of this kind, so nothing stays

`if __name__ == "__main__":` does not count: no import executes it.
"""

from __future__ import annotations

import hashlib
import marshal
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..store.cache import Cache
from .bytecode import compile_for
from .contents import tool_digest

if TYPE_CHECKING:
    import ast
    import zipfile

__all__ = ["Wheel", "compile_wheels", "staying"]

OWN_PATH = re.compile(rb"\b__(?:file|path)__\b")
TOUCHES = re.compile(
    rb"\b(?:open|listdir|scandir|walk|i?glob|rglob|iterdir|read_text|read_bytes|isfile|isdir|exists|is_file|is_dir|"
    rb"Popen|subprocess|run_path|spec_from_file_location|getsource|extend_path|walk_packages|iter_modules)\b"
)
FRAME = re.compile(rb"get(?:source)?file\(\s*(?:inspect\.)?currentframe")
METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
OLD = b"pkg_resources"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel as the loader imports it.

    Attributes:
        file: its file name: below `.deps/` it has a folder of that name.
        alone: whether it holds modules alone that look for no files.
        name: of the distribution, as its file name has it, in small letters.
        metadata: the folder of its metadata.
        old: whether it names `pkg_resources`.
        tops: the top-level names that it is imported by.
        code: for each minor, the path of each module in it and its code, marshalled and deflated.
    """

    file: str
    name: str
    metadata: str
    alone: bool
    old: bool
    tops: frozenset[str]
    code: Mapping[int, Mapping[str, bytes]]


def compile_wheels(wheels: Iterable[tuple[Path, str]], pythons: Mapping[int, Path], cache: Cache) -> list[Wheel]:
    """Read wheels, given with their SHA-256, and compile them for each Python; both are cached for each wheel."""
    found = []
    for path, sha256 in wheels:
        key = hashlib.sha256(repr((tool_digest(), sha256, sorted(pythons), sys.version_info[:2])).encode()).hexdigest()
        kept = cache.get("wheel", key)
        if kept is None:
            kept = marshal.dumps(_compiled(path, pythons, cache), 2)
            cache.put("wheel", key, kept)
        metadata, alone, old, tops, code = marshal.loads(kept)
        name = path.name.partition("-")[0].lower().replace(".", "_")
        found.append(Wheel(path.name, name, metadata, alone, old, frozenset(tops), code))
    return found


def staying(wheels: Sequence[Wheel], authors: Iterable[bytes]) -> frozenset[str]:
    """Return the file names of the wheels that are imported from the file."""
    if any(wheel.old for wheel in wheels) or any(OLD in source for source in authors):
        return frozenset()
    if len({wheel.name for wheel in wheels}) < len(wheels):
        return frozenset()  # two versions of one, for different targets
    taken = set(sys.stdlib_module_names).union(*(wheel.tops for wheel in wheels if not wheel.alone))
    return frozenset(wheel.file for wheel in wheels if wheel.alone and not wheel.tops & taken)


def _compiled(
    path: Path, pythons: Mapping[int, Path], cache: Cache
) -> tuple[str, bool, bool, list[str], dict[int, dict[str, bytes]]]:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        files = dict(_installed(archive))
        metadata = next((name.partition("/")[0] for name in archive.namelist() if METADATA.fullmatch(name)), "")
    sources = [(name, data) for name, data in sorted(files.items()) if name.endswith(".py")]
    alone = all(name.endswith((".py", ".pyi")) or name.rpartition("/")[2] == "py.typed" for name in files)
    alone = alone and not any(map(_looks_for_files, (source for _, source in sources)))
    tops = sorted({name.partition("/")[0].partition(".")[0] for name in files if "/" in name or name.endswith(".py")})
    code = {
        minor: {name: code for (name, _), code in zip(sources, codes, strict=True) if code}
        for minor, (_, codes) in compile_for(pythons, sources, cache).items()
    }
    return metadata, alone, any(OLD in source for _, source in sources), tops, code


def _installed(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    """Yield what a wheel puts into site-packages, without its metadata; the content of modules only."""
    for name in archive.namelist():
        parts = name.split("/")
        if parts[0].endswith(".data"):
            if parts[1] not in ("purelib", "platlib"):
                continue
            parts = parts[2:]
        if parts[-1] and not parts[0].endswith(".dist-info"):
            yield "/".join(parts), archive.read(name) if name.endswith(".py") else b""


def _looks_for_files(source: bytes) -> bool:
    import ast

    if FRAME.search(source):
        return True
    if not OWN_PATH.search(source):
        return False
    try:
        places = set(_places(ast.parse(source), inside=False))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    return False in places or (True in places and TOUCHES.search(source) is not None)


def _places(node: ast.AST, inside: bool) -> Iterator[bool]:
    """Yield, for each use that a module makes of its own path, whether a function has to be called for it."""
    import ast

    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name) and child.id in ("__file__", "__path__"):
            yield inside
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "__name__ == '__main__'":
            for other in child.orelse:
                yield from _places(other, inside)
        else:
            yield from _places(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))
