"""The blobs that images are made of, kept by their digest between one build and the next.

A blob is named by the SHA-256 of its bytes and hashed again whenever it is copied out, so a damaged one is noticed and
made again. A record is a small JSON document by a key of its maker's; it says which blobs something became. Losing any
of it costs time, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from ..errors import ImageError, Place

__all__ = ["Blob", "Store", "Writer", "store_root"]


@dataclass(frozen=True, slots=True)
class Blob:
    """What is known of bytes without having them: `sha256:<hex>` and their number."""

    digest: str
    size: int


def store_root(environ: Mapping[str, str] | None = None) -> Path:
    """Return where blobs are kept: `$XDG_CACHE_HOME/effe-tool/image`, else below `~/.cache`.

    Where there is no home directory it is a directory of this process's own below the temporary one.
    """
    environ = os.environ if environ is None else environ
    for base in (Path(environ.get("XDG_CACHE_HOME", "")), Path(environ.get("HOME", ""), ".cache")):
        if base.is_absolute():
            return base / "effe-tool" / "image"
    return Path(tempfile.mkdtemp(prefix="effe-tool-image-"))


class Writer:
    """Bytes on their way into a store: a file to write to that counts and hashes them."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = 0
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Take more bytes."""
        self.hash.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        """Do nothing: the file is flushed when it is kept."""

    @property
    def blob(self) -> Blob:
        """The digest and size of what was written so far."""
        return Blob("sha256:" + self.hash.hexdigest(), self.size)


class _Reader:
    """A file that hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.hash.update(data)
        return data


class Store:
    """Blobs and records below `root`, which is the user's alone.

    Raises:
        ImageError: E407 when the directory cannot be written, or belongs to somebody else: who can write there could
            put his bytes into an image.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = store_root() if root is None else root
        try:
            for name in ("blobs/sha256", "records"):
                (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.root.stat()
        except OSError as error:
            raise _unusable(self.root, error.strerror or str(error)) from error
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise _unusable(self.root, "others may write to it")

    def path(self, digest: str) -> Path:
        """Return where the blob of that digest is or would be."""
        algorithm, _, value = digest.partition(":")
        if algorithm != "sha256" or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
            raise ImageError(f"not a digest: {digest[:100]!r}", code="E403", fix="use an image whose blobs are sha256")
        return self.root / "blobs" / "sha256" / value

    def has(self, blob: Blob) -> bool:
        """Tell whether a blob is there, by its size; its bytes are checked when they are read."""
        try:
            return self.path(blob.digest).stat().st_size == blob.size
        except OSError:
            return False

    @contextmanager
    def new(self, expected: str | None = None) -> Iterator[Writer]:
        """Give a file to write a blob to; it is kept when the block ends well, and only whole.

        Raises:
            ImageError: E403 when its digest is not the expected one; nothing is kept.
        """
        number, name = tempfile.mkstemp(dir=self.root, prefix=".new-")
        try:
            with os.fdopen(number, "wb") as file:
                writer = Writer(file)
                yield writer
            digest = writer.blob.digest
            if expected is not None and digest != expected:
                raise ImageError(
                    f"the bytes of {expected[:19]}… have another digest",
                    code="E403",
                    fix="fetch or save the image again",
                )
            Path(name).replace(self.path(digest))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def add(self, data: bytes) -> Blob:
        """Keep some bytes."""
        blob = Blob("sha256:" + hashlib.sha256(data).hexdigest(), len(data))
        if not self.has(blob):
            with self.new(blob.digest) as writer:
                writer.write(data)
        return blob

    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading, unchecked. Raises OSError when it is not there."""
        return self.path(digest).open("rb")

    def read(self, blob: Blob) -> bytes:
        """Return a small blob's bytes, checked."""
        with self.checked(blob) as file:
            return file.read()

    @contextmanager
    def checked(self, blob: Blob) -> Iterator[IO[bytes]]:
        """Open a blob whose bytes are hashed as they are read, to its end, and checked when the block ends.

        Raises:
            ImageError: E407 when they were damaged since they were kept: the blob is removed, and the next
                build makes it again. What was done with them must be thrown away.
        """
        path = self.path(blob.digest)
        with path.open("rb") as file:
            reader = _Reader(file)
            yield cast("IO[bytes]", reader)
        if "sha256:" + reader.hash.hexdigest() != blob.digest:
            path.unlink(missing_ok=True)
            raise ImageError(f"{path} was damaged and is removed", code="E407", fix="run it again")

    def record(self, kind: str, key: str) -> dict[str, object] | None:
        """Return a record, None when there is none that can be read."""
        try:
            value = json.loads((self.root / "records" / f"{kind}-{key}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def keep(self, kind: str, key: str, value: Mapping[str, object]) -> None:
        """Write a record."""
        number, name = tempfile.mkstemp(dir=self.root, prefix=".new-")
        with os.fdopen(number, "w") as file:
            json.dump(value, file)
        Path(name).replace(self.root / "records" / f"{kind}-{key}.json")

    def forget(self, kind: str, key: str) -> None:
        """Remove a record."""
        (self.root / "records" / f"{kind}-{key}.json").unlink(missing_ok=True)


def _unusable(root: Path, why: str) -> ImageError:
    return ImageError(
        f"cannot keep blobs in {root}: {why}",
        code="E407",
        place=Place(root),
        fix="XDG_CACHE_HOME=DIR effe-tool image …",
    )
