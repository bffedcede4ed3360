"""The small base: Python and CA certificates from Debian packages, made on first use and kept."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from ...errors import ImageError
from ..config import MAKER, USER, Platform, encode, manifest, timestamp
from ..layer import Entry, Layer, write_layer
from ..layout import Manifest, load_manifest
from ..store import Blob, Store

__all__ = ["Progress", "available", "dotted", "make_base", "small_base"]

# verb, subject, seconds
Progress = Callable[[str, str, float], object]
# Part of the keys: a change to how the base is made makes the kept one useless.
RECIPE = 2
ABOUT = "Python and CA certificates from Debian packages"


def available() -> bool:
    """Tell whether this machine has the tools of Debian."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None


def small_base(store: Store, platform: Platform, progress: Progress) -> Manifest:
    """Return the small base that was made last, or make it."""
    known = store.record("small", _key(platform))
    if known is not None and store.has(blob := Blob(str(known["digest"]), int(str(known["size"])))):
        image = load_manifest(store, blob)
        if all(store.has(layer.blob) for layer in image.layers):
            progress("base", f"the small one of {platform}, kept; `effe-tool base` makes it again", 0.0)
            return image
    return make_base(store, platform, progress)


def make_base(store: Store, platform: Platform, progress: Progress) -> Manifest:
    """Make the small base for a platform: Python and CA certificates, from this machine's Debian packages.

    The library is there compiled and without its sources: a third less to send, and a start that reads less. Tracebacks
    name its files and lines and do not show their text.

    Raises:
        ImageError: E408.
    """
    from ..compiled import find_python
    from . import archive, rootfs

    if not available():
        raise ImageError(
            "no apt-get and dpkg-deb here: a base is made from Debian packages",
            code="E408",
            fix="effe-tool image --base docker.io/library/python:3.13-slim …",
        )
    began = time.perf_counter()
    packages, version = archive.fetch(platform, lambda verb, subject: progress(verb, subject, 0.0))
    python = find_python(version)
    if python is None:
        raise ImageError(
            f"no python{dotted(version)} on PATH to compile the base's library with",
            code="E408",
            fix=f"apt-get install python{dotted(version)}",
        )
    try:
        entries = rootfs.collect(packages, version)
    except ValueError as error:
        raise ImageError(
            f"the archive is not what was expected: {error}", code="E408", fix="give --base a reference"
        ) from error
    progress("compile", f"the library of Python {dotted(version)}, for a start that reads less", 0.0)
    layer = write_layer(
        store,
        entries,
        about=ABOUT,
        extra=f"{dotted(version)} {RECIPE}",
        finish=lambda found: sourceless(found, python, version),
    )
    config = store.add(encode(_base_config(platform, layer, version)))
    document = store.add(encode(manifest(config, [layer], {})))
    size = sum(entry.size or len(entry.data or b"") for entry in entries)
    progress("made", f"base: Python {dotted(version)} for {platform}, {size / 1e6:.0f} MB", time.perf_counter() - began)
    store.keep("small", _key(platform), {"digest": document.digest, "size": document.size})
    return load_manifest(store, document)


def _key(platform: Platform) -> str:
    return f"{str(platform).replace('/', '-')}-{RECIPE}"


def sourceless(entries: list[Entry], python: str, version: tuple[int, int]) -> list[Entry]:
    """Return the entries with every module that compiles in place of its source."""
    from ..compiled import compile_entries

    compiled = {}
    for entry in compile_entries(entries, python, version):
        folder, _, file = entry.name.rpartition("/__pycache__/")
        compiled[f"{folder}/{file.partition('.')[0]}.py"] = entry.data
    found = []
    for entry in entries:
        if (code := compiled.get(entry.name)) is not None:
            found.append(Entry(f"{entry.name}c", data=code))
        elif entry.link is not None and f"{entry.name.rpartition('/')[0]}/{entry.link}" in compiled:
            found.append(Entry(f"{entry.name}c", link=f"{entry.link}c"))  # sysconfig's data has two names
        else:
            found.append(entry)
    return found


def _base_config(platform: Platform, layer: Layer, version: tuple[int, int]) -> dict[str, object]:
    return {
        **platform.as_dict(),
        "created": timestamp(),
        "config": {
            "Env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
            "Cmd": [f"/usr/bin/python{dotted(version)}"],
            "User": USER,
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": f"Python {dotted(version)}",
                "org.opencontainers.image.description": ABOUT,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": timestamp(), "created_by": MAKER, "comment": ABOUT}],
    }


def dotted(version: tuple[int, int]) -> str:
    """Return a version as it is written."""
    return f"{version[0]}.{version[1]}"
