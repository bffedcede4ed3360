"""Write an artefact: the shell header, compiled code, the base made by pex, the runtime, the author's files.

The base's entries are copied as they are, packed; only what names its hash is written anew. pex keeps what it
unpacks under `pex_hash` and `code_hash`, so both follow the content: an artefact never meets another's cache.
"""

from __future__ import annotations

import hashlib
import json
import marshal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

from ..artifact import BUILD_RECORD
from ..errors import BuildError, Place
from ..info import Info
from . import archive, boot
from .archive import Entry, Writer
from .base import ENTRY_POINT
from .bytecode import compile_for
from .cache import Cache
from .plan import File

__all__ = ["Contents", "runtime_files", "tool_digest", "write"]

PEX_INFO = "PEX-INFO"
HASHED = ("__main__.py", "__pex__/__init__.py")
LOADER = "__effe__/loader.py"


@dataclass(frozen=True)
class Contents:
    """All that decides the bytes of an artefact.

    Attributes:
        info: INFO.
        module: the name the logic is imported by.
        files: the author's.
        python: the version specifier it declares.
        pythons: an interpreter for each minor it is compiled for.
        facts: what the artefact says of itself.
        extra: further files of the tool's, by name: lock, SBOM.
        date: MS-DOS time and date of the entries.
        targets: minors whose wheels are inside, empty for any; None when there are wheels for several targets, of which
            only pex's boot knows how to choose.
        native: the machine that the wheels are for, None when they are for any.
    """

    info: Info
    module: str
    files: Sequence[File]
    python: str
    pythons: Mapping[int, Path]
    facts: Mapping[str, object]
    extra: Mapping[str, bytes]
    date: tuple[int, int]
    targets: frozenset[int] | None = frozenset()
    native: tuple[str, str, bool] | None = None


@lru_cache(maxsize=1)
def runtime_files() -> tuple[tuple[str, bytes], ...]:
    """Return the runtime as it travels in every .pex: name and content, sorted."""
    root = files("effetool")
    found = {name: (root / name).read_bytes() for name in ("__init__.py", "py.typed")}
    for name in sorted(entry.name for entry in (root / "runtime").iterdir()):
        if name.endswith((".py", ".pyi")) or name == "py.typed":
            found[f"runtime/{name}"] = (root / "runtime" / name).read_bytes()
    return tuple((f"effetool/{name}", found[name]) for name in sorted(found))


@lru_cache(maxsize=1)
def tool_digest() -> str:
    """Return one digest of everything of the tool that decides an artefact's bytes."""
    digest = hashlib.sha256()
    for name, data in runtime_files():
        digest.update(f"{name} {len(data)}\n".encode() + data)
    for entry in sorted(files(__package__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".py"):
            digest.update(entry.read_bytes())
    return digest.hexdigest()


def embedded(info: Info, module: str) -> bytes:
    """Return the source of `effetool.embedded`, which tells the runtime what the build knew."""
    lines = (
        '"""Written by the build: what this .pex is."""\n',
        f"MODULE = {module!a}",
        f"INFO = {info.text!a}",
        f"NAME = {info.name!a}",
        f"VERSION = {info.version!a}",
        f"NEEDS = { ({key: info.data[key] for key in ('env', 'secrets') if key in info.data})!a}",
        "",
    )
    return "\n".join(lines).encode()


def write(out: BinaryIO, contents: Contents, base: bytes, cache: Cache) -> int:
    """Write the artefact to `out`, which is empty, and return its size.

    Raises:
        BuildError: E131 when a file changed while it was read, E134 too large.
    """
    system = dict(runtime_files())
    system["effetool/embedded.py"] = embedded(contents.info, contents.module)
    author = {file.name: file for file in contents.files}
    intervals = boot.versions(contents.python)
    taken = boot.minors(intervals)
    loader = (files(__package__) / "loader.py").read_bytes()
    unpack = _unpack(contents, base)
    told = {"versions": intervals, "unpack": unpack}

    modules = [(path, data) for path, data in system.items() if path.endswith(".py")]
    modules += [(path, file.data) for path, file in author.items() if file.data is not None and path.endswith(".py")]
    sections = _sections(modules, loader, told, {m: p for m, p in contents.pythons.items() if m in taken}, cache)

    out.write(bytes(boot.HEADER_SIZE))
    writer = Writer(out, contents.date)
    source = writer.add(LOADER, loader, store=True), len(loader)
    places = {
        minor: (writer.add(f"__effe__/cpython-3{minor}.code", data, store=True), len(data))
        for minor, data in sections.items()
    }
    if unpack is not None and unpack["deps"]:
        for minor, data in _bytecode(contents, base, cache).items():
            writer.add(f"__effe__/cpython-3{minor}.pyc", data)
    writer.add("__effe__/boot.json", json.dumps(told, sort_keys=True).encode())
    writer.add(
        BUILD_RECORD,
        json.dumps(
            {**contents.facts, "compiled": [f"3.{minor}" for minor in sections]}, sort_keys=True, indent=1
        ).encode(),
    )
    for path in sorted(contents.extra):
        writer.add(path, contents.extra[path])
    kept, anew = _renewed(base, contents, [*system.items()], [*author.values()])
    for path, data in anew.items():
        writer.add(path, data)
    writer.splice(base, kept)
    for path in sorted(system):
        writer.add(path, system[path])
    for path in sorted(author):
        file = author[path]
        if file.data is not None:
            writer.add(path, file.data, executable=file.executable)
        else:
            writer.add_stream(path, _again(file), file.crc, file.size, executable=file.executable)
    size = writer.close()
    out.seek(0)
    title = " ".join(filter(None, (contents.info.name or contents.module, contents.info.version)))
    targets = contents.targets
    # None: only pex's boot can choose among wheels for several targets.
    taken = [] if targets is None else sorted(taken, key=lambda minor: minor not in targets)
    out.write(boot.header(title, f"CPython {contents.python}", taken, places, source))
    return size


def _unpack(contents: Contents, base: bytes) -> dict[str, object] | None:
    """Return what the loader has to make files of: distributions, and data that the author opens by `__file__`."""
    deps = sorted(
        {f".deps/{e.name.split('/')[1]}/" for e in archive.entries(base) if e.name.startswith(".deps/")} - {".deps//"}
    )
    own: list[str] = []
    if any(not f.name.endswith(".py") for f in contents.files) and any(
        f.data is not None and f.name.endswith(".py") and b"__file__" in f.data for f in contents.files
    ):
        own = [file.name for file in contents.files]
    if not deps and not own:
        return None
    digests = [file.digest for file in contents.files] if own else []
    told = json.dumps([contents.facts["distributions"], deps, own, digests, tool_digest()], sort_keys=True)
    key = hashlib.sha256(told.encode()).hexdigest()[:32]
    return {"key": key, "deps": deps, "own": own, "native": contents.native}


def _bytecode(contents: Contents, base: bytes, cache: Cache) -> dict[int, bytes]:
    """Return the distributions' modules compiled for the Pythons they were chosen for."""
    pythons = {minor: path for minor, path in contents.pythons.items() if minor in (contents.targets or ())}
    sources = []
    for entry in archive.entries(base):
        if entry.name.startswith(".deps/") and entry.name.endswith(".py") and "/.prefix/" not in entry.name:
            sources.append((entry.name.split("/", 2)[2], archive.read(base, entry)))
    return {
        minor: marshal.dumps([(name, code) for (name, _), code in zip(sources, codes, strict=True) if code], 2)
        for minor, (_, codes) in compile_for(pythons, sources, cache).items()
    }


def _sections(
    modules: Sequence[tuple[str, bytes]],
    loader: bytes,
    told: Mapping[str, object],
    pythons: Mapping[int, Path],
    cache: Cache,
) -> dict[int, bytes]:
    """Return the section of each Python; the runtime and the author's code are cached apart."""
    groups: tuple[list[tuple[str, bytes]], ...] = (
        [
            ("loader.py", loader),
            *(m for m in modules if m[0].startswith("effetool/") and m[0] != "effetool/embedded.py"),
        ],
        [m for m in modules if not m[0].startswith("effetool/") or m[0] == "effetool/embedded.py"],
    )
    compiled = [compile_for(pythons, group, cache) for group in groups]
    sections = {}
    for minor in sorted(pythons, reverse=True):
        if any(minor not in answer for answer in compiled):
            continue
        magic = compiled[0][minor][0]
        codes = {
            path: code
            for group, answer in zip(groups, compiled, strict=True)
            for (path, _), code in zip(group, answer[minor][1], strict=True)
        }
        program = codes.pop("loader.py", b"")
        index: dict[str, tuple[str, int, int, bool]] = {}
        at = 0
        for path in sorted(codes):
            code = codes[path]
            if not code:
                continue
            module, package = _module(path)
            index[module] = (path, at, len(code), package)
            at += len(code)
        for path in [*codes]:  # folders without __init__.py
            parts = path.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                index.setdefault(".".join(parts[:depth]), ("/".join(parts[:depth]), 0, 0, True))
        ordered = [codes[path] for path in sorted(codes) if codes[path]]
        sections[minor] = boot.section(program, {**told, "index": index}, ordered, magic)
    return sections


def _module(path: str) -> tuple[str, bool]:
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        return ".".join(parts[:-1]), True
    return ".".join(parts), False


def _renewed(
    base: bytes, contents: Contents, system: Sequence[tuple[str, bytes]], author: Sequence[File]
) -> tuple[list[Entry], dict[str, bytes]]:
    """Return the base's entries to copy, and those that name its hash, written anew."""
    found = {entry.name: entry for entry in archive.entries(base)}
    told = json.loads(archive.read(base, found[PEX_INFO]))
    old = told["pex_hash"]
    code = hashlib.sha1(usedforsecurity=False)
    for path, data in system:
        code.update(f"{path} {hashlib.sha256(data).hexdigest()}\n".encode())
    for file in author:
        code.update(f"{file.name} {file.digest} {file.executable}\n".encode())
    told["code_hash"] = code.hexdigest()
    told["entry_point"] = ENTRY_POINT
    told["interpreter_constraints"] = [f"CPython{contents.python}"]
    told["build_properties"] = {**told["build_properties"], "effe_tool": contents.facts["tool"]}
    told["pex_hash"] = ""
    new = hashlib.sha1(
        _dump(told) + json.dumps(contents.facts, sort_keys=True).encode(), usedforsecurity=False
    ).hexdigest()
    told["pex_hash"] = new
    anew = {PEX_INFO: _dump(told)}
    for path in HASHED:
        text = archive.read(base, found[path]).decode()
        if text.count(old) != 1 or "has_interpreter_constraints=" not in text:
            raise BuildError(
                f"{path} of this pex is not as expected", code="E135", fix="effe-tool doctor, or another version of pex"
            )
        text = text.replace(old, new).replace("has_interpreter_constraints=False", "has_interpreter_constraints=True")
        anew[path] = text.encode()
    return [entry for name, entry in found.items() if name not in anew], anew


def _dump(told: Mapping[str, object]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def _again(file: File) -> Iterator[bytes]:
    """Read a large file a second time and see that it is the one that was hashed."""
    digest = hashlib.sha256()
    size = 0
    with file.path.open("rb") as stream:
        for chunk in archive.chunks(stream):
            digest.update(chunk)
            size += len(chunk)
            if size > file.size:
                break
            yield chunk
    if size != file.size or digest.hexdigest() != file.digest:
        raise BuildError(
            f"{file.path} changed while it was packed", code="E131", place=Place(file.path), fix="build again"
        )
