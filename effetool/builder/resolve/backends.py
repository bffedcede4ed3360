"""Ask uv, or pip where there is no uv, which versions answer a declaration on a target.

Both are run as processes, with the user's own configuration. uv answers in about a tenth of a second and for any
target; pip evaluates markers for the Python it runs on only, so what it cannot answer truly it is not asked.

Sources: "uv pip compile" in uv's command reference; "Installation Report" and "pip install" in pip's documentation.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...errors import DependencyError
from ..interpreters import find_uv
from ..requirements.requirement import normalise
from .index import Index
from .lock import File, Pin, parse_pins, write_lock
from .target import Target, this_target


class Unresolved(Exception):
    """A resolver's refusal: `lines` is what it said, `resolver` who said it."""

    def __init__(self, resolver: str, lines: Sequence[str]) -> None:
        super().__init__(lines[-1] if lines else f"{resolver} failed")
        self.resolver = resolver
        self.lines = tuple(lines)


@dataclass(frozen=True, slots=True)
class Question:
    """What a resolver is asked.

    Attributes:
        requirements: dependency specifiers, one a line.
        options: further lines of a requirements file (`--index-url …`).
        target: what the answer is for.
        folder: what relative paths start from.
        prefer: an earlier answer, whose versions are kept where they fit.
        pinned: whether the requirements are whole already, so that nothing is to be added to them.
        offline: whether the network is closed.
    """

    requirements: tuple[str, ...]
    options: tuple[str, ...]
    target: Target
    folder: Path
    prefer: tuple[Pin, ...] = ()
    pinned: bool = False
    offline: bool = False

    @property
    def local(self) -> bool:
        """Whether the target is the running Python on this machine: only there can a wheel be built."""
        return self.target == this_target()


@cache
def find_pip() -> tuple[str, ...] | None:
    """Return the command that runs pip: the environment's, else the one the Python carries for `ensurepip`."""
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip")
    spec = importlib.util.find_spec("ensurepip")
    folder = Path(spec.origin).parent / "_bundled" if spec and spec.origin else Path()
    bundled = sorted(folder.glob("pip-*.whl")) if spec else []
    return (sys.executable, f"{bundled[-1]}/pip") if bundled else None


def choose(wanted: str | None = None) -> str:
    """Return which resolver to ask, "uv" or "pip".

    Raises:
        DependencyError: E140 when neither is there, or not the one that is wanted.
    """
    if wanted in (None, "uv") and find_uv():
        return "uv"
    if wanted in (None, "pip") and find_pip():
        return "pip"
    raise DependencyError(
        f"{wanted or 'neither uv nor pip'} is {'not ' if wanted else ''}there to resolve dependencies",
        code="E140",
        fix=f"{sys.executable} -m pip install uv" if find_pip() else "install uv: https://docs.astral.sh/uv/",
    )


def resolve_pins(question: Question, index: Index, resolver: str) -> list[Pin]:
    """Return the pins that answer, sorted by name.

    Raises:
        Unresolved: when the resolver refuses, with its words.
    """
    with tempfile.TemporaryDirectory(prefix="effe-tool-") as folder:
        ask = _ask_uv if resolver == "uv" else _ask_pip
        return sorted(ask(question, index, Path(folder)), key=lambda pin: (pin.name, pin.version))


def _ask_uv(question: Question, index: Index, folder: Path) -> Iterable[Pin]:
    asked, answer = folder / "requirements.in", folder / "pylock.toml"
    asked.write_text("\n".join((*question.options, *question.requirements)) + "\n", "utf-8")
    if question.prefer:  # uv keeps the versions of the file it is to overwrite
        answer.write_text(write_lock(question.prefer, ">=3.9", {}, urls=True), "utf-8")
    command = [find_uv() or "uv", "pip", "compile", str(asked), "--output-file", str(answer), "--format", "pylock.toml"]
    command += ["--quiet", "--no-header", "--no-python-downloads", "--python", sys.executable]
    if not question.local:
        command += ["--python-version", question.target.version, "--only-binary", ":all:"]
        if question.target.platform != this_target().platform:
            command += ["--python-platform", question.target.platform.triple]
    if question.pinned:
        command.append("--no-deps")
    if question.offline:
        command.append("--offline")
    if index.none:
        command.append("--no-index")
    _run("uv", command, question.folder, index.uv_environment(os.environ))
    # Relative paths in it start from its own folder.
    return parse_pins(tomllib.loads(answer.read_text("utf-8")), folder)


def _ask_pip(question: Question, index: Index, folder: Path) -> Iterable[Pin]:
    asked, answer = folder / "requirements.txt", folder / "report.json"
    asked.write_text("\n".join((*question.options, *question.requirements)) + "\n", "utf-8")
    command = [*(find_pip() or ()), "install", "--dry-run", "--ignore-installed", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--report", str(answer), "--requirement", str(asked)]
    if not question.local:
        command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={question.target.version}"]
        command += [f"--platform={tag}" for tag in question.target.platform.tags]
        command += ["--target", str(folder / "target")]
    if question.pinned:
        command.append("--no-deps")
    if question.offline:
        command.append("--no-index")
    _run("pip", command, question.folder, {**os.environ, "PIP_NO_COLOR": "1"})
    report = json.loads(answer.read_text("utf-8"))
    return [_reported(item) for item in report["install"]]


def _reported(item: dict[str, dict[str, object]]) -> Pin:
    info, metadata = item["download_info"], item["metadata"]
    url, archive, vcs = str(info["url"]), info.get("archive_info"), info.get("vcs_info")
    hashes = archive.get("hashes") or {} if isinstance(archive, dict) else {}
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if isinstance(vcs, dict):
        below = f"#subdirectory={info['subdirectory']}" if info.get("subdirectory") else ""
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}{below}"
    file = File(name, url, str(hashes.get("sha256", "")))
    python = metadata.get("requires_python")
    wheel = name.endswith(".whl")
    return Pin(
        name=normalise(str(metadata["name"])),
        version=str(metadata["version"]),
        wheels=(file,) if wheel else (),
        source=None if wheel else file,
        requires_python=str(python) if python else None,
    )


def build_wheel(source: File, folder: Path, target: Path) -> Path:
    """Build a wheel from a source distribution, a directory or a repository, for the running Python.

    Args:
        source: what to build: its URL is one pip takes (`file:`, `https:`, `git+https:` …).
        folder: what relative paths start from.
        target: the directory to put the wheel into.

    Raises:
        Unresolved: when the build fails, with its words.
        DependencyError: E140 when there is nothing to build with.
    """
    pip = find_pip()
    if pip is None and (uv := find_uv()):
        pip = (uv, "tool", "run", "pip")
    if pip is None:
        raise DependencyError(
            f"{source.name} is to be built and there is no pip", code="E140", fix="python3 -m ensurepip"
        )
    command = [*pip, "wheel", "--no-deps", "--quiet", "--no-input", "--disable-pip-version-check"]
    environment = {"SOURCE_DATE_EPOCH": "315532800", **os.environ}  # the zip's first date: 1980
    digest = f"#sha256={source.sha256}" if source.sha256 else ""  # checked by pip
    _run("pip", [*command, "--wheel-dir", str(target), source.url + digest], folder, environment)
    built = list(target.glob("*.whl"))
    if len(built) != 1:
        raise Unresolved("pip", [f"{source.name} gave {len(built)} wheels"])
    return built[0]


def _run(resolver: str, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise Unresolved(resolver, (done.stderr.strip() or done.stdout.strip()).splitlines())
