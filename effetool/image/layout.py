"""Images as files: read layouts and archives into a store, write one tar that every engine takes.

The tar that is written is an OCI layout (image-spec 1.1, image-layout.md) and a docker archive (`docker save`) at once:
the second is one more file, `manifest.json`, that points to the same blobs.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from ..effe.artifact import check_replaceable
from ..errors import ImageError, Place
from .config import INDEX, MANIFEST, Base, Platform, encode, manifest
from .layer import Layer, compress, epoch, inflated
from .store import Blob, Store
from .tar import Member, members

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Built", "Files", "Manifest", "import_layout", "open_files", "understood", "write_archive"]

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_TYPES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
# A document is held in memory; registries refuse manifests above 4 MiB too (distribution-spec).
MAX_DOCUMENT = 4 << 20
MAX_IMAGES = 200  # in one index; the largest have some twenty, and as many attestations
MAX_MEMBERS = 100_000  # names in a saved image; each layer is one or three
MAX_LINKS = 8
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Manifest:
    """One platform's image in a store."""

    blob: Blob
    platform: Platform
    config: Blob
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Built:
    """An image in a store: what its name stands for, and the images of each platform.

    `root` is the one manifest, or the index over several.
    """

    root: Blob
    media_type: str
    manifests: tuple[Manifest, ...]


class Files(Protocol):
    """A directory or a tar, by the names in it."""

    def read(self, name: str) -> bytes:
        """Return a small file's bytes. Raises KeyError when it is not there."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file. Raises KeyError when it is not there."""


class _Directory:
    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, name: str) -> IO[bytes]:
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()) or not path.is_file():
            raise KeyError(name)
        return path.open("rb")

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return _document(file, name)


class _Tar:
    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.members: dict[str, Member] = {}
        for member in members(file, seek=True):
            self.members[member.name.removeprefix("./")] = member
            if len(self.members) > MAX_MEMBERS:
                raise ValueError(f"it holds more than {MAX_MEMBERS} files")

    def open(self, name: str) -> IO[bytes]:
        for _ in range(MAX_LINKS):
            member = self.members[name]
            if member.kind not in (b"1", b"2"):
                break
            # `docker save` of old wrote equal layers as links to the first one: followed inside the tar.
            folder = posixpath.dirname(name) if member.kind == b"2" else ""
            name = posixpath.normpath(posixpath.join(folder, member.link))
        if member.kind not in b"0\0" or member.is_directory:
            raise KeyError(name)
        return io.BufferedReader(_Part(self.file, member.offset, member.size), 1 << 16)

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return _document(file, name)


class _Part(io.RawIOBase):
    """The bytes of one member, of a file that others read too."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        self._file.seek(self._offset + self._at)
        data = self._file.read(min(len(view), max(0, self._size - self._at)))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def _document(file: IO[bytes], name: str) -> bytes:
    data = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise ValueError(f"{name} is larger than {MAX_DOCUMENT} bytes")
    return data


@contextmanager
def understood(name: str, place: Place | None = None, fix: str = "") -> Iterator[None]:
    """Turn what goes wrong while somebody's documents and files are read into an error.

    Raises:
        ImageError: E403.
    """
    wrong = (OSError, KeyError, ValueError, TypeError, AttributeError, EOFError, RecursionError)
    try:
        yield
    except (*wrong, zlib.error) as error:
        reason = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise ImageError(f"{name} is not an image: {reason}", code="E403", place=place, fix=fix) from error


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """Open a layout directory, or a tar of one or of `docker save`, gzipped or not.

    Raises:
        ImageError: E403 when it is neither, or what is read from it inside the block is not what it should be.
    """
    import shutil
    import tempfile

    with (
        understood(str(path), Place(path), f"podman save --format oci-archive -o {path.name} IMAGE"),
        ExitStack() as stack,
    ):
        if path.is_dir():
            yield _Directory(path)
            return
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        if file.read(2) == GZIP:
            file.seek(0)
            plain = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(inflated(file, path.stat().st_size), plain, 1 << 20)
            file = plain
        file.seek(0)
        yield _Tar(file)


def import_layout(store: Store, files: Files) -> list[Manifest]:
    """Bring every image of a layout or archive for Linux into the store. To be called inside `open_files`."""
    try:
        top = json.loads(files.read("index.json"))
    except KeyError:
        return [_import_saved(store, files, image) for image in json.loads(files.read("manifest.json"))]
    found: list[Manifest] = []
    for number, descriptor in enumerate(_descriptors(files, top, deep=3)):
        if number == MAX_IMAGES:
            raise ValueError(f"it has more than {MAX_IMAGES} images")
        blob = Blob(descriptor["digest"], int(descriptor["size"]))
        store.add(files.read(_blob(blob.digest)))
        _take(store, files, config_of(store, blob))
        image = load_manifest(store, blob)
        for layer in image.layers:
            _take(store, files, layer.blob)
        found.append(image)
    if not found:
        raise ValueError("it has no image for Linux")
    return found


def config_of(store: Store, blob: Blob) -> Blob:
    """Return which blob is the configuration of the manifest in `blob`."""
    config = json.loads(store.read(blob))["config"]
    return Blob(str(config["digest"]), int(config["size"]))


def load_manifest(store: Store, blob: Blob) -> Manifest:
    """Return the image of a manifest in the store, whose configuration is there; its layers may still be missing."""
    document = json.loads(store.read(blob))
    config = config_of(store, blob)
    settings = json.loads(store.read(config))
    diff_ids = settings["rootfs"]["diff_ids"]
    layers = []
    for layer, diff_id in zip(document["layers"], diff_ids, strict=True):
        kind = str(layer["mediaType"])
        layers.append(
            Layer(Blob(str(layer["digest"]), int(layer["size"])), str(diff_id), LAYER_TYPES.get(kind, kind), "base")
        )
    return Manifest(blob, platform_of(settings), config, tuple(layers))


def platform_of(config: Mapping[str, object]) -> Platform:
    """Return the platform an image's configuration names."""
    architecture = str(config.get("architecture") or "")
    variant = "" if architecture == "arm64" else str(config.get("variant") or "")
    return Platform(architecture, variant)


def _descriptors(files: Files, top: Mapping[str, object], deep: int) -> Iterator[dict[str, str]]:
    """Yield the descriptor of each image, going into the indexes inside the index, as far as is sensible."""
    entries = top["manifests"]
    if not isinstance(entries, list) or deep == 0:
        raise ValueError("its index is not a list, or nested too deep")
    for entry in entries:
        kind = entry.get("mediaType")
        if kind in MANIFEST_TYPES:
            # Attestations of buildkit are manifests of an unknown platform.
            if (entry.get("platform") or {}).get("os", "linux") == "linux":
                yield entry
        elif kind in INDEX_TYPES:
            yield from _descriptors(files, json.loads(files.read(_blob(entry["digest"]))), deep - 1)


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"


def _take(store: Store, files: Files, blob: Blob) -> None:
    if store.has(blob):
        return
    with files.open(_blob(blob.digest)) as source, store.new(blob.digest) as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)


def _import_saved(store: Store, files: Files, image: Mapping[str, object]) -> Manifest:
    """Bring one image of `docker save` or `podman save` into the store; its layers are plain tars there."""
    raw = files.read(str(image["Config"]))
    settings = json.loads(raw)
    config = store.add(raw)
    names = image["Layers"]
    diff_ids = settings["rootfs"]["diff_ids"]
    if not isinstance(names, list) or len(names) != len(diff_ids):
        raise ValueError("its layers are not those of its configuration")
    layers = []
    for name, diff_id in zip(names, diff_ids, strict=True):
        known = store.record("tar", str(diff_id).partition(":")[2][:64] or "none")
        if known is not None and store.has(blob := Blob(str(known["digest"]), int(str(known["size"])))):
            layers.append(Layer(blob, diff_id, about="base"))
            continue
        with files.open(str(name)) as source:
            layer = compress(store, partial(_inflate, source), about="base")
        if layer.diff_id != diff_id:
            raise ValueError(f"the layer {name} has another digest than its configuration says")
        store.keep("tar", diff_id.partition(":")[2], {"digest": layer.blob.digest, "size": layer.blob.size})
        layers.append(layer)
    return Manifest(Blob("", 0), platform_of(settings), config, tuple(layers))


def _inflate(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a tar, unzipped if it is zipped."""
    import shutil

    head, size = source.read(2), source.seek(0, io.SEEK_END)
    source.seek(0)
    shutil.copyfileobj(inflated(source, size) if head == GZIP else source, target, 1 << 20)


def write_archive(
    store: Store, image: Built, tags: Iterable[str], file: IO[bytes], *, shown: Manifest | None = None, oci: bool = True
) -> None:
    """Write an image as one tar.

    Args:
        tags: its names, such as `hello:1.0`.
        file: where to; need not be seekable.
        shown: the platform that docker's half of the archive has; the first when None.
        oci: write the OCI half. Without it podman takes the docker half, which is the one with the health check.
    """
    names = list(tags)
    shown = shown or image.manifests[0]
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 16) as tar:
        docker = [
            {
                "Config": _blob(shown.config.digest),
                "RepoTags": names,
                "Layers": [_blob(layer.blob.digest) for layer in shown.layers],
            }
        ]
        if oci:
            _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _add(tar, "index.json", layout_index(image, names))
        _add(tar, "manifest.json", json.dumps(docker, sort_keys=True, separators=(",", ":")).encode())
        manifests = image.manifests if oci else (shown,)
        blobs: dict[str, Blob] = {}
        for one in manifests:
            for blob in (one.config, *(layer.blob for layer in one.layers)):
                blobs[blob.digest] = blob
        if oci:
            blobs |= {blob.digest: blob for blob in (image.root, *(one.blob for one in manifests))}
        for folder in ("blobs", "blobs/sha256"):  # scanners open the tar as a file system, and list its folders
            info = tarfile.TarInfo(folder)
            info.type, info.mtime, info.mode = tarfile.DIRTYPE, epoch(), 0o755
            tar.addfile(info)
        for digest in sorted(blobs):
            info = tarfile.TarInfo(_blob(digest))
            info.size, info.mtime, info.mode = blobs[digest].size, epoch(), 0o644
            with store.checked(blobs[digest]) as content:
                tar.addfile(info, content)


def layout_index(image: Built, tags: Iterable[str]) -> bytes:
    """Return the `index.json` of a layout that holds one image under these names."""
    entry = {"mediaType": image.media_type, "digest": image.root.digest, "size": image.root.size}
    entries = []
    for tag in tags:
        full = tag if "/" in tag else f"docker.io/library/{tag}"
        # The first name is what podman and skopeo read, the second what docker and containerd do.
        names = {"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": full}
        entries.append({**entry, "annotations": names})
    return encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries or [entry]})


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), epoch(), 0o644
    tar.addfile(info, io.BytesIO(data))


def save(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file by way of one beside it, so that it is there whole or not at all.

    Raises:
        BuildError: E136 when the name is taken by something other than a file.
        OSError: the system refuses.
    """
    check_replaceable(path, "choose another name with --output")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            write(file)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def base_image(store: Store, base: Base) -> Built:
    """Return a base as an image of its own."""
    config = store.add(encode(base.config))
    document = store.add(encode(manifest(config, base.layers, {})))
    return Built(document, MANIFEST, (Manifest(document, base.platform, config, base.layers),))
