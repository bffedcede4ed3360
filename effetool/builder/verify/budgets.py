"""Hold an artefact against the limits that a build was given."""

from __future__ import annotations

from pathlib import Path

from ...errors import BuildError
from ..options import Options
from . import smoke

__all__ = ["check_budgets"]


def check_budgets(path: Path, size: int, options: Options) -> None:
    """Hold an artefact against `--max-size` and `--max-start`.

    Raises:
        BuildError: E139 when it is over one of them, E137 when it does not start.
    """
    if options.max_size is not None and size > options.max_size:
        raise BuildError(
            f"{size / 1e6:.3g} MB, --max-size allows {options.max_size / 1e6:g} MB",
            code="E139",
            fix="effe-tool inspect shows what takes the room",
        )
    if options.max_start is not None and (taken := smoke.measure_start(path) * 1000) > options.max_start:
        raise BuildError(
            f"it starts in {taken:.0f} ms, --max-start allows {options.max_start:g} ms",
            code="E139",
            fix="effe-tool inspect --imports shows where the start goes",
        )
