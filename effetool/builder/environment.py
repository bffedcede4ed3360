"""The interpreter for an author's code, with what the effe declares: dev, test, run, invoke, `build --import-info`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..effe.script import Script
from .virtualenv import environment

if TYPE_CHECKING:
    from ..effe.project import Project
    from .virtualenv import Environment

__all__ = ["environment_of"]


def environment_of(
    project: Project, progress: Callable[[str], None], extra: Sequence[str] = (), *, offline: bool = False
) -> Environment:
    """Return the environment of an effe, from the declaration that `build` reads. Raises DependencyError.

    Args:
        project: the effe.
        progress: told, in one line, when something takes time.
        extra: further requirements, such as `pytest`.
        offline: take what is to be installed from caches alone.
    """
    from .requirements.declaration import read_declaration

    declared = read_declaration(project)  # of a script block too: what is wrong in it is said with its place
    script = project.script
    if declared.lock is not None:
        from .resolve.lock import read_lock

        pins = read_lock(declared.lock).pins
        names = tuple(f"{pin.name}=={pin.version}" + (f" ; {pin.marker}" if pin.marker else "") for pin in pins)
        script = Script(None, names, (None,) * len(names))
    elif not script.present:
        texts = tuple(requirement.text for requirement in declared.requirements)
        script = Script(declared.requires_python, texts, declared.places)

    def index() -> Mapping[str, str]:
        from .resolve.index import read_index

        return read_index().uv_environment({**os.environ, **({"UV_OFFLINE": "1"} if offline else {})})

    return environment(script, extra, progress=progress, index=index)
