"""Look at what the tool stands on, on this machine, and at the effes below a directory: what is broken, what to do.

A finding is broken when a command will fail because of it, a note when something is slower or left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import __version__
from .builder.interpreters import NEWEST, OLDEST, find_pythons, find_uv
from .builder.package.pex_base import pex_version
from .builder.requirements.declaration import read_declaration
from .builder.resolve.backends import find_pip
from .builder.store.cache import Cache
from .builder.store.files import cache_path
from .effe.project import Project, find_all
from .errors import EffeToolError, Place
from .image.engines import ENGINES

__all__ = ["Finding", "examine"]

PATIENCE = 30.0  # seconds for a program to say its version


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        kind: what it is: tool, python, pex, resolver, git, engine, cache, effe.
        state: ok, note or broken.
        message: what was found.
        fix: what to type, None when it is ok.
        code: an error's code, of an effe.
        place: where in an effe's file.
    """

    kind: str
    state: str
    message: str
    fix: str | None = None
    code: str | None = None
    place: Place | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the finding as the `--json` document holds it."""
        place = self.place
        return {
            "kind": self.kind,
            "state": self.state,
            "message": self.message,
            "fix": self.fix,
            "code": self.code,
            "file": str(place.file) if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
        }


def examine(path: Path | None = None) -> Iterator[Finding]:
    """Look at everything, in the order in which a build needs it; `path` says whose effes.

    Raises:
        SourceError: E150 when `path` is given and is none.
    """
    yield Finding("tool", "ok", f"effe-tool {__version__} on Python {'.'.join(map(str, sys.version_info[:3]))}")
    yield from _pythons()
    yield _pex()
    yield _resolver()
    yield from _engines()
    yield _git()
    yield _cache()
    yield from _effes(path)


def _version(*command: str | Path) -> tuple[bool, str]:
    """Run a program that says its version: whether it does, and its last line."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"no answer within {PATIENCE:.0f} s" if isinstance(error, subprocess.TimeoutExpired) else str(
            error
        )
    lines = [line for line in _spoken(done).splitlines() if line.strip()]
    said = lines[-1].strip() if lines else f"exit status {done.returncode}"
    return done.returncode == 0, said


def _spoken(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr or done.stdout) if done.returncode else (done.stdout or done.stderr)


def _pythons() -> Iterator[Finding]:
    """The ones an artefact is compiled for, and the one that starts it: its first line asks for `python3`."""
    found = find_pythons()
    with ThreadPoolExecutor() as pool:
        said = list(
            pool.map(lambda path: _version(path, "-IS", "-c", "import sys; print(sys.version)"), found.values())
        )
    good = [f"3.{minor}" for minor, (starts, _) in sorted(zip(found, said, strict=True)) if starts]
    for (minor, path), (starts, words) in zip(found.items(), said, strict=True):
        if not starts:
            yield Finding("python", "note", f"3.{minor} does not start: {words}", f"{path} --version shows why")
    if good:
        yield Finding("python", "ok", f"{', '.join(good)}: a build compiles for them")
    else:
        yield Finding("python", "note", f"none of 3.{OLDEST} to 3.{NEWEST}: files start slower", "install one of them")
    python3 = shutil.which("python3")
    if python3 is None:
        yield Finding(
            "python", "broken", "no python3 on PATH: a built file starts by it", "install it, or put it on PATH"
        )
        return
    starts, words = _version(python3, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    minor = int(words[2:]) if starts and words.startswith("3.") else 0
    if minor >= OLDEST:
        yield Finding("python", "ok", f"python3 is {python3}, {words}: it starts what is built")
    else:
        why = f"is {words}, and an effe needs 3.{OLDEST}" if starts else f"does not start: {words}"
        yield Finding("python", "broken", f"{python3} {why}", "put a newer one first on PATH")


def _pex() -> Finding:
    try:
        version = pex_version()
    except EffeToolError as error:
        return Finding("pex", "broken", error.message, error.fix, error.code)
    starts, words = _version(sys.executable, "-I", "-m", "pex", "--version")
    if not starts:
        fix = f"{sys.executable} -m pip install --force-reinstall pex"
        return Finding("pex", "broken", f"pex does not start: {words}", fix, "E135")
    return Finding("pex", "ok", f"pex {version}")


def _resolver() -> Finding:
    uv = find_uv()
    if uv is not None:
        starts, words = _version(uv, "--version")
        if starts:
            return Finding("resolver", "ok", words)
        return Finding("resolver", "broken", f"{uv} does not start: {words}", "reinstall uv, or take it off PATH")
    if find_pip() is not None:
        return Finding("resolver", "note", "pip resolves dependencies; uv is ten times as fast", "pip install uv")
    return Finding("resolver", "broken", "neither uv nor pip: no dependency can be had", "install uv")


def _engines() -> Iterator[Finding]:
    installed = [engine for engine in ENGINES if shutil.which(engine)]
    for engine in installed:
        answers, words = _version(engine, "version", "--format", "{{.Client.Version}}")
        if answers:
            yield Finding("engine", "ok", f"{engine} {words}")
        else:
            yield Finding("engine", "note", f"{engine} does not answer: {words}", f"{engine} info shows why")
    if not installed:
        fix = "install podman; without one, effe-tool image writes a tar and pushes by itself"
        yield Finding("engine", "note", "neither podman nor docker", fix)


def _git() -> Finding:
    starts, words = _version("git", "--version")
    if starts:
        return Finding("git", "ok", words)
    return Finding("git", "note", "no git: no templates from a repository, no commit in an artefact", "install git")


def _cache() -> Finding:
    root = cache_path()
    if root.is_absolute() and Cache(root).root is not None and os.access(root, os.W_OK | os.X_OK):
        return Finding("cache", "ok", str(root))
    if not root.is_dir():
        message, fix = "cannot be made", "set XDG_CACHE_HOME to a directory that can be written"
    elif root.stat().st_uid != os.geteuid():
        message, fix = "is another user's", "set XDG_CACHE_HOME to a directory of your own"
    else:
        message, fix = "cannot be trusted: others may write to it", f"chmod 700 {root}"
    return Finding("cache", "broken", f"{root} {message}", fix)


def _effes(path: Path | None) -> Iterator[Finding]:
    try:
        projects = find_all(path)
    except EffeToolError as error:
        if path is not None:
            raise
        yield Finding("effe", "note", error.message, error.fix, error.code)
        return
    for project in projects:
        yield _effe(project)


def _effe(project: Project) -> Finding:
    try:
        info = project.info
        _ = project.contract
        read_declaration(project)
    except EffeToolError as error:
        return Finding("effe", "broken", f"{project.path}: {error.message}", error.fix, error.code, error.place)
    if info.problem is not None:
        problem = info.problem
        return Finding("effe", "note", f"{project.path}: {problem.message}", problem.fix, problem.code, problem.place)
    return Finding("effe", "ok", f"{project.path}: {info.name} {info.version}")
