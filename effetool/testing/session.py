"""Run an effe's tests by pytest, in an environment that has what the effe declares."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import SourceError
from ..project import Project

__all__ = ["run_tests"]

NO_TESTS = 5  # pytest.ExitCode.NO_TESTS_COLLECTED


def run_tests(
    project: Project, python: str, *, own: bool, pex: Path | None = None, arguments: Sequence[str] = ()
) -> int:
    """Run the tests of one effe from its directory and return pytest's exit code.

    Args:
        project: the effe.
        python: an interpreter with pytest and the effe's dependencies.
        own: whether effe-tool itself is installed there, so that pytest finds the plugin by itself.
        pex: a built file to run the same tests against.
        arguments: further arguments of pytest; paths are relative to the effe's directory.

    Raises:
        SourceError: E152 when there are none.
    """
    command = [python, "-m", "pytest", *([] if own else ["-p", "effetool.testing.plugin"])]
    if pex is not None:
        command += ["--effe-pex", str(pex.absolute()), "-rs"]
    chosen = any((project.root / argument.partition("::")[0]).exists() for argument in arguments)
    if project.single and not chosen:
        name = f"test_{project.module}.py"
        found = [path for path in (project.root / name, project.root / "tests" / name) if path.is_file()]
        if not found:
            raise _none(project)
        command += [str(path.relative_to(project.root)) for path in found]
    # Not the caller's: pytest in here would be told to be a part of the pytest out there.
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
    environ.pop("PYTEST_CURRENT_TEST", None)
    # The runtime sets them before it loads the module; here the tests import it.
    defaults = {name: value for name, value in project.conventions.env.items() if value is not None}
    environ = {**defaults, **environ}
    done = subprocess.run([*command, *arguments], cwd=project.root, env=environ, check=False)
    if done.returncode == NO_TESTS:
        raise _none(project)
    return done.returncode


def _none(project: Project) -> SourceError:
    path = project.root / (f"test_{project.module}.py" if project.single else "tests/test_logic.py")
    return SourceError(f"no tests of {project.path}", code="E152", fix=f"write the first one in {path}")
