"""Compiled modules beside their sources: an image is read-only, so nothing could be kept there at its first start."""

from __future__ import annotations

import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

from ..errors import ImageError
from .layer import Entry

__all__ = ["compile_entries", "find_python"]

WORKER = Path(__file__).with_name("compile_worker.py")


def find_python(version: tuple[int, int]) -> str | None:
    """Return an interpreter of that version on this machine, None when there is none."""
    if sys.version_info[:2] == version and sys.implementation.name == "cpython" and sys.executable:
        return sys.executable
    return shutil.which(f"python{version[0]}.{version[1]}")


def compile_entries(entries: list[Entry], python: str, version: tuple[int, int]) -> list[Entry]:
    """Return a .pyc entry for every module among `entries`, as the interpreter `python` makes it.

    They are unchecked hash-based ones (PEP 552): never compared with the source, so that a start reads one file less.
    `python` is asked only once for all of them.

    Raises:
        ImageError: E406 when it cannot be run, or is another version.
    """
    modules = [entry for entry in entries if entry.is_file and entry.name.endswith(".py")]
    question = marshal.dumps([(f"/{entry.name}", entry.read()) for entry in modules])
    # Sets of strings in compiled code have the order of their hashes before Python 3.11.
    environment = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath}
    try:
        done = subprocess.run(
            [python, "-S", str(WORKER)], input=question, capture_output=True, env=environment, cwd="/"
        )
        tag, codes = marshal.loads(done.stdout)  # noqa: S302 our own process
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise ImageError(f"{python} does not compile: {error}", code="E406", fix=f"{python} --version") from error
    if tag != f"cpython-{version[0]}{version[1]}":
        raise ImageError(
            f"{python} is {tag}, the image has Python {version[0]}.{version[1]}",
            code="E406",
            fix=f"put python{version[0]}.{version[1]} on PATH",
        )
    compiled = []
    for entry, code in zip(modules, codes, strict=True):
        if code:
            path = PurePosixPath(entry.name)
            compiled.append(Entry(str(path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc"), data=code))
    return compiled
