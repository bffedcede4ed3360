"""Write an artefact: the shell header, compiled code, the base made by pex, the runtime, the author's files.

The base's entries are copied as they are, packed; only what names its hash is written anew. pex keeps what it
unpacks under `pex_hash` and `code_hash`, so both follow the content: an artefact never meets another's cache.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from ...effe.artifact import BUILD_RECORD
from ...effe.info import Info
from ...errors import BuildError, Place
from ..requirements.pythons import minors, versions
from ..store.cache import Cache
from . import shell_header, zip_writer
from .bytecode import compile_for
from .contents import HOUSE, Contents, loader_source, runtime_files, tool_digest
from .files import File
from .pex_base import ENTRY_POINT
from .zip_writer import Entry, Writer

if TYPE_CHECKING:
    from .zip_safe import Wheel

__all__ = ["Compiled", "compile_modules", "write"]

PEX_INFO = "PEX-INFO"
# Of pex only for distributions with legacy namespace packages, and in it only when it runs on Python below 3.12: left
# out, an artefact without distributions is the same whichever Python made it.
UNUSED = ".bootstrap/pex/vendor/_vendored/setuptools/"
HASHED = ("__main__.py", "__pex__/__init__.py")
LOADER = "__effe__/loader.py"
EMBEDDED = "effetool/embedded.py"
# For each minor its magic number and the deflated code of each module; empty where it does not compile.
Compiled = dict[int, tuple[bytes, dict[str, bytes]]]


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


def compile_modules(contents: Contents, cache: Cache) -> Compiled:
    """Compile the loader, the runtime and the author's modules for each Python; the runtime is cached apart.

    Needs no base, so that pex can make one meanwhile.
    """
    loader = ("loader.py", loader_source())
    runtime = [file for file in runtime_files() if file[0].endswith(".py")]
    modules = [(EMBEDDED, embedded(contents.info, contents.module))]
    modules += [(f.name, f.data) for f in contents.files if f.data is not None and f.name.endswith(".py")]
    found: Compiled = {}
    answers = [(group, compile_for(contents.pythons, group, cache)) for group in ([loader, *runtime], modules)]
    for minor in contents.pythons:
        if all(minor in answer for _, answer in answers):
            codes = {
                path: code for group, answer in answers for (path, _), code in zip(group, answer[minor][1], strict=True)
            }
            found[minor] = answers[0][1][minor][0], codes
    return found


def write(
    out: BinaryIO, contents: Contents, base: bytes, compiled: Compiled, wheels: Sequence[Wheel], cache: Cache
) -> int:
    """Write the artefact to `out`, which is empty, and return its size.

    Raises:
        BuildError: E131 when a file changed while it was read, E134 too large.
    """
    runtime = _runtime(cache)
    own = embedded(contents.info, contents.module)
    author = {file.name: file for file in contents.files}
    intervals = versions(contents.python)
    taken = minors(intervals)
    loader = loader_source()
    inside = zip_writer.entries(base)
    told = {"versions": intervals, "unpack": _unpack(contents, {wheel.file for wheel in wheels}), "wheels": None}

    out.write(bytes(shell_header.HEADER_SIZE))
    writer = Writer(out, contents.date)
    source = writer.add(LOADER, loader, store=True), loader
    places = {}
    for minor in sorted(compiled, reverse=True):
        data = _section(*compiled[minor], {**told, **_straight(contents, wheels, minor, writer)})
        places[minor] = writer.add(f"__effe__/cpython-3{minor}.code", data, store=True), data
    if contents.facts["distributions"]:
        writer.add("__effe__/child/sitecustomize.py", (HOUSE / "builder/package/child_site.py").read_bytes())
    writer.add("__effe__/boot.json", json.dumps(told, sort_keys=True).encode())
    record = {**contents.facts, "compiled": [f"3.{minor}" for minor in places]}
    writer.add(BUILD_RECORD, json.dumps(record, sort_keys=True, indent=1).encode())
    for path in sorted(contents.extra):
        writer.add(path, contents.extra[path])
    kept, anew = _renewed(base, inside, contents, [*runtime_files(), (EMBEDDED, own)], [*author.values()])
    for path, data in anew.items():
        writer.add(path, data)
    writer.splice(base, kept)
    writer.splice(runtime, zip_writer.entries(runtime))
    writer.add(EMBEDDED, own)
    # Unpacked they are packages of one folder alone, the only kind that importlib.resources takes.
    writer.hide(_folders(author) - _folders(path for path in author if path.endswith(".py")))
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
    out.write(shell_header.header(title, f"CPython {contents.python}", taken, places, source, size))
    return size


def _runtime(cache: Cache) -> bytes:
    """Return a zip of the runtime, which is deflated once."""
    key = tool_digest()
    kept = cache.get("runtime", key)
    if kept is None:
        packed = io.BytesIO()
        writer = Writer(packed)
        for path, data in runtime_files():
            writer.add(path, data)
        writer.close()
        kept = packed.getvalue()
        cache.put("runtime", key, kept)
    return kept


def _unpack(contents: Contents, wheels: Collection[str]) -> dict[str, object] | None:
    """Return what the loader has to make files of: distributions, and the author's files when data is among them.

    There are more ways to a file beside a module than a text can be searched for: a framework looks for it by the
    name of the module (`Flask(__name__)`, `jinja2.PackageLoader`), and most ways need a path. So data alone decides.
    """
    deps = sorted(f".deps/{wheel}/" for wheel in wheels)
    own = [file.name for file in contents.files] if any(map(_is_data, contents.files)) else []
    if not deps and not own:
        return None
    digests = [file.digest for file in contents.files] if own else []
    told = json.dumps([contents.facts["distributions"], deps, own, digests, tool_digest()], sort_keys=True)
    key = hashlib.sha256(told.encode()).hexdigest()[:32]
    return {"key": key, "deps": deps, "own": own, "native": contents.native, "code": []}


def _folders(paths: Iterable[str]) -> set[str]:
    return {"/".join(parts[:depth]) for path in paths for parts in [path.split("/")] for depth in range(1, len(parts))}


def _is_data(file: File) -> bool:
    """Tell whether a file is there for the running effe: stubs and markers are for type checkers."""
    return not file.name.endswith((".py", ".pyi")) and file.name.rpartition("/")[2] != "py.typed"


def _straight(contents: Contents, wheels: Sequence[Wheel], minor: int, writer: Writer) -> dict[str, object]:
    """Write the wheels' code for a Python, and return what its loader is told of them."""
    if not wheels or any(minor not in wheel.code for wheel in wheels):
        return {}
    from .zip_safe import staying

    stay = staying(wheels, [file.data for file in contents.files if file.data is not None])
    pieces = [wheel.code[minor][path] for wheel in wheels for path in sorted(wheel.code[minor])]
    at = writer.add(f"__effe__/cpython-3{minor}.wheels.code", b"".join(pieces), store=True)
    index: dict[str, tuple[str, int, int, bool]] = {}
    code = []
    for wheel in wheels:
        prefix = f".deps/{wheel.file}/"
        for path in sorted(wheel.code[minor]):
            size = len(wheel.code[minor][path])
            if wheel.file in stay:
                module, package = _module(path)
                index[module] = (prefix + path, at, size, package)
            else:
                code.append((path, at, size))
            at += size
    for name, folders in _namespaces(index).items():
        index[name] = ("|".join(folders), 0, 0, True)
    unpack = _unpack(contents, {wheel.file for wheel in wheels} - stay)
    if unpack is not None:
        unpack["code"] = code
    tops = frozenset().union(*(wheel.tops for wheel in wheels if wheel.file not in stay))
    metadata = [(wheel.name, f".deps/{wheel.file}/{wheel.metadata}/", wheel.file in stay) for wheel in wheels]
    paths = [f".deps/{wheel.file}" for wheel in wheels if wheel.file in stay]
    return {"unpack": unpack, "wheels": {"index": index, "paths": paths, "tops": tops, "metadata": metadata}}


def _section(magic: bytes, codes: Mapping[str, bytes], told: Mapping[str, object]) -> bytes:
    """Return the section of one Python: its loader, what that is told, and the modules."""
    index: dict[str, tuple[str, int, int, bool]] = {}
    at = 0
    modules = {path: codes[path] for path in sorted(codes) if codes[path] and path != "loader.py"}
    for path, code in modules.items():
        module, package = _module(path)
        index[module] = (path, at, len(code), package)
        at += len(code)
    for path in codes:  # folders without __init__.py
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            index.setdefault(".".join(parts[:depth]), ("/".join(parts[:depth]), 0, 0, True))
    program = zlib.decompress(codes["loader.py"])
    return shell_header.section(program, {**told, "index": index}, [*modules.values()], magic)


def _namespaces(index: Mapping[str, tuple[str, int, int, bool]]) -> dict[str, list[str]]:
    """Return the packages without `__init__.py`, and the folders of each."""
    found: dict[str, list[str]] = {}
    for name, (path, *_, package) in index.items():
        parts = name.split(".")
        folder = path.split("/")[: -1 - package]
        for depth in range(len(parts) - 1, 0, -1):
            above = ".".join(parts[:depth])
            place = "/".join(folder[: len(folder) - (len(parts) - 1 - depth)])
            if above not in index and place not in found.setdefault(above, []):
                found[above].append(place)
    return found


def _module(path: str) -> tuple[str, bool]:
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        return ".".join(parts[:-1]), True
    return ".".join(parts), False


def _renewed(
    base: bytes,
    inside: Sequence[Entry],
    contents: Contents,
    system: Sequence[tuple[str, bytes]],
    author: Sequence[File],
) -> tuple[list[Entry], dict[str, bytes]]:
    """Return the base's entries to copy, and those that name its hash, written anew."""
    found = {entry.name: entry for entry in inside}
    told = json.loads(zip_writer.read(base, found[PEX_INFO]))
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
        text = zip_writer.read(base, found[path]).decode()
        if text.count(old) != 1 or "has_interpreter_constraints=" not in text:
            raise BuildError(
                f"{path} of this pex is not as expected", code="E135", fix="effe-tool doctor, or another version of pex"
            )
        text = text.replace(old, new).replace("has_interpreter_constraints=False", "has_interpreter_constraints=True")
        anew[path] = text.encode()
    left = () if contents.facts["distributions"] else UNUSED
    return [entry for name, entry in found.items() if name not in anew and not name.startswith(left)], anew


def _dump(told: Mapping[str, object]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def _again(file: File) -> Iterator[bytes]:
    """Read a large file a second time and see that it is the one that was hashed."""
    digest = hashlib.sha256()
    size = 0
    with file.path.open("rb") as stream:
        for chunk in zip_writer.chunks(stream):
            digest.update(chunk)
            size += len(chunk)
            if size > file.size:
                break
            yield chunk
    if size != file.size or digest.hexdigest() != file.digest:
        raise BuildError(
            f"{file.path} changed while it was packed", code="E131", place=Place(file.path), fix="build again"
        )
