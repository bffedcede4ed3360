"""Learn a computed INFO by running the module, which happens only when the author asks for it (`--import-info`)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

from ..effe.project import Project
from ..errors import InfoError, Place
from .environment import environment_of
from .requirements.imports import unknown
from .requirements.names import distribution_for

__all__ = ["import_info"]

TIMEOUT = 60
PROGRAM = """
import importlib.util, json, sys
path, sys.path[0] = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location(sys.argv[3], path)
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
printed, sys.stdout = sys.stdout, sys.stderr
spec.loader.exec_module(module)
info = module.INFO
printed.write(info if isinstance(info, str) else json.dumps(info, ensure_ascii=False, allow_nan=False))
"""


def import_info(project: Project, progress: Callable[[str], None], *, offline: bool = False) -> str:
    """Run the module in a process of its own, where what it declares is installed, and return INFO as JSON.

    Raises:
        InfoError: E111 when it does not run, or has no INFO that fits JSON.
        DependencyError: E140, E146 when what it declares cannot be installed.
    """
    python = environment_of(project, progress, offline=offline).python
    command = [python, "-B", "-X", "utf8", "-c", PROGRAM]
    command += [str(project.logic.resolve()), str(project.root.resolve()), project.module]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, cwd=project.root, check=False,
            text=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise InfoError(
            f"the module does not end within {TIMEOUT} s", code="E111", place=Place(project.logic), fix="write INFO out"
        ) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        missing = _missing(lines[-1]) if lines else None
        raise InfoError(
            f"running the module for its INFO failed: {lines[-1] if lines else done.returncode}",
            code="E111",
            place=Place(project.logic),
            fix=_declare(project, missing) if missing else "write INFO as a literal",
            notes=tuple(lines[-20:]),
        )
    return done.stdout


def _declare(project: Project, module: str) -> str:
    name = distribution_for(module)
    return f"declare it: uv add --script {project.logic} '{name}'" if name else unknown(module)


def _missing(line: str) -> str | None:
    """Return the module that an import did not find."""
    match = re.fullmatch(r"ModuleNotFoundError: No module named '([\w.]+)'", line)
    return match[1] if match else None
