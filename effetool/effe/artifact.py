"""What a build hands on: one file, and what it says of itself without being run."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BuildError, EffeToolError, Place
from .info import Info, parse_info

if TYPE_CHECKING:
    from io import BufferedReader

__all__ = [
    "BUILD_RECORD",
    "LEAST",
    "RATIO",
    "Artifact",
    "Scie",
    "check_replaceable",
    "check_whole",
    "compiled_for",
    "open_regular",
    "read_artifact",
    "read_file",
]

# The artefact's own record: what it was made from and by which versions. Written by the builder, read here.
BUILD_RECORD = "__effe__/build.json"
MAX_RECORD = 16 << 20
# A .pex unpacks to some three times its size; below the first number nobody minds.
LEAST, RATIO = 256 << 20, 100
# What the shell header (see `builder.boot`) compares the file's size with.
WHOLE = re.compile(rb"f\.seek\(0,2\)<(\d{1,11}) and ")
KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Scie:
    """A native executable of an artefact, with its interpreter.

    Attributes:
        path: the file.
        platform: what it runs on, as `--platform` names it.
        python: the CPython inside, such as "3.11".
        digest: SHA-256 of the file, hexadecimal.
        size: its bytes.
        fresh: whether it was there already, made from the same artefact.
    """

    path: Path
    platform: str
    python: str
    digest: str
    size: int
    fresh: bool = False


@dataclass(frozen=True)
class Artifact:
    """A built .pex.

    Attributes:
        path: the file.
        info: INFO as it is inside.
        digest: SHA-256 of the file, hexadecimal.
        size: its bytes.
        facts: the record of its making: tool, pex and Python versions, digests of the inputs, commit, dependencies.
        fresh: whether it was there already, made from the same inputs.
        start: seconds that `-info` took when it was verified, None when it was not run.
        warnings: what did not stop the build and should be known.
        scies: the executables made of it, one for each platform; none unless they were asked for.
    """

    path: Path
    info: Info
    digest: str
    size: int
    facts: Mapping[str, object] = field(default_factory=dict)
    fresh: bool = False
    start: float | None = None
    warnings: tuple[EffeToolError, ...] = ()
    scies: tuple[Scie, ...] = ()

    @property
    def name(self) -> str:
        """INFO's name, else the file's stem."""
        return self.info.name or self.path.stem

    @property
    def version(self) -> str | None:
        """INFO's version."""
        return self.info.version


def check_replaceable(path: Path, fix: str) -> None:
    """Refuse to put an artefact in the place of what is no file: root could rename over a device that all others need.

    Raises:
        BuildError: E136 when `path` is there and is no regular file, nor a link to one or to nothing, and when it is
            below what is no directory.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except NotADirectoryError as error:
        above = next(folder for folder in path.parents if folder.exists())
        raise BuildError(
            f"{above} is no directory", code="E136", place=Place(above), fix="choose another directory"
        ) from error
    except OSError:  # nothing is there; what else is wrong is said by whoever writes
        return
    if kind != stat.S_IFREG:
        raise BuildError(f"{path} is {KINDS.get(kind, 'no file')}", code="E136", place=Place(path), fix=fix)


def open_regular(path: Path) -> BufferedReader:
    """Open a file to read it. A pipe would be waited for, and a device may never end: those are an OSError."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = stat.S_IFMT(os.fstat(number).st_mode)
    if kind == stat.S_IFREG:
        return os.fdopen(number, "rb")
    os.close(number)
    raise OSError(errno.EINVAL, f"it is {KINDS.get(kind, 'no file')}", str(path))


def read_artifact(path: Path) -> Artifact:
    """Read the artefact at `path` without running any code of it.

    Raises:
        BuildError: E131 when it cannot be read or is no artefact of effe-tool.
    """
    import zipfile
    import zlib

    try:
        with open_regular(path) as file:
            whole = WHOLE.search(file.read(4096))
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        if whole is not None and size < int(whole[1]):
            raise BuildError(
                f"{path} is incomplete: {size} of {int(whole[1])} bytes",
                code="E131",
                place=Place(path),
                fix="copy it again, or effe-tool build",
            )
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(BUILD_RECORD)
            for one in archive.infolist():  # whoever reads on meets no encryption, lzma or name without a letter
                if not one.filename or one.compress_type not in (0, 8) or one.flag_bits & 0x61:
                    raise ValueError(f"no build writes what it has as {one.filename!r}")
            if entry.file_size > MAX_RECORD:
                raise ValueError("its build record is too large")
            facts = json.loads(archive.read(entry))
        if not isinstance(facts, dict) or not isinstance(facts.get("info"), str):
            raise ValueError("its build record has no INFO")
        json.dumps(facts, ensure_ascii=False).encode()  # half a character can be neither written nor shown
    except OSError as error:
        raise BuildError(
            f"cannot read {path}: {error.strerror or error}",
            code="E131",
            place=Place(path),
            fix=f"effe-tool build {path}, then name the .pex" if path.is_dir() else "check the path",
        ) from error
    except KeyError as error:
        raise BuildError(
            f"{path} was not built by effe-tool", code="E131", place=Place(path), fix="effe-tool build"
        ) from error
    except (ValueError, zlib.error, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, f"{path} is no .pex of effe-tool: {error}") from error
    return Artifact(path, parse_info(facts["info"], Place(path)), digest, size, facts)


def check_whole(artifact: Artifact) -> None:
    """Hold every file inside against its checksum. The shell header and the directory of the zip have none.

    Raises:
        BuildError: E131 when one is damaged, or all are far larger than the file.
    """
    import zipfile
    import zlib

    name = "its directory"
    try:
        with zipfile.ZipFile(artifact.path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > max(LEAST, RATIO * artifact.size):
                raise ValueError(f"it unpacks to more than {RATIO} times its size")
            for entry in archive.infolist():
                name = entry.filename
                with archive.open(entry) as file:
                    while file.read(1 << 20):
                        pass
    except (ValueError, OSError, zlib.error, EOFError, zipfile.BadZipFile, RuntimeError) as error:
        raise _damaged(artifact.path, f"{artifact.path} is damaged in {name}: {error}") from error


def _damaged(path: Path, why: str) -> BuildError:
    return BuildError(why, code="E131", place=Place(path), fix="effe-tool build")


def read_file(artifact: Artifact, name: str) -> bytes | None:
    """Return the content of one file inside the artefact, None when there is none of that name.

    Raises:
        BuildError: E131 when it is damaged.
    """
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(artifact.path) as archive:
            entry = archive.getinfo(name)
            if entry.file_size > MAX_RECORD:
                raise ValueError("too large")
            return archive.read(entry)
    except KeyError:
        return None
    except (ValueError, zlib.error, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _damaged(artifact.path, f"{artifact.path}: {name} in it is damaged: {error}") from error


def compiled_for(record: Mapping[str, object]) -> list[str]:
    """Return the Pythons that an artefact was compiled for, such as "3.11"."""
    found = record.get("compiled")
    return [str(one) for one in found] if isinstance(found, list) else []
