"""Layers: gzipped tars whose bytes depend on what is in them and on nothing else.

Names are sorted, owner and group are 0 without a name, times are one constant, modes are 0755 or 0644: nothing of the
machine, the user or the day is left (https://reproducible-builds.org/docs/archives/). Format: OCI image-spec 1.1,
layer.md; extended headers are POSIX pax, which every engine reads.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, cast

from ..effe.artifact import LEAST, RATIO
from .store import Blob, Store, Writer

__all__ = ["Entry", "Layer", "compress", "epoch", "inflated", "write_layer"]

# Part of every key: a change to how layers are written makes the kept ones useless.
FORMAT = 1
LEVEL = 6  # 9 takes three times as long for one part in a hundred


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a layer, without a leading slash.

    A regular file has `open` or `data`, a symbolic link has `link`, a directory has none of them.
    """

    name: str
    data: bytes | None = None
    open: Callable[[], IO[bytes]] | None = None
    size: int = 0
    link: str | None = None
    mode: int = 0o644

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.data is not None or self.open is not None

    def stream(self) -> IO[bytes]:
        """Open the content of a regular file."""
        if self.open is not None:
            return self.open()
        return io.BytesIO(self.data or b"")

    def read(self) -> bytes:
        """Return the content of a regular file."""
        if self.data is not None:
            return self.data
        with self.stream() as file:
            return file.read()


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in a store: its blob, the digest of the tar in it, its media type and what it is for."""

    blob: Blob
    diff_id: str
    media_type: str = "application/vnd.oci.image.layer.v1.tar+gzip"
    about: str = ""


def epoch() -> int:
    """Return the time that stands in images: `$SOURCE_DATE_EPOCH`, else 0 (https://reproducible-builds.org/specs/)."""
    value = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(value) if value.isdecimal() else 0


def write_layer(
    store: Store,
    entries: Iterable[Entry],
    *,
    about: str,
    extra: str = "",
    finish: Callable[[list[Entry]], list[Entry]] | None = None,
) -> Layer:
    """Return the layer of these entries, from the store where it was made before.

    Args:
        about: what it is for, as the image's history shows it.
        extra: what else the layer depends on, such as the Python that compiles.
        finish: makes of these what is written, such as compiled modules; called only when the layer is made.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    key = _key(ordered, extra)
    if (known := store.record("layer", key)) is not None:
        blob = Blob(str(known["digest"]), int(str(known["size"])))
        if store.has(blob):
            return Layer(blob, str(known["diff_id"]), about=about)
    if finish is not None:
        ordered = sorted(finish(ordered), key=lambda entry: entry.name)
    layer = compress(store, lambda file: _write_tar(file, ordered), about=about)
    store.keep(
        "layer", key, {"digest": layer.blob.digest, "size": layer.blob.size, "diff_id": layer.diff_id, "about": about}
    )
    return layer


def compress(store: Store, write: Callable[[IO[bytes]], object], *, about: str) -> Layer:
    """Keep the tar that `write` writes as a gzipped layer."""
    with store.new() as packed:
        # mtime 0 and no file name: both would stand in gzip's header (RFC 1952 section 2.3).
        with gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=packed, mtime=0) as zipped:
            plain = Writer(zipped)  # type: ignore[arg-type]
            write(plain)  # type: ignore[arg-type]
        blob = packed.blob
    return Layer(blob, plain.blob.digest, about=about)


class _Inflated:
    """A file that reads as what another unpacks to, up to a bound."""

    def __init__(self, file: IO[bytes], bound: int) -> None:
        self.file = file
        self.left = bound

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size if size >= 0 else self.left + 1)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError(f"it unpacks to more than {RATIO} times its size")
        return data


def inflated(file: IO[bytes], size: int) -> IO[bytes]:
    """Return a reader of what the `size` bytes of gzip in `file` unpack to.

    It raises ValueError where that is more than layers are: gzip makes a gigabyte of zeros one megabyte.
    """
    return cast("IO[bytes]", _Inflated(cast("IO[bytes]", gzip.GzipFile(fileobj=file)), max(LEAST, size * RATIO)))


def _write_tar(file: IO[bytes], entries: list[Entry]) -> None:
    seen: set[str] = set()
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 16) as tar:
        for entry in entries:
            parts = entry.name.split("/")
            for depth in range(1, len(parts)):
                _directory(tar, "/".join(parts[:depth]), 0o755, seen)
            if entry.link is None and not entry.is_file:
                _directory(tar, entry.name, entry.mode, seen)
                continue
            info = tarfile.TarInfo(entry.name)
            info.mtime = epoch()
            info.mode = entry.mode
            if entry.link is not None:
                info.type = tarfile.SYMTYPE
                info.linkname = entry.link
                info.mode = 0o777
                tar.addfile(info)
                continue
            info.size = entry.size if entry.data is None else len(entry.data)
            with entry.stream() as content:
                tar.addfile(info, content)


def _directory(tar: tarfile.TarFile, name: str, mode: int, seen: set[str]) -> None:
    if name in seen:
        return
    seen.add(name)
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    info.mode = mode
    info.mtime = epoch()
    tar.addfile(info)


def _key(entries: list[Entry], extra: str) -> str:
    key = hashlib.sha256(json.dumps([FORMAT, LEVEL, zlib.ZLIB_RUNTIME_VERSION, epoch(), extra]).encode())
    for entry in entries:
        content = ""
        if entry.is_file:
            with entry.stream() as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        key.update(json.dumps([entry.name, entry.mode, entry.link, content]).encode())
    return key.hexdigest()
