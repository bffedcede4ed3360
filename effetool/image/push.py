"""Send an image to a registry: only what is not there, in pieces that can be taken up again."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import IO, cast

from ..errors import ImageError
from .build import Image
from .config import MANIFEST
from .reference import Reference, parse_reference
from .registry import Answer, Registry
from .store import Blob, Store

__all__ = ["push_image", "upload"]

# A blob up to this goes in one request. Registries on S3 take no piece below 5 MiB.
PIECE = 16 << 20
BREAKS = 5


def push_image(store: Store, image: Image, text: str) -> tuple[Reference, int]:
    """Push an image; return its reference with its digest, and how many bytes of blobs were sent.

    Args:
        text: where to; without a tag it gets the image's, and one that ends in `/` gets the image's whole name.

    Raises:
        ImageError: E404 a malformed reference, E405 what the registry says.
    """
    tag = image.tag.partition(":")[2]
    reference = parse_reference(text + image.tag if text.endswith("/") else text, tag)
    registry = Registry(reference, actions="pull,push")
    sent = 0
    for one in image.built.manifests:
        for blob in (*(layer.blob for layer in one.layers), one.config):
            sent += upload(store, registry, blob)
    for one in image.built.manifests:
        if one.blob != image.built.root:
            _put_manifest(store, registry, one.blob, MANIFEST, one.blob.digest)
    _put_manifest(store, registry, image.built.root, image.built.media_type, reference.tag or image.digest)
    return reference.pinned(image.digest), sent


def _put_manifest(store: Store, registry: Registry, blob: Blob, media_type: str, name: str) -> None:
    headers = {"Content-Type": media_type}
    answer = registry.request("PUT", f"manifests/{name}", body=store.read(blob), headers=headers, fine=(200, 201, 202))
    told = answer.headers.get("Docker-Content-Digest")
    if told is not None and told != blob.digest:
        raise ImageError(
            f"{registry.reference.registry} keeps another digest than it was sent", code="E405", fix="run it again"
        )


def upload(store: Store, registry: Registry, blob: Blob, piece: int = PIECE) -> int:
    """Send a blob unless it is there; return the bytes sent.

    An upload that broke off, in this run or one before, goes on from where the registry says it is.
    """
    if registry.request("HEAD", f"blobs/{blob.digest}", fine=(200, 404)).status == 200:
        return 0
    key = f"{blob.digest[7:]}-{_safe(str(registry.reference.registry) + registry.reference.name)}"
    location, offset = _resume(store, registry, key)
    if not location:
        answer = registry.request("POST", "blobs/uploads/", body=b"", fine=(202,))
        location, offset = _where(registry, answer), 0
        store.keep("upload", key, {"location": location})
    sent = breaks = 0
    pieces = offset > 0 or blob.size > piece
    while pieces and offset < blob.size:
        size = min(piece, blob.size - offset)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
            "Content-Range": f"{offset}-{offset + size - 1}",
        }
        try:
            answer = registry.request(
                "PATCH", location, body=_part(store, blob, offset, size), headers=headers, again=False, fine=(202, 204)
            )
        except OSError as error:
            breaks += 1
            if breaks > BREAKS:
                raise ImageError(
                    f"{registry.reference.registry} breaks off: {error}",
                    code="E405",
                    fix="run it again: it goes on where it was",
                ) from error
            registry.pause(0.5 * breaks)
            location, offset = _resume(store, registry, key)
            if not location:
                answer = registry.request("POST", "blobs/uploads/", body=b"", fine=(202,))
                location, offset = _where(registry, answer), 0
            continue
        sent += size
        offset += size
        location = _where(registry, answer)
        store.keep("upload", key, {"location": location})
    body: Callable[[], IO[bytes]] | bytes = b"" if pieces else _part(store, blob, 0, blob.size)
    last = f"{location}{'&' if '?' in location else '?'}digest={blob.digest}"
    length = 0 if pieces else blob.size
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
    registry.request("PUT", last, body=body, headers=headers, fine=(201, 204))
    store.forget("upload", key)
    return sent + length


def _resume(store: Store, registry: Registry, key: str) -> tuple[str, int]:
    """Return where an upload that was begun can go on, and from which byte; no place when it cannot."""
    known = store.record("upload", key)
    if known is None:
        return "", 0
    try:
        answer = registry.request("GET", str(known["location"]), fine=(204,))
    except ImageError:
        return "", 0
    match = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
    end = int(match[1]) if match else 0
    # "0-0" is said of an empty upload and of one with one byte: no piece is one byte.
    return _where(registry, answer), end + 1 if end else 0


def _where(registry: Registry, answer: Answer) -> str:
    import urllib.parse

    location = answer.headers.get("Location", "")
    if not location:
        raise ImageError(
            f"{registry.reference.registry} does not say where to send a blob", code="E405", fix="run it again"
        )
    return urllib.parse.urljoin(registry.base, location)


def _part(store: Store, blob: Blob, offset: int, size: int) -> Callable[[], IO[bytes]]:
    """Return what opens a piece of a blob for sending."""

    def opened() -> IO[bytes]:
        file = store.open(blob.digest)
        if offset == 0 and size == blob.size:
            return file
        file.seek(offset)
        return cast("IO[bytes]", io.BytesIO(file.read(size)))

    return opened


def _safe(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:16]
