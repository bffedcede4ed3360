"""Prove that a build is reproducible: do it again in another process, under other conditions, and compare the bytes.

The second build has another working directory, umask, time zone, locale, hash seed and clock, and none of what the
first one kept: pex makes the base anew and every Python compiles anew. Where all that counts is in the effe's own files
they are built from a copy: another path, written in the opposite order, with other times. Only the resolved wheels are
the same, by their digests, and what the first build found of the commit and the date.
"""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...effe.artifact import read_artifact
from ...effe.project import Project
from ...errors import BuildError
from ..options import Options
from ..package import zip_writer
from ..package.contents import Prepared
from ..requirements.declaration import find_lock, read_declaration
from ..store.files import digest_of

__all__ = ["build_again", "first_difference"]

TIMEOUT = 900
CHUNK = 1 << 16
CONDITIONS = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANGUAGE": "tr", "PYTHONHASHSEED": "4"}
PROGRAM = """
import pickle, sys, time
now = time.time
time.time = lambda: now() + 4e8  # a dozen years ahead
from effetool.builder.build import finish, prepare
from effetool.builder.store.cache import Cache
from effetool.builder.progress import quiet
project, options = pickle.load(sys.stdin.buffer)
finish(prepare(project, options, quiet), options, quiet, Cache(None))
"""


def build_again(prepared: Prepared, options: Options, made: Path, environ: Mapping[str, str] | None = None) -> None:
    """Build what was prepared once more and compare with `made`.

    Raises:
        BuildError: E138 when the bytes differ, with the first entry that does; E135 when the second build fails.
    """
    environ = os.environ if environ is None else environ
    project, record = prepared.project, read_artifact(made).facts
    with tempfile.TemporaryDirectory(prefix="effe-tool-") as folder:
        out = Path(folder) / "again.pex"
        same = Project(project.root.absolute(), project.logic.absolute(), project.single)
        if read_declaration(project).file in (None, project.logic):
            same = _copied(prepared, Path(folder) / "a copy")
        asked = replace(
            options, out=out, check=False, fresh=False, lock=False, max_start=None, max_size=None, record=record
        )
        asked = replace(asked, scie=None, scie_assets=None)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], input=pickle.dumps((same, asked)), capture_output=True, cwd=folder,
            env={**environ, **CONDITIONS}, umask=0o077, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise BuildError(
                f"the second build failed: {lines[-1] if lines else done.returncode}",
                code="E135",
                fix="effe-tool build --rebuild",
                notes=tuple(lines[-20:]),
            )
        if digest_of(out) == digest_of(made):
            return
        part = first_difference(made.read_bytes(), out.read_bytes())
    raise BuildError(
        f"two builds of the same inputs differ, first in {part}",
        code="E138",
        fix="did a file change meanwhile? If not, report this",
    )


def _copied(prepared: Prepared, folder: Path) -> Project:
    """Write the effe's files to another place, the last one first, and say that they are old."""
    project = prepared.project
    for file in reversed(prepared.contents.files):
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, path)
        path.chmod(0o700 if file.executable else 0o600)
        os.utime(path, (1, 1))
    lock = find_lock(project)
    if lock is not None:
        shutil.copyfile(lock, folder / lock.name)
    return Project(folder, folder / project.logic.name, project.single)


def first_difference(one: bytes, other: bytes) -> str:
    """Name the part of two artefacts in which their first different byte is."""
    starts = range(0, max(len(one), len(other)), CHUNK)
    at = next((start for start in starts if one[start : start + CHUNK] != other[start : start + CHUNK]), None)
    if at is None:
        return "nothing"
    size = min(len(one), len(other))
    at = next((i for i in range(at, size) if one[i] != other[i]), size)
    parts = [_part(raw, at) for raw in (one, other)]
    return parts[0] if parts[0] == parts[1] else f"{parts[0]} and {parts[1]}, at the same place"


def _part(raw: bytes, at: int) -> str:
    try:
        found = sorted((entry.offset, entry.name, entry.packed) for entry in zip_writer.entries(raw))
    except (ValueError, struct.error, UnicodeDecodeError):
        return "the directory of the zip"
    if not found or at < found[0][0]:
        return "the shell header"
    offset, name, packed = max(entry for entry in found if entry[0] <= at)
    # Behind the last entry's data comes the directory.
    last = offset + zip_writer.LOCAL.size + len(name.encode()) + packed
    return name if at < last else "the directory of the zip"
