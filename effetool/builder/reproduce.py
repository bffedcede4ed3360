"""Prove that a build is reproducible: do it again in another process, under other conditions, and compare the bytes.

The second build has another working directory, umask, time zone, locale and hash seed, and none of what the first one
kept: pex makes the base anew and every Python compiles anew. Only the resolved wheels are the same, by their digests.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import BuildError
from ..project import Project
from . import archive
from .options import Options

__all__ = ["build_again", "first_difference"]

TIMEOUT = 900
CONDITIONS = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANGUAGE": "tr", "PYTHONHASHSEED": "4"}
PROGRAM = """
import pickle, sys
from effetool.builder.building import finish, prepare
from effetool.builder.cache import Cache
from effetool.builder.options import quiet
project, options = pickle.load(sys.stdin.buffer)
finish(prepare(project, options, quiet), options, quiet, Cache(None))
"""


def build_again(project: Project, options: Options, made: bytes, environ: Mapping[str, str] | None = None) -> None:
    """Build `project` once more and compare with `made`.

    Raises:
        BuildError: E138 when the bytes differ, with the first entry that does; E135 when the second build fails.
    """
    environ = os.environ if environ is None else environ
    with tempfile.TemporaryDirectory(prefix="effe-tool-") as folder:
        out = Path(folder) / "again.pex"
        same = Project(project.root.absolute(), project.logic.absolute(), project.single)
        asked = replace(options, out=out, check=False, fresh=False, lock=False, max_start=None, max_size=None)
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
        other = out.read_bytes()
    if other != made:
        raise BuildError(
            f"two builds of the same inputs differ in {first_difference(made, other)}",
            code="E138",
            fix="did a file change meanwhile? If not, report this",
        )


def first_difference(one: bytes, other: bytes) -> str:
    """Name the first entry in which two artefacts differ."""
    if one == other:
        return "nothing"
    found, others = ({entry.name: entry for entry in archive.entries(raw)} for raw in (one, other))
    for name in [*found, *others]:
        if name not in found or name not in others:
            return f"{name}, which only one of them has"
        if (found[name].crc, found[name].attributes) != (others[name].crc, others[name].attributes):
            return name
    return "how they are packed"
