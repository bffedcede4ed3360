"""The effes of a directory, each built into a folder of its own, so that what runs is not what is being edited."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..builder import Options, build_many
from ..builder.audit.inspect import other_machine
from ..builder.resolve.target import this_platform
from ..deploy import Effe, find_effes
from ..errors import EffeToolError, Place, ServeError

__all__ = ["Built", "NotBuilt", "build_all", "check_machines"]


@dataclass(frozen=True)
class Built:
    """An effe and the file that is run."""

    effe: Effe
    file: Path
    digest: str

    def environ(self) -> dict[str, str]:
        """Return the environment it runs in: the user's, but for where it listens; what it prints is seen at once."""
        ours = {name: value for name, value in os.environ.items() if name not in ("EFFE_PORT", "EFFE_UNIX", "PORT")}
        return {"EFFE_LOG": "text", "PYTHONUNBUFFERED": "1", **ours}


class NotBuilt(Exception):
    """Some effes could not be built: `errors` has the effe and the error of each."""

    def __init__(self, errors: Sequence[tuple[Effe, EffeToolError]]) -> None:
        super().__init__(f"{len(errors)} not built")
        self.errors = errors


def check_machines(effes: Sequence[Effe]) -> None:
    """Refuse built files for another machine: each would be started again and again. Raises NotBuilt with E309."""
    here = this_platform().name
    fix = f"effe-tool build --platform {here}"
    wrong = [
        (
            effe,
            ServeError(
                f"this file is for {name}, this machine is {here}", code="E309", fix=fix, place=Place(effe.path)
            ),
        )
        for effe in effes
        if effe.artifact is not None and (name := other_machine(effe.artifact))
    ]
    if wrong:
        raise NotBuilt(wrong)


def build_all(paths: Sequence[Path], folder: Path) -> list[Built]:
    """Build every effe at the paths into `folder`; what is built already is copied there.

    Raises:
        NotBuilt: some could not be built.
        EffeToolError: E150, E410 and what INFO can be refused for.
    """
    effes = find_effes(paths)
    check_machines(effes)
    for effe in effes:
        _ = effe.conventions
    sources = {effe.project: effe for effe in effes if effe.project is not None}
    results = build_many(list(sources), Options(dirout=folder))
    errors = [(sources[result.project], result.error) for result in results if result.error is not None]
    if errors:
        raise NotBuilt(errors)
    made = {
        sources[result.project].name: (result.artifact.path, result.artifact.digest)
        for result in results
        if result.artifact is not None
    }
    for effe in effes:
        if effe.artifact is not None:
            file = folder / f"{effe.info.stem}.pex"
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(effe.artifact.path, file)
            file.chmod(0o755)
            made[effe.name] = file, hashlib.sha256(file.read_bytes()).hexdigest()
    return [Built(effe, *made[effe.name]) for effe in effes]
