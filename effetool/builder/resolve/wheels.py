"""Fetch wheels once, check their digest at each use, and read what they say of themselves.

Sources: "Binary distribution format" and "Core metadata" of the PyPA specifications.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...effe.artifact import open_regular
from ...errors import DependencyError
from ..requirements.requirement import Requirement, normalise, read_requirement
from ..store.files import cache_folder, create, digest_of, write_atomic
from .index import Index, without_credentials
from .lock import File

if TYPE_CHECKING:
    import email.message

_ATTEMPTS, _CONNECTIONS, _CHUNK = 3, 8, 1 << 18


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a wheel says of itself.

    Attributes:
        extras: the extras it offers.
        imports: the names it can be imported by, in a namespace package whole: `google.cloud.storage`.
        licence: an SPDX expression (`spdx`) or a name, None when it says neither.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    requires_python: str | None
    extras: tuple[str, ...]
    imports: tuple[str, ...]
    licence: str | None
    spdx: bool
    summary: str

    @property
    def requirements(self) -> list[Requirement]:
        """Return its dependencies, those that PEP 508 cannot read left out."""
        found = []
        for text in self.requires:
            try:
                found.append(read_requirement(text))
            except ValueError:
                continue  # legacy metadata, which the resolver has judged
        return found


def find_wheel(file: File) -> Path | None:
    """Return a wheel of the cache when it is there and is what its digest says; one that is not is removed."""
    if not file.sha256:
        return None
    path = cache_folder() / "wheels" / file.sha256 / file.name
    try:
        if digest_of(path) == file.sha256:
            return path
        path.unlink()
    except OSError:
        pass
    return None


def fetch(
    files: Iterable[File], index: Index, *, offline: bool = False, progress: Callable[[str], None] = lambda _: None
) -> dict[File, tuple[str, Path]]:
    """Have wheels in the cache, several at once.

    Args:
        files: what to fetch; one without a digest is taken as it comes, and its digest noted.
        index: how to reach it.
        offline: whether the network is closed; a `file:` URL is no network.
        progress: told the name of each file that is fetched.

    Returns:
        For each file its SHA-256 and where it lies.

    Raises:
        DependencyError: E140 when a file cannot be had or is not what its digest says, E145 when offline.
    """
    wanted = list(dict.fromkeys(files))
    found: dict[File, tuple[str, Path]] = {}
    missing = []
    for file in wanted:
        path = find_wheel(file)
        if path is None:
            missing.append(file)
        else:
            found[file] = (file.sha256, path)
    if missing:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_CONNECTIONS, len(missing))) as pool:
            get = partial(_fetch_one, index=index, offline=offline, progress=progress)
            found.update(zip(missing, pool.map(get, missing), strict=True))
    return found


def _fetch_one(file: File, index: Index, offline: bool, progress: Callable[[str], None]) -> tuple[str, Path]:
    import http.client
    import urllib.error

    scheme = urlsplit(file.url).scheme
    if offline and scheme != "file":
        raise DependencyError(
            f"{file.name} is not in the cache, and --offline closes the network",
            code="E145",
            fix="run effe-tool build once without --offline",
        )
    if scheme not in ("https", "http", "file"):
        raise DependencyError(
            f"{file.name}: nothing says where it is", code="E140", fix="effe-tool build --lock writes the lock anew"
        )
    progress(file.name)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _download(file, index)
        except (OSError, http.client.HTTPException) as error:
            final = False
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection
                final = error.code < 500 and error.code != 429
            if final or attempt == _ATTEMPTS or scheme == "file":
                reason = getattr(error, "reason", None) or error
                raise DependencyError(
                    f"cannot fetch {file.name}: {reason}",
                    code="E140",
                    fix="check the network, and the index and credentials of your pip configuration",
                    notes=(without_credentials(file.url),),
                ) from None
    raise AssertionError("unreachable")


def _download(file: File, index: Index) -> tuple[str, Path]:
    folder = cache_folder() / "wheels"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, beside = create(folder, ".new-")
    try:
        digest = hashlib.sha256()
        with (
            os.fdopen(descriptor, "wb") as out,
            index.opener(file.url).open(index.request(file.url), timeout=index.timeout) as answer,
        ):
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
        sha256 = digest.hexdigest()
        if file.sha256 and sha256 != file.sha256:
            raise DependencyError(
                f"{file.name} is not what it should be: sha256 {sha256}, expected {file.sha256}",
                code="E140",
                fix="the index or a proxy on the way has changed it: do not use it",
            )
        path = folder / sha256 / file.name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        beside.chmod(0o644)
        beside.replace(path)
        return sha256, path
    finally:
        beside.unlink(missing_ok=True)


def adopt(wheel: Path) -> tuple[str, Path]:
    """Take a wheel that was built here into the cache; return its SHA-256 and where it lies."""
    sha256 = digest_of(wheel)
    path = cache_folder() / "wheels" / sha256 / wheel.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.move(wheel, path)
    return sha256, path


def built_before(source: File) -> tuple[str, Path] | None:
    """Return the wheel that was built here from the same source by the same Python, None when there is none."""
    try:
        with open_regular(_built(source)) as file:
            sha256, name = file.read().decode().split()
    except (OSError, ValueError):
        return None
    path = find_wheel(File(name, sha256=sha256))
    return (sha256, path) if path else None


def note_built(source: File, sha256: str, path: Path) -> None:
    """Note what was built from a source; a directory changes under its name, so it is built each time."""
    if source.sha256 or not source.url.startswith("file:"):
        write_atomic(_built(source), f"{sha256} {path.name}\n".encode())


def _built(source: File) -> Path:
    key = f"{source.sha256 or source.url} {sys.version} {sysconfig.get_platform()}"
    return cache_folder() / "built" / hashlib.sha256(key.encode()).hexdigest()


def read_metadata(wheel: Path) -> Metadata:
    """Read the metadata of a wheel.

    Raises:
        DependencyError: E140 when it is no wheel.
    """
    import email.parser
    import zipfile

    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            inside = next(n for n in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
            text = archive.read(inside).decode("utf-8", "replace")
            said = email.parser.Parser().parsestr(text, headersonly=True)
    except (zipfile.BadZipFile, StopIteration, OSError, KeyError, NotImplementedError) as error:
        fix = "remove it from the index, or ask its maker"
        raise DependencyError(
            f"{wheel.name} is no wheel: {str(error) or 'no METADATA'}", code="E140", fix=fix
        ) from None
    python = said.get("Requires-Python")
    return Metadata(
        name=normalise(str(said.get("Name") or wheel.name.partition("-")[0])),
        version=str(said.get("Version") or wheel.name.split("-")[1]),
        requires=tuple(str(text) for text in said.get_all("Requires-Dist") or ()),
        requires_python=str(python) if python else None,
        extras=tuple(normalise(str(text)) for text in said.get_all("Provides-Extra") or ()),
        imports=_imports(names),
        licence=_licence(said),
        spdx="License-Expression" in said,
        summary=str(said.get("Summary") or "").partition("\n")[0],
    )


def _licence(said: email.message.Message) -> str | None:
    classifiers = [str(text) for text in said.get_all("Classifier") or () if str(text).startswith("License ::")]
    named = [text.rpartition(" :: ")[2] for text in classifiers]
    for text in (said.get("License-Expression"), said.get("License"), *named):
        line = str(text or "").strip()
        if line and line != "UNKNOWN" and "\n" not in line and len(line) <= 100:  # some put the whole text there
            return line
    return None


def _imports(names: Iterable[str]) -> tuple[str, ...]:
    """Return the modules and packages of a wheel; a folder without `__init__` may be shared with other wheels."""
    installed: set[tuple[str, ...]] = set()
    for name in names:
        parts = tuple(name.split("/"))
        if parts[0].endswith(".data") and len(parts) > 2 and parts[1] in ("purelib", "platlib"):
            parts = parts[2:]
        if not parts[0].endswith((".dist-info", ".data")) and parts[-1]:
            installed.add(parts)
    packages = {parts[:-1] for parts in installed if re.fullmatch(r"__init__\.(py|pyi|.*so|pyd)", parts[-1])}
    found = set()
    for parts in sorted(installed):
        above = (parts[:depth] for depth in range(1, len(parts)))
        package = next((folder for folder in above if folder in packages), None)
        if package is None and not re.search(r"\.(py|so|pyd)\Z", parts[-1]):
            continue
        named = package or (*parts[:-1], parts[-1].partition(".")[0])
        if all(part.isidentifier() for part in named) and "__pycache__" not in named:
            found.add(".".join(named))
    return tuple(sorted(found))
