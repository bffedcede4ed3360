"""The shared libraries that an image's native code needs from the system: those the base lacks come from Debian.

Wheels expect libstdc++, libgomp and their like of every system (PEP 600), and the small base has none that Python does
not need. They have their own layer, below the dependencies. Each package's control file is where scanners look, as in
the base.
"""

from __future__ import annotations

import hashlib
import json
import shlex

from ..effe.artifact import Artifact
from ..errors import ImageError, Place
from ..native.libraries import Missing, debian_packages, is_native, missing_libraries, read_native
from .application import LIB, Application
from .config import Base
from .debian.rootfs import read_tar
from .debian.small_base import Progress, available, dotted
from .layer import Entry, Layer, inflated, write_layer
from .store import Blob, Store

__all__ = ["libraries_layer", "library_entries", "missing_in"]

# musl's own loader answers for these (ldso/dynlink.c, `reserved`).
MUSL = ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "ld-musl-")
# Part of the key: a change to what is taken from a package makes the kept layers useless.
RECIPE = 1


def missing_in(application: Application, base: Base) -> list[Missing]:
    """Return the libraries that files of the image need and that neither they nor the base have."""
    musl = base.libc == "musllinux"
    if not musl and "libc.so.6" not in base.libraries:
        return []  # what has no C library where layers show it cannot be judged
    found = []
    for entry in (*application.dependencies, *application.code):
        if not is_native(entry.name, entry.mode):
            continue
        with entry.stream() as file:
            if (elf := read_native(file)) is not None:
                found.append((entry.name.removeprefix(f"{LIB}/"), application.wheels.get(entry.name, ""), elf))

    def has(library: str) -> bool:
        return library in base.libraries or (musl and library.startswith(MUSL))

    return missing_libraries(found, has, base.platform.machine)


def libraries_layer(
    store: Store, artifact: Artifact, application: Application, base: Base, progress: Progress
) -> tuple[Layer | None, list[ImageError]]:
    """Return the layer with what the base lacks, None when it lacks nothing, and warnings on what nobody has.

    Raises:
        ImageError: E409 when a library is missing and cannot be added.
    """
    missing = missing_in(application, base)
    if not missing:
        return None, []
    if not base.is_ours:
        return None, _foreign(missing, artifact, base)
    key = _key(missing, base)
    known = store.record("libraries", key)
    if known is None or not store.has(_blob(known)):
        known = _fetch(store, missing, artifact, base, progress)
        store.keep("libraries", key, known)
    without = known["without"]
    lost = [one for one in missing if isinstance(without, list) and one.library in without and not one.bundled]
    warnings = [_warning(one, artifact, base, "Debian has no package of it by that name") for one in lost]
    if not known["about"]:
        return None, warnings
    return Layer(_blob(known), str(known["diff_id"]), about=str(known["about"])), warnings


def library_entries(store: Store, layer: Layer) -> list[Entry]:
    """Return the files of such a layer, for who writes them elsewhere."""
    with store.checked(layer.blob) as packed:
        entries = read_tar(inflated(packed, layer.blob.size), lambda _: True)
        while packed.read(1 << 20):
            pass
    return list(entries)


def _fetch(
    store: Store, missing: list[Missing], artifact: Artifact, base: Base, progress: Progress
) -> dict[str, object]:
    """Fetch the packages, and return the record of the layer they make."""
    from .debian import archive

    if not available():
        raise _error(missing, artifact, base, "apt-get and dpkg-deb, which add it, are missing here", ())
    wanted = [one.library for one in missing]
    try:
        packages, without = archive.fetch_libraries(
            base.platform, base.version, wanted, base.libraries, lambda verb, subject: progress(verb, subject, 0.0)
        )
    except ImageError as error:
        needed = [one for one in missing if not one.bundled] or missing
        raise _error(needed, artifact, base, error.message, error.notes, error.fix) from error
    if not packages:
        return {"digest": "sha256:" + "0" * 64, "size": 0, "diff_id": "", "about": "", "without": sorted(without)}
    about = f"{', '.join(sorted(package.name for package in packages))} of Debian"
    layer = write_layer(store, archive.entries_of(packages), about=about)
    blob = layer.blob
    return {
        "digest": blob.digest,
        "size": blob.size,
        "diff_id": layer.diff_id,
        "about": about,
        "without": sorted(without),
    }


def _foreign(missing: list[Missing], artifact: Artifact, base: Base) -> list[ImageError]:
    """Refuse what the wheels cannot do without; of other libraries it is not known: a driver's come at the start."""
    from .debian.archive import USUAL

    missing = [one for one in missing if not one.bundled]
    if needed := [one for one in missing if one.library in USUAL]:
        raise _error(needed, artifact, base, "nothing is added to a base of somebody else's", ())
    return [_warning(one, artifact, base, "it may be added when the container starts") for one in missing]


def _error(
    missing: list[Missing], artifact: Artifact, base: Base, why: str, notes: tuple[str, ...], fix: str | None = None
) -> ImageError:
    first, *others = missing
    return ImageError(
        f"{_need(first)}, which {_called(base)} lacks: {why}",
        code="E409",
        place=Place(artifact.path),
        notes=(*(_need(one) for one in others), *notes),
        fix=fix or _cure(missing, base),
    )


def _warning(one: Missing, artifact: Artifact, base: Base, why: str) -> ImageError:
    return ImageError(
        f"{_need(one)}, which {_called(base)} lacks: {why}",
        code="E409",
        place=Place(artifact.path),
        fix="if the effe loads it, give --base an image that has it",
    )


def _need(one: Missing) -> str:
    return f"{one.wheel or 'the effe'} needs {one.library} ({one.file})"


def _called(base: Base) -> str:
    return f"the base {base.name}" if base.name else "the base"


def _cure(missing: list[Missing], base: Base) -> str:
    if base.is_ours:
        return f"--base docker.io/library/python:{dotted(base.version)}, which has more libraries"
    packages = sorted({names[0] for one in missing if (names := debian_packages(one.library))})
    return f"leave --base out, or take a base with {shlex.join(packages)} (apt-get install, in its own Containerfile)"


def _key(missing: list[Missing], base: Base) -> str:
    told = [RECIPE, str(base.platform), [layer.blob.digest for layer in base.layers], [one.library for one in missing]]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _blob(record: dict[str, object]) -> Blob:
    return Blob(str(record["digest"]), int(str(record["size"])))
