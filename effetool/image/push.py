"""Send an image to a registry: only what is not there, in pieces that can be taken up again."""

from __future__ import annotations

import hashlib
import io
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import IO

from ..errors import ImageError
from .build import Image
from .config import MANIFEST
from .registry.client import Answer, Registry
from .registry.reference import Reference, parse_reference
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
    """Send a blob unless it is there; return the bytes that arrived.

    What the registry has in another repository that was pushed to before is mounted from there. An upload that broke
    off, in this run or one before, goes on from where the registry says it is; one that the registry gave up is begun
    again. docker's own registry gives up when a line breaks inside a piece.
    """
    key = f"{blob.digest[7:]}-{_safe(registry.reference.registry + registry.reference.name)}"
    sent = breaks = 0
    while True:
        try:
            if registry.request("HEAD", f"blobs/{blob.digest}", again=False, fine=(200, 404)).status == 200:
                break
            place = _resume(store, registry, key) or _begin(store, registry, key, blob)
            for size in _send(store, registry, key, blob, piece, *place) if place else ():
                sent += size
            break
        except OSError as error:
            breaks += 1
            if breaks > BREAKS:
                raise ImageError(
                    f"{registry.reference.registry} breaks off: {error}",
                    code="E405",
                    fix="run it again: it goes on where it was",
                ) from error
            registry.pause(0.5 * breaks)
    store.forget("upload", key)
    store.keep("home", _home(registry, blob), {"name": registry.reference.name})
    return sent


def _begin(store: Store, registry: Registry, key: str, blob: Blob) -> tuple[str, int] | None:
    """Return where a new upload goes; None when the registry took the blob from another repository of its own."""
    known = store.record("home", _home(registry, blob))
    if known is not None and known["name"] != registry.reference.name:
        query = urllib.parse.urlencode({"mount": blob.digest, "from": known["name"]})
        try:
            with registry.reading(str(known["name"])):
                answer = registry.request("POST", f"blobs/uploads/?{query}", body=b"", again=False, fine=(201, 202))
            return None if answer.status == 201 else _kept(store, registry, key, answer)
        except ImageError:  # who may push here need not be one who may read there
            pass
    return _kept(store, registry, key, registry.request("POST", "blobs/uploads/", body=b"", again=False, fine=(202,)))


def _kept(store: Store, registry: Registry, key: str, answer: Answer) -> tuple[str, int]:
    location = _where(registry, answer)
    store.keep("upload", key, {"location": location})
    return location, 0


def _resume(store: Store, registry: Registry, key: str) -> tuple[str, int] | None:
    """Return where an upload that was begun can go on, and from which byte; None when it cannot."""
    known = store.record("upload", key)
    if known is None:
        return None
    try:
        answer = registry.request("GET", str(known["location"]), again=False, fine=(204,))
    except ImageError:
        return None
    match = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
    end = int(match[1]) if match else 0
    # "0-0" is said of an empty upload and of one with one byte: no piece is one byte.
    return _where(registry, answer), end + 1 if end else 0


def _send(
    store: Store, registry: Registry, key: str, blob: Blob, piece: int, location: str, offset: int
) -> Iterator[int]:
    """Send what is left of a blob and yield how much arrived, piece by piece; a small one goes in one request."""
    pieces = offset > 0 or blob.size > piece
    while pieces and offset < blob.size:
        size = min(piece, blob.size - offset)
        headers = {"Content-Length": str(size), "Content-Range": f"{offset}-{offset + size - 1}"}
        answer = _ask(registry, "PATCH", location, _part(store, blob, offset, size), headers)
        yield size
        offset += size
        location, _ = _kept(store, registry, key, answer)
    last = f"{location}{'&' if '?' in location else '?'}digest={blob.digest}"
    size = 0 if pieces else blob.size
    _ask(registry, "PUT", last, b"" if pieces else _part(store, blob, 0, size), {"Content-Length": str(size)})
    yield size


def _ask(
    registry: Registry, method: str, url: str, body: Callable[[], IO[bytes]] | bytes, headers: Mapping[str, str]
) -> Answer:
    """Send a piece. Raises OSError when it did not arrive, or the registry no longer knows the upload."""
    headers = {"Content-Type": "application/octet-stream", **headers}
    answer = registry.request(method, url, body=body, headers=headers, again=False, fine=(201, 202, 204, 404, 416))
    if answer.status >= 400:
        raise OSError(f"it answers {answer.status}")
    return answer


def _home(registry: Registry, blob: Blob) -> str:
    return f"{blob.digest[7:]}-{_safe(registry.reference.registry)}"


def _where(registry: Registry, answer: Answer) -> str:
    location = answer.headers.get("Location", "")
    if not location:
        raise ImageError(
            f"{registry.reference.registry} does not say where to send a blob", code="E405", fix="run it again"
        )
    return urllib.parse.urljoin(registry.base, location)


def _part(store: Store, blob: Blob, offset: int, size: int) -> Callable[[], IO[bytes]]:
    """Return what opens a piece of a blob for sending."""

    def opened() -> IO[bytes]:
        if offset == 0 and size == blob.size:
            return store.open(blob.digest)
        with store.open(blob.digest) as file:
            file.seek(offset)
            return io.BytesIO(file.read(size))

    return opened


def _safe(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
