"""Artefact and base to image: the operation itself."""

from __future__ import annotations

import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from ..effe.artifact import Artifact
from ..errors import ImageError, Place
from .application import Application, Target, read_application
from .compiled import compile_entries, find_python
from .config import INDEX, MANIFEST, Base, configuration, encode, index, manifest
from .debian.small_base import Progress
from .layer import Entry, Layer, write_layer
from .layout import Built, Manifest
from .libraries import libraries_layer, library_entries
from .registry.reference import tag_of
from .store import Store

__all__ = ["Image", "application_of", "build_image", "labels_of"]


@dataclass(frozen=True)
class Image:
    """An effe's image, in a store.

    Attributes:
        artifact: what it was made of.
        tag: its name, `hello:1.0`.
        built: its manifests and blobs.
        bases: what it stands on, for each platform.
        warnings: what did not stop it.
    """

    artifact: Artifact
    tag: str
    built: Built
    bases: tuple[Base, ...]
    warnings: tuple[ImageError, ...] = ()

    @property
    def digest(self) -> str:
        """What the image is known by everywhere: in the layout that is written and in a registry."""
        return self.built.root.digest

    @property
    def own(self) -> int:
        """Bytes of the layers above the base, of the first platform."""
        first = self.built.manifests[0]
        return sum(layer.blob.size for layer in first.layers[len(self.bases[0].layers) :])

    @property
    def size(self) -> int:
        """Bytes of all layers as they are sent, of the first platform."""
        return sum(layer.blob.size for layer in self.built.manifests[0].layers)


def build_image(store: Store, artifact: Artifact, bases: Sequence[Base], progress: Progress) -> Image:
    """Make the image of `artifact` on each base; the manifests and layers are in the store then.

    Raises:
        ImageError: E402 for what is not an artefact, E406 when a dependency has nothing for a platform or its Python,
            E409 when the base lacks a shared library and it cannot be added.
    """
    began = time.perf_counter()
    warnings: list[ImageError] = []
    manifests = [_one(store, artifact, base, warnings, progress) for base in bases]
    if len(manifests) == 1:
        built = Built(manifests[0].blob, MANIFEST, (manifests[0],))
    else:
        document = index([(image.blob, image.platform) for image in manifests], labels_of(artifact))
        built = Built(store.add(encode(document)), INDEX, tuple(manifests))
    image = Image(
        artifact, tag_of(artifact.info.name, artifact.version, artifact.digest), built, tuple(bases), tuple(warnings)
    )
    progress(
        "layers",
        ", ".join(layer.about for layer in manifests[0].layers[len(bases[0].layers) :]),
        time.perf_counter() - began,
    )
    return image


def _one(store: Store, artifact: Artifact, base: Base, warnings: list[ImageError], progress: Progress) -> Manifest:
    layers = []
    with _opened(artifact) as archive:
        target = Target(base.version, base.platform.machine, base.libc)
        application = read_application(archive, artifact.path, target)
        libraries, missing = libraries_layer(store, artifact, application, base, progress)
        if libraries is not None:
            layers.append(libraries)
        warnings += missing
        for about, entries in _named(application):
            if entries:
                layers.append(_layer(store, entries, base, about, warnings))
    if not base.certificates:
        warnings.append(
            ImageError(
                f"the base {base.name or ''} has no CA certificates: HTTPS calls out of the effe will fail".replace(
                    "  ", " "
                ),
                code="E403",
                fix="without --base the image stands on one that has them",
            )
        )
    labels = labels_of(artifact)
    if base.name is not None and base.digest is not None:
        labels |= {"org.opencontainers.image.base.name": base.name, "org.opencontainers.image.base.digest": base.digest}
    config = store.add(encode(configuration(base, layers, labels)))
    every = (*base.layers, *layers)
    return Manifest(store.add(encode(manifest(config, every, labels))), base.platform, config, every)


def _opened(artifact: Artifact) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(artifact.path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ImageError(
            f"{artifact.path} is not a .pex: {error}", code="E402", place=Place(artifact.path), fix="effe-tool build"
        ) from error


def _named(application: Application) -> list[tuple[str, list[Entry]]]:
    """Return the layers, lowest first: what changes least lies lowest."""
    return [("dependencies", application.dependencies), ("runtime", application.runtime), ("code", application.code)]


def application_of(
    store: Store, artifact: Artifact, base: Base, progress: Progress = lambda *_: None
) -> list[tuple[str, list[Entry]]]:
    """Return the files of each layer with their content in memory, for who writes them elsewhere.

    Raises:
        ImageError: E402, E406, E409.
    """
    with _opened(artifact) as archive:
        application = read_application(archive, artifact.path, Target(base.version, base.platform.machine, base.libc))
        libraries, _ = libraries_layer(store, artifact, application, base, progress)
        below = [] if libraries is None else [("libraries", library_entries(store, libraries))]
        return below + [
            (about, [Entry(entry.name, data=entry.read(), mode=entry.mode) for entry in entries])
            for about, entries in _named(application)
        ]


def _layer(store: Store, entries: list[Entry], base: Base, about: str, warnings: list[ImageError]) -> Layer:
    python = find_python(base.version)
    dotted = f"{base.version[0]}.{base.version[1]}"
    if python is None and not any(warning.code == "E406" for warning in warnings):
        warnings.append(
            ImageError(
                f"no python{dotted} on PATH: the image holds sources that are compiled at each start",
                code="E406",
                fix=f"install python{dotted}, or --base an image with the Python you have",
            )
        )
    try:
        return write_layer(
            store,
            entries,
            about=about,
            extra=dotted if python else "",
            finish=lambda found: [*found, *compile_entries(found, python, base.version)] if python else found,
        )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ImageError(f"the .pex is damaged: {error}", code="E402", fix="effe-tool build") from error


def labels_of(artifact: Artifact) -> dict[str, str]:
    """Return the labels of OCI image-spec's annotations.md that INFO knows."""
    labels = {"org.opencontainers.image.title": artifact.name}
    if artifact.version is not None:
        labels["org.opencontainers.image.version"] = artifact.version
    if artifact.info.doc:
        labels["org.opencontainers.image.description"] = artifact.info.doc
    return labels
