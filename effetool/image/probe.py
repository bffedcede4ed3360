"""What a base holds, by the names in its layers: read as a stream and never unpacked, whatever they say.

Sources: OCI image-spec 1.1, layer.md (whiteouts); a layer is somebody else's, so its names are taken for text and what
it unpacks to is bounded.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from ..errors import ImageError
from .layer import Layer, inflated
from .store import Store
from .tar import members

__all__ = ["PYTHON", "look"]

PYTHON = re.compile(r"((?:usr/local|usr|opt/[^/]+)/bin/python3\.(\d{1,3}))\Z")
CERTIFICATES = re.compile(
    r"(?:etc/ssl/certs/ca-certificates\.crt|etc/ssl/cert\.pem|etc/pki/tls/certs/ca-bundle\.crt)\Z"
)
MUSL = re.compile(r"(?:usr/)?lib/ld-musl-[^/]+\Z")
# Wherever it lies: /etc/ld.so.conf may name any directory. Not what a Python package keeps for itself.
LIBRARY = re.compile(r"(?!.*-packages/)(?:[^/]+/)+(?:lib|ld-)[^/]*\.so(?:\.[^/]*)?\Z")
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
MATTER = (PYTHON, CERTIFICATES, MUSL, LIBRARY)


def look(store: Store, layers: Sequence[Layer]) -> dict[str, object]:
    """Return which Python there is, whether certificates are, whether the C library is musl, and the shared libraries.

    Raises:
        ImageError: E403 when a layer cannot be read, or unpacks to far more than layers do.
    """
    names: set[str] = set()
    for layer in layers:
        if layer.media_type.endswith("zstd"):
            raise ImageError(
                "the base has layers packed with zstd, which this Python cannot read",
                code="E403",
                fix="use another base",
            )
        try:
            names = _above(store, layer, names)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise ImageError(
                f"a layer of the base cannot be read: {error}", code="E403", fix="fetch or save the image again"
            ) from error
    pythons = {match[1]: int(match[2]) for name in names if (match := PYTHON.match(name)) is not None}
    # The one an image's author put in comes before the distribution's own, a newer one before an older.
    best = max(pythons, key=lambda path: (path.startswith("usr/local"), pythons[path]), default=None)
    return {
        "python": f"/{best}" if best else None,
        "certificates": any(CERTIFICATES.match(name) for name in names),
        "musl": any(MUSL.match(name) for name in names),
        "libraries": sorted({name.rpartition("/")[2] for name in names if LIBRARY.match(name)}),
    }


def _above(store: Store, layer: Layer, below: set[str]) -> set[str]:
    """Return what is left of the names below a layer, and the layer's own, of the names that matter."""
    own: set[str] = set()
    below = set(below)
    with store.checked(layer.blob) as packed:
        plain = inflated(packed, layer.blob.size) if layer.media_type.endswith("gzip") else packed
        for member in members(plain):
            name = "/".join(part for part in member.name.split("/") if part not in ("", "."))
            folder, _, last = name.rpartition("/")
            if last == OPAQUE:
                below = {known for known in below if not known.startswith(f"{folder}/")}
            elif last.startswith(WHITEOUT):
                hidden = f"{folder}/{last.removeprefix(WHITEOUT)}".lstrip("/")
                below = {known for known in below if not f"{known}/".startswith(f"{hidden}/")}
            elif not member.is_directory:
                if below:
                    below = {known for known in below if not known.startswith(f"{name}/")}
                if any(pattern.match(name) for pattern in MATTER):
                    own.add(name)
        while plain.read(1 << 20):
            pass
        while packed.read(1 << 20):
            pass
    return below | own
