"""What goes into an artefact: the author's files, chosen by name alone and refused where they could do harm.

In: every regular file below the effe's directory, and symbolic links whose target is inside it, as what they point
to. A one-file effe is that file and nothing else. Left out:

- names that begin with `.` (version control, `.env`, caches, virtual environments)
- `__pycache__`, `tests`, `build`, `dist`, `out`, `node_modules`, `*.egg-info`, directories with `pyvenv.cfg`, and
  directories that are other effes (they have a `logic.py` of their own)
- `*.pyc`, `*.pyo`, `*~`, `test_*.py`, `*_test.py`, `conftest.py`
- what the tool makes: `*.pex`, `*.oci.tar`, both by their content under any other name, executables of `--scie`
- private keys: `*.key`, `*.p12`, `*.pfx`, and a `*.pem` that holds one; with a warning
- beside the logic: README, CHANGELOG, Makefile, Dockerfile, pyproject.toml, pylock*.toml, uv.lock, requirements*.txt
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...effe.info import RESERVED
from ...effe.project import Project
from ...errors import BuildError, EffeToolError, Place
from .zip_writer import LIMIT, chunks

__all__ = ["File", "plan"]

FOLDERS_OUT = frozenset({"__pycache__", "tests", "build", "dist", "out", "node_modules"})
ENDS_OUT = (".pyc", ".pyo", ".pex", ".oci.tar", "~", "_test.py", ".egg-info")
TOP_OUT = frozenset({"Makefile", "Dockerfile", "pyproject.toml", "uv.lock"})
# Names at the top of a .pex that are not the author's.
TAKEN = frozenset({"effetool", "effetool.py", "__main__.py", "__pex__", "__effe__", "pex-info", ".deps", ".bootstrap"})
# NTFS and exFAT refuse these; the .pex is unpacked on whatever its user has.
UNFIT = frozenset('<>:"|?*\\')
IN_MEMORY = 4 << 20
# How what the tool makes begins: the shell header of a .pex (`boot`), the first member of an image's tar.
OURS = re.compile(rb"#!/bin/sh\n# [^\n]{0,100}, built by effe-tool:|oci-layout\0")
KEYS = (".key", ".p12", ".pfx")
PRIVATE_KEY = re.compile(rb"^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----", re.MULTILINE)  # RFC 7468, section 10
# Bytes at the end of an executable of --scie among which its manifest is; it has some four thousand.
MANIFEST = 1 << 16
# Bytes from which on the author is told: what is larger is seldom meant.
LARGE = 50_000_000


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes in.

    Attributes:
        name: its path in the archive, `/` between the parts.
        path: where it is now.
        executable: whether its owner may execute it; nothing else of its mode travels.
        size: bytes.
        crc: CRC-32 of the content.
        digest: SHA-256 of the content, hexadecimal.
        data: the content, None for one too large to hold.
    """

    name: str
    path: Path
    executable: bool
    size: int
    crc: int
    digest: str
    data: bytes | None


def plan(project: Project, warn: Callable[[EffeToolError], None] = lambda warning: None) -> list[File]:
    """Return the files of `project` that go in, read and sorted by name.

    Args:
        project: the effe.
        warn: told of private keys that are left out (E160), and of files that are large together (E161).

    Raises:
        BuildError: E131 a file that cannot be read or is none, or a link that leaves the directory; E132 a name that
            is taken, clashes or cannot exist everywhere; E134 too large.
    """
    if project.single:
        names = {project.logic.name: project.logic}
    else:
        names = {}
        _walk(project.root, "", project.root.resolve(), names, ())
    _check_names(names)
    files = [file for name in sorted(names) if (file := _read(name, names[name])) is not None]
    for file in [file for file in files if _private(file)]:
        warn(_left_as_private(file))
        files.remove(file)
    if (total := sum(file.size for file in files)) > LARGE:
        warn(_large(max(files, key=lambda file: file.size), total))
    return files


def _walk(folder: Path, prefix: str, root: Path, names: dict[str, Path], above: tuple[Path, ...]) -> None:
    resolved = folder.resolve()
    if resolved in above:
        raise _refused(folder, "is a link to a directory above it", "remove the link")
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from error
    for entry in found:
        path = folder / entry.name
        if _left_out(entry.name, top=not prefix):
            continue
        if entry.is_symlink():
            _inside(path, root)
        if entry.is_dir():
            if entry.name in FOLDERS_OUT or (path / "pyvenv.cfg").exists() or (path / "logic.py").exists():
                continue
            _walk(path, f"{prefix}{entry.name}/", root, names, (*above, resolved))
        elif entry.is_file():
            names[prefix + entry.name] = path
        else:
            raise _refused(path, "is no regular file", "move it out of the effe's directory")


def _left_out(name: str, *, top: bool) -> bool:
    if name.startswith(".") or name.endswith(ENDS_OUT) or name == "conftest.py":
        return True
    if name.startswith("test_") and name.endswith(".py"):
        return True
    return top and (
        name in TOP_OUT
        or name.startswith(("README", "CHANGELOG"))
        or (name.startswith("pylock") and name.endswith(".toml"))
        or (name.startswith("requirements") and name.endswith(".txt"))
    )


def _inside(path: Path, root: Path) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise _refused(path, "is a link to nothing", "remove the link") from error
    if not target.is_relative_to(root):
        raise _refused(path, f"is a link out of the effe's directory, to {target}", "copy the file, or remove the link")


def _check_names(names: dict[str, Path]) -> None:
    seen: dict[str, str] = {}
    folders: set[str] = set()
    for name, path in names.items():
        parts = name.split("/")
        for part in parts:
            if why := _unfit(part):
                raise BuildError(f"{name!a}: {why}", code="E132", place=Place(path), fix="give the file another name")
        if parts[0].lower() in TAKEN:
            raise BuildError(
                f"{name}: the name is taken inside a .pex",
                code="E132",
                place=Place(path),
                fix=f"give {parts[0]} another name",
            )
        for depth in range(1, len(parts) + 1):
            part = "/".join(parts[:depth])
            folded = unicodedata.normalize("NFC", part).casefold()
            if folded in folders and seen[folded] == part and depth < len(parts):
                continue
            other = seen.setdefault(folded, part)
            folders.add(folded)
            if other != part:
                raise BuildError(
                    f"{part} and {other} are one file where case does not count, as on macOS",
                    code="E132",
                    place=Place(path),
                    fix="rename one of them",
                )


def _unfit(part: str) -> str | None:
    """Say why a name cannot exist everywhere, None when it can."""
    try:
        part.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in part):
        return "the name has a control character"
    if UNFIT.intersection(part) or part[-1] in ". ":
        return "the name cannot exist on Windows"
    if part.split(".")[0].lower() in RESERVED:
        return "the name is reserved by Windows"
    return None


def _private(file: File) -> bool:
    return file.name.endswith(KEYS) or (
        file.name.endswith(".pem") and file.data is not None and PRIVATE_KEY.search(file.data) is not None
    )


def _left_as_private(file: File) -> BuildError:
    return BuildError(
        f"{file.path} is a private key: it is left out",
        code="E160",
        place=Place(file.path),
        fix=f"keep it elsewhere, and start with -key PATH; to have it inside, rename it to {Path(file.name).name}.txt",
    )


def _large(file: File, total: int) -> BuildError:
    return BuildError(
        f"the effe's files are {total / 1e6:.0f} MB, {file.name} alone {file.size / 1e6:.0f} MB",
        code="E161",
        place=Place(file.path),
        fix="if that is not meant, move it out of the effe's directory",
    )


def _read(name: str, path: Path) -> File | None:
    """Read a file; None for one that the tool itself made."""
    try:
        # Opened without waiting: a FIFO put in a file's place must not hang the build.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _refused(path, "is no regular file", "move it out of the effe's directory")
            if status.st_size >= LIMIT:
                raise BuildError(
                    f"{name} has {status.st_size} bytes: a .pex holds less than 4 GiB",
                    code="E134",
                    place=Place(path),
                    fix="keep it beside the .pex, or fetch it in init()",
                )
            if OURS.match(file.peek(256)) or (status.st_mode & 0o100 and _is_scie(file, status.st_size)):
                return None
            digest = hashlib.sha256()
            crc = size = 0
            held: list[bytes] = []
            for chunk in chunks(file):
                digest.update(chunk)
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
                if status.st_size <= IN_MEMORY:
                    held.append(chunk)
    except OSError as error:
        raise _unreadable(path, error) from error
    data = b"".join(held) if status.st_size <= IN_MEMORY else None
    return File(name, path, bool(status.st_mode & 0o100), size, crc, digest.hexdigest(), data)


def _is_scie(file: BinaryIO, size: int) -> bool:
    """Tell whether pex made this executable of a .pex: its last bytes are the launcher's manifest, JSON."""
    tail = os.pread(file.fileno(), MANIFEST, max(0, size - MANIFEST))
    return b"configure-binding.py" in tail and b'"lift"' in tail


def _refused(path: Path, why: str, fix: str) -> BuildError:
    return BuildError(f"{path} {why}", code="E131", place=Place(path), fix=fix)


def _unreadable(path: Path, error: OSError) -> BuildError:
    fix = f"chmod u+r {path}" if error.errno in (errno.EACCES, errno.EPERM) else "check the file, then build again"
    return BuildError(f"cannot read {path}: {error.strerror}", code="E131", place=Place(path), fix=fix)
