"""What an image stands on: a reference, a layout, a tar, or the small base of Debian packages.

Without `--base` it is the small base, made on first use and kept; where there are no Debian packages, Docker Hub's
`python:3.N-slim` for the running Python's N.
"""

from __future__ import annotations

import json
import os
import platform as machine
import re
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import ImageError, Place
from . import debian, rootfs
from .compiled import compile_entries, find_python
from .config import USER, Base, Platform, encode, manifest, parse_platform, timestamp
from .layer import Entry, Layer, write_layer
from .layout import Manifest, import_layout, load_manifest, open_files
from .store import Blob, Store

__all__ = ["Fetch", "Progress", "default_base", "host_platform", "make_base", "resolve_base"]

# verb, subject, seconds
Progress = Callable[[str, str, float], object]
# reference, platforms wanted (None: those there are) -> the images, in the store
Fetch = Callable[[str, "Sequence[Platform] | None"], "list[Manifest]"]
ABOUT = "Python and CA certificates from Debian packages"
PYTHON = re.compile(r"(?:\./)?((?:usr/local|usr|opt/[^/]+)/bin/python3\.(\d+))\Z")
CERTIFICATES = re.compile(
    r"(?:\./)?(?:etc/ssl/certs/ca-certificates\.crt|etc/ssl/cert\.pem|etc/pki/tls/certs/ca-bundle\.crt)\Z"
)


def host_platform() -> Platform:
    """Return the platform of this machine's engine: Linux on this architecture, on macOS too."""
    return parse_platform(machine.machine() or "amd64")


def default_base() -> str | None:
    """Return the reference that is taken where there are no Debian packages; None where there are."""
    return None if debian.available() else f"docker.io/library/python:3.{sys.version_info[1]}-slim"


def resolve_base(
    store: Store, base: str | None, platforms: Sequence[Platform] | None, fetch: Fetch, progress: Progress
) -> list[Base]:
    """Return the base for each platform, its layers in the store.

    Args:
        base: a reference, a layout directory or a tar; None is the default.
        platforms: those that are wanted; None is this machine's, or the only one that the base has.
        fetch: brings a reference into the store.

    Raises:
        ImageError: E403 when it cannot be used, E406 when it lacks a platform.
    """
    began = time.perf_counter()
    base = base or default_base()
    if base is None:
        wanted = platforms or [host_platform()]
        return [inspect(store, _small(store, platform, progress), None) for platform in wanted]
    name = None
    if os.path.lexists(base):
        with open_files(Path(base)) as files:
            found = import_layout(store, files)
    elif base.startswith((".", "/", "~")) or base.endswith((".tar", ".tar.gz")):
        raise ImageError(
            f"no such file or directory: {base}", code="E403", place=Place(Path(base)), fix="check the path"
        )
    else:
        found = fetch(base, platforms)
        name = base
    bases = [inspect(store, image, name) for image in _select(found, platforms, base)]
    progress("base", f"{base}, Python {_dotted(bases[0].version)}", time.perf_counter() - began)
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
    key = image.config.digest.partition(":")[2]
    facts = store.record("base", key)
    if facts is None:
        facts = _look(store, image.layers)
        store.keep("base", key, facts)
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
    )


def _look(store: Store, layers: Sequence[Layer]) -> dict[str, object]:
    """Read the names in the layers: which Python there is, whether certificates, which C library."""
    pythons: dict[str, int] = {}
    certificates = musl = False
    for layer in layers:
        if layer.media_type.endswith("zstd"):
            raise ImageError(
                "the base has layers packed with zstd, which this Python cannot read",
                code="E403",
                fix="use another base",
            )
        with store.checked(layer.blob) as packed, tarfile.open(fileobj=packed, mode="r|*") as tar:
            for member in tar:
                if (match := PYTHON.match(member.name)) is not None:
                    pythons[match[1]] = int(match[2])
                certificates = certificates or CERTIFICATES.match(member.name) is not None
                musl = musl or member.name.removeprefix("./").startswith("lib/ld-musl-")
            while packed.read(1 << 20):
                pass
    # The one an image's author put in comes before the distribution's own, a newer one before an older.
    best = max(pythons, key=lambda path: (path.startswith("usr/local"), pythons[path]), default=None)
    return {"python": f"/{best}" if best else None, "certificates": certificates, "musl": musl}


def make_base(store: Store, platform: Platform, progress: Progress) -> Manifest:
    """Make the small base for a platform: Python and CA certificates, from this machine's Debian packages.

    The library is there compiled and without its sources: a third less to send, and a start that reads less. Tracebacks
    name its files and lines and do not show their text.

    Raises:
        ImageError: E408.
    """
    began = time.perf_counter()
    packages, version = debian.fetch(platform, lambda verb, subject: progress(verb, subject, 0.0))
    python = find_python(version)
    if python is None:
        raise ImageError(
            f"no python{_dotted(version)} on PATH to compile the base's library with",
            code="E408",
            fix=f"apt-get install python{_dotted(version)}",
        )
    try:
        entries = rootfs.collect(packages, version)
    except ValueError as error:
        raise ImageError(
            f"the archive is not what was expected: {error}", code="E408", fix="give --base a reference"
        ) from error
    layer = write_layer(
        store, entries, about=ABOUT, extra=_dotted(version), finish=lambda found: sourceless(found, python, version)
    )
    config = store.add(encode(_base_config(platform, layer, version)))
    document = store.add(encode(manifest(config, [layer], {})))
    size = sum(entry.size or len(entry.data or b"") for entry in entries)
    progress(
        "made", f"base: Python {_dotted(version)} for {platform}, {size / 1e6:.0f} MB", time.perf_counter() - began
    )
    store.keep("small", str(platform).replace("/", "-"), {"digest": document.digest, "size": document.size})
    return load_manifest(store, document)


def sourceless(entries: list[Entry], python: str, version: tuple[int, int]) -> list[Entry]:
    """Return the entries with every module that compiles in place of its source."""
    compiled = {}
    for entry in compile_entries(entries, python, version):
        folder, _, file = entry.name.rpartition("/__pycache__/")
        compiled[f"{folder}/{file.partition('.')[0]}.py"] = entry.data
    return [
        Entry(f"{entry.name}c", data=code) if (code := compiled.get(entry.name)) is not None else entry
        for entry in entries
    ]


def _base_config(platform: Platform, layer: Layer, version: tuple[int, int]) -> dict[str, object]:
    return {
        **platform.as_dict(),
        "created": timestamp(),
        "config": {
            "Env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
            "Cmd": [f"/usr/bin/python{_dotted(version)}"],
            "User": USER,
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": f"Python {_dotted(version)}",
                "org.opencontainers.image.description": ABOUT,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": timestamp(), "created_by": "effe-tool base", "comment": ABOUT}],
    }


def _small(store: Store, platform: Platform, progress: Progress) -> Manifest:
    """Return the small base that was made last, or make it."""
    known = store.record("small", str(platform).replace("/", "-"))
    if known is not None and store.has(blob := Blob(str(known["digest"]), int(str(known["size"])))):
        image = load_manifest(store, blob)
        if all(store.has(layer.blob) for layer in image.layers):
            progress("base", f"the small one of {platform}, kept; `effe-tool base` makes it anew", 0.0)
            return image
    return make_base(store, platform, progress)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
