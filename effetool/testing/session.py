"""Run an effe's tests by pytest, in an environment that has what the effe declares."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..effe.project import Project
from ..errors import SourceError

__all__ = ["Tested", "run_tests"]

NO_TESTS = 5  # pytest.ExitCode.NO_TESTS_COLLECTED


@dataclass(frozen=True)
class Tested:
    """What pytest ended with: its exit code, and where they were counted, tests, failures, errors and skipped."""

    code: int
    counts: Mapping[str, int]


def run_tests(
    project: Project,
    python: str,
    *,
    own: bool,
    pex: Path | None = None,
    arguments: Sequence[str] = (),
    aside: bool = False,
) -> Tested:
    """Run the tests of one effe from its directory.

    Args:
        project: the effe.
        python: an interpreter with pytest and the effe's dependencies.
        own: whether effe-tool itself is installed there, so that pytest finds the plugin by itself.
        pex: a built file to run the same tests against.
        arguments: further arguments of pytest; paths are relative to the effe's directory.
        aside: pytest writes to stderr, and the tests are counted: stdout is for the numbers.

    Raises:
        SourceError: E152 when there are none, or none that the arguments choose.
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
    with tempfile.TemporaryDirectory(prefix="effe-tool-") as folder:
        report = Path(folder, "report.xml")
        done = subprocess.run(
            [*command, *([f"--junit-xml={report}"] if aside else []), *arguments],
            cwd=project.root,
            env=environ,
            stdout=sys.stderr if aside else None,
            check=False,
        )
        counts = _counts(report)
    if done.returncode == NO_TESTS:
        raise _none(project, arguments)
    return Tested(done.returncode, counts)


def _counts(report: Path) -> dict[str, int]:
    """Read the numbers of a JUnit report, empty where pytest wrote none."""
    try:
        suite = re.search("<testsuite [^>]*>", report.read_text(encoding="utf-8"))
    except OSError:
        return {}
    keys = ("tests", "failures", "errors", "skipped")
    return {key: int(found[1]) for key in keys if suite and (found := re.search(rf' {key}="(\d+)"', suite[0]))}


def _none(project: Project, arguments: Sequence[str] = ()) -> SourceError:
    if words := [word for word in arguments if word not in ("-q", "-v")]:
        return SourceError(
            f"no test of {project.path} fits {shlex.join(words)}",
            code="E152",
            fix=f"effe-tool test {shlex.quote(str(project.path))} -- --collect-only -q",
        )
    path = project.root / (f"test_{project.module}.py" if project.single else "tests/test_logic.py")
    return SourceError(f"no tests of {project.path}", code="E152", fix=f"write the first one in {path}")
