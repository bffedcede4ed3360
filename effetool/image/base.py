"""What an image stands on: a reference, a layout, a tar, or the small base of Debian packages.

Without `--base` it is the small base, made on first use and kept; where there are no Debian packages, Docker Hub's
`python:3.N-slim` for the running Python's N.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import ImageError, Place
from .config import Base, Platform, host_platform
from .debian.small_base import Progress, available, dotted, small_base
from .layout import Manifest, import_layout, open_files, understood
from .probe import PYTHON, look
from .store import Store

__all__ = ["default_base", "resolve_base"]


def default_base() -> str | None:
    """Return the reference that is taken where there are no Debian packages; None where there are."""
    return None if available() else f"docker.io/library/python:3.{sys.version_info[1]}-slim"


def resolve_base(
    store: Store, base: str | None, platforms: Sequence[Platform] | None, progress: Progress
) -> list[Base]:
    """Return the base for each platform, its layers in the store.

    Args:
        base: a layout directory, a tar, or, where there is no such path, a reference; None is the default.
        platforms: those that are wanted; None is this machine's, or the only one that the base has.

    Raises:
        ImageError: E403 when it cannot be used, E404 a malformed reference, E405 what the registry says, E406 when it
            lacks a platform, E408 when no small base can be made.
    """
    began = time.perf_counter()
    base = base or default_base()
    if base is None:
        wanted = platforms or [host_platform()]
        return [inspect(store, small_base(store, platform, progress), None) for platform in wanted]
    name = None
    if os.path.lexists(base):
        with open_files(Path(base)) as files:
            found = import_layout(store, files)
    elif base.startswith((".", "/", "~")) or base.endswith((".tar", ".tar.gz")):
        raise ImageError(
            f"no such file or directory: {base}", code="E403", place=Place(Path(base)), fix="check the path"
        )
    else:
        from .registry.client import fetch_into

        with understood(base, fix="check the reference, or use another base"):
            found = fetch_into(store)(base, platforms)
        name = base
    bases = [inspect(store, image, name) for image in _select(found, platforms, base)]
    progress("base", f"{base}, Python {dotted(bases[0].version)}", time.perf_counter() - began)
    return bases


def _select(found: list[Manifest], platforms: Sequence[Platform] | None, base: str) -> list[Manifest]:
    by_platform = {image.platform: image for image in reversed(found)}
    if platforms is None:
        host = host_platform()
        return (
            [by_platform.get(host) or found[0]]
            if host in by_platform or len(by_platform) == 1
            else _select(found, [host], base)
        )
    missing = [str(platform) for platform in platforms if platform not in by_platform]
    if missing:
        raise ImageError(
            f"{base} has no image for {', '.join(missing)}: it has {', '.join(map(str, sorted(by_platform)))}",
            code="E406",
            fix=f"--platform {min(by_platform)}",
        )
    return [by_platform[platform] for platform in platforms]


def inspect(store: Store, image: Manifest, name: str | None) -> Base:
    """Return what the image offers to an effe; the names in its layers are read once and remembered.

    Raises:
        ImageError: E403 when there is no Python in it.
    """
    config = json.loads(store.read(image.config))
    # The layers' own digests: a configuration can name others than it comes with.
    key = hashlib.sha256("".join(layer.blob.digest for layer in image.layers).encode()).hexdigest()
    facts = store.record("base", key)
    if facts is None or "libraries" not in facts:
        facts = look(store, image.layers)
        store.keep("base", key, facts)
    libraries = facts["libraries"]
    python = facts.get("python")
    if not isinstance(python, str) or (match := PYTHON.match(python.lstrip("/"))) is None:
        raise ImageError(
            f"the base {name or ''} has no python3 in /usr/local/bin or /usr/bin".replace("  ", " "),
            code="E403",
            fix="--base docker.io/library/python:3.13-slim, or effe-tool base",
        )
    return Base(
        image.platform,
        image.layers,
        config,
        python,
        (3, int(match[2])),
        bool(facts.get("certificates")),
        "musllinux" if facts.get("musl") else "manylinux",
        name,
        image.blob.digest or None,
        frozenset(map(str, libraries)) if isinstance(libraries, list) else frozenset(),
    )
