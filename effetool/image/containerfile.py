"""The way through an engine: a Containerfile and the directory it copies from."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from ..effe.artifact import Artifact
from ..templating.render import render_template, templates_root
from .build import application_of, labels_of
from .compiled import compile_entries, find_python
from .config import ARENAS, PORT, USER, Base, environment_of, start_of
from .layer import Entry
from .store import Store

__all__ = ["containerfile", "engine_base", "write_context"]


def engine_base(base: Base) -> str:
    """Return the name an engine knows the base by: its reference, or one to load it under."""
    key = hashlib.sha256("".join(layer.diff_id for layer in base.layers).encode()).hexdigest()
    return base.name or f"localhost/effe-base:python{base.version[0]}.{base.version[1]}-{key[:12]}"


def containerfile(store: Store, artifact: Artifact, base: Base, name: str) -> str:
    """Return the Containerfile of the artefact's image on the base that an engine knows by `name`."""
    start = start_of(base)
    values = {
        "title": artifact.info.stem if artifact.info.usable else artifact.path.name,
        "pex": artifact.path.name,
        "python": f"{base.version[0]}.{base.version[1]}",
        "base": name,
        # The quoting of a Dockerfile is JSON's, but for `$`, which would be a variable.
        "labels": [(key, json.dumps(value).replace("$", "\\$")) for key, value in sorted(labels_of(artifact).items())],
        "layers": [name for name, entries in application_of(store, artifact, base) if entries],
        "variables": [entry for entry in environment_of(base) if entry == ARENAS],
        "user": USER,
        "port": PORT,
        "health": json.dumps([*start, "-healthcheck"]),
        "entrypoint": json.dumps(start),
    }
    return render_template(templates_root() / "image", values)["Containerfile"]


def write_context(store: Store, artifact: Artifact, base: Base, root: Path) -> None:
    """Write the directory that the Containerfile copies from: one directory for each layer."""
    python = find_python(base.version)
    for name, entries in application_of(store, artifact, base):
        compiled = compile_entries(entries, python, base.version) if python and entries else []
        for entry in [*entries, *compiled]:
            _write(root / name / entry.name, entry)


def _write(path: Path, entry: Entry) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if entry.link is not None:
        path.unlink(missing_ok=True)
        path.symlink_to(entry.link)
        return
    with entry.stream() as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    path.chmod(entry.mode)
