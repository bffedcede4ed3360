"""The interpreter for an author's code, with what the effe declares: shared by dev, test, run and invoke."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..console import Console

if TYPE_CHECKING:
    from ..environment import Environment
    from ..project import Project

__all__ = ["environment_of"]


def environment_of(project: Project, console: Console, extra: Sequence[str] = ()) -> Environment:
    """Return the environment of an effe, from the declaration that `build` reads. Raises DependencyError."""
    from ..environment import environment
    from ..script import Script

    script = project.script
    if not script.present:
        from ..builder.declaration import read_declaration
        from ..builder.lock import read_lock

        declared = read_declaration(project)
        if declared.lock is not None:
            pins = read_lock(declared.lock).pins
            names = tuple(f"{pin.name}=={pin.version}" + (f" ; {pin.marker}" if pin.marker else "") for pin in pins)
            script = Script(None, names, (None,) * len(names))
        else:
            texts = tuple(requirement.text for requirement in declared.requirements)
            script = Script(declared.requires_python, texts, declared.places)
    return environment(script, extra, progress=console.write, index=_index)


def _index() -> Mapping[str, str]:
    from ..builder.index import read_index

    return read_index().uv_environment(os.environ)
