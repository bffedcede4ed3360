"""A Python that can import what an effe declares: this one where it can, else a cached environment.

`dev`, `test`, `run` and `invoke` execute an author's code. When effe-tool lives in an environment of its own (`uv
tool`, `pipx`), neither pytest nor the effe's dependencies are there. They are installed once into an environment that
is named by a hash of the declaration, and found again from then on.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .. import __version__
from ..effe.script import Script
from ..errors import DependencyError, Place
from .interpreters import find_uv, pythons_here
from .requirements.pythons import admits
from .store.files import cache_folder

__all__ = ["Environment", "environment"]

PACKAGE = Path(__file__).resolve().parents[1]
NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Environment:
    """An interpreter that imports effetool and what was asked for.

    Attributes:
        python: the interpreter.
        own: whether it is the one that runs effe-tool.
    """

    python: str
    own: bool


def environment(
    script: Script,
    extra: Sequence[str] = (),
    *,
    progress: Callable[[str], None] = lambda message: None,
    index: Callable[[], Mapping[str, str]] | None = None,
) -> Environment:
    """Return an environment with the declared dependencies and `extra` ones, made now if there is none.

    Args:
        script: the effe's declaration.
        extra: further requirements, such as `pytest`.
        progress: told, in one line, when something takes time.
        index: gives the environment variables that tell uv of the user's indexes; without it pip installs.

    Raises:
        DependencyError: E140 when a requirement cannot be installed, E146 when there is no fitting Python.
    """
    wanted = [*script.dependencies, *extra]
    fits = _fits(script, sys.version_info[1])
    if fits and all(_here(requirement) for requirement in wanted):
        return Environment(sys.executable, own=True)
    python = sys.executable if fits else _python(script)
    names = sorted({requirement.strip() for requirement in wanted})
    key = json.dumps([python, sys.version, names, str(PACKAGE), __version__])
    folder = cache_folder() / "environments" / hashlib.sha256(key.encode()).hexdigest()[:20]
    inside = folder / "bin" / "python"
    if not inside.exists():
        progress(f"installing {', '.join(names) or 'an environment'}")
        _make(folder, python, names, script, None if index is None else index())
    return Environment(str(inside), own=False)


def _here(requirement: str) -> bool:
    """Tell whether this interpreter has a requirement; in doubt it has not."""
    match = NAME.fullmatch(requirement)
    if match is None:
        return False
    try:
        version = metadata.version(match[1])
    except metadata.PackageNotFoundError:
        return False
    if not match[2]:
        return True
    if metadata.distribution(match[1]).read_text("direct_url.json"):
        return False  # from a checkout or an URL: its version says nothing
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return False
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return False
    if parsed.marker is not None and not parsed.marker.evaluate():
        return True
    return not parsed.extras and parsed.url is None and parsed.specifier.contains(version, prereleases=True)


def _fits(script: Script, minor: int) -> bool:
    try:
        return admits(script.requires_python or "", (3, minor))
    except ValueError:
        return True  # `declaration` reports it with its place


def _python(script: Script) -> str:
    """Find another Python that requires-python admits, the newest first."""
    for minor, path in sorted(pythons_here().items(), reverse=True):
        if _fits(script, minor):
            asked = subprocess.run(
                [path, "-c", "import sys; print(sys.version_info[1])"], check=False, capture_output=True, text=True
            )
            if asked.returncode == 0 and asked.stdout.strip() == str(minor):
                return str(path)
    have = ".".join(map(str, sys.version_info[:2]))
    raise DependencyError(
        f"requires-python is {script.requires_python}, and no Python of this machine fits (effe-tool runs on {have})",
        code="E146",
        fix="install one, or widen requires-python in the script block",
    )


def _make(folder: Path, python: str, names: list[str], script: Script, index: Mapping[str, str] | None) -> None:
    """Make the environment beside its place and move it there: a half-made one is never found."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=folder.name + ".", dir=folder.parent))
    try:
        uv = find_uv() if index is not None else None
        if uv:
            _run([uv, "venv", "--quiet", "--no-config", "--python", python, "--allow-existing", str(made)], index)
        else:
            _run([python, "-m", "venv", str(made)], None)
        inside = str(made / "bin" / "python")
        if names and uv:
            command = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", inside, *names]
            _install(command, index, names, script)
        elif names:
            _install([inside, "-m", "pip", "install", "--quiet", "--no-input", *names], None, names, script)
        # The tool's own package and nothing else of the tool's environment; pytest finds the plugin by its name.
        site = next((made / "lib").glob("python3*/site-packages"))
        (site / "effetool").symlink_to(PACKAGE, target_is_directory=True)
        try:
            made.rename(folder)
        except OSError:
            if not folder.exists():  # another process was quicker otherwise
                raise
    except OSError as error:
        raise DependencyError(
            f"cannot make an environment in {folder.parent}: {error.strerror or error}",
            code="E140",
            fix="set XDG_CACHE_HOME to a directory that can be written",
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _run(command: list[str], environ: Mapping[str, str] | None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environ and dict(environ), check=False)
    if done.returncode:
        raise DependencyError(
            "cannot make an environment for the effe",
            code="E140",
            notes=_last_lines(done.stderr or done.stdout),
            fix="python3 -m venv must work: on Debian, apt-get install python3-venv",
        )


def _install(command: list[str], environ: Mapping[str, str] | None, names: list[str], script: Script) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environ and dict(environ), check=False)
    if done.returncode == 0:
        return
    text = done.stderr or done.stdout
    at = [
        place
        for name, place in zip(script.dependencies, script.places, strict=True)
        if (match := NAME.match(name)) and place and match[1].lower() in text.lower()
    ]
    declared: Place | None = at[0] if at else None
    raise DependencyError(
        f"cannot install {', '.join(names)}",
        code="E140",
        place=declared,
        notes=_last_lines(text),
        fix="check the names and versions in the script block, and that the index answers",
    )


def _last_lines(text: str) -> tuple[str, ...]:
    lines = [line for line in text.splitlines() if line.strip()]
    return tuple(lines[-3:])
