"""The JSON documents of an image: configuration, manifest, index (OCI image-spec 1.1).

The configuration has docker's `Healthcheck` besides (moby's image specification 1.2), which OCI's lacks and allows.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .layer import Layer, epoch
from .store import Blob

__all__ = [
    "CONFIG",
    "INDEX",
    "MANIFEST",
    "Base",
    "Platform",
    "configuration",
    "encode",
    "host_platform",
    "index",
    "manifest",
    "parse_platform",
]

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"

# 65532 is what distroless images made the custom: above every distribution's own users. Kubernetes' runAsNonRoot can
# check a number and no name.
USER = "65532:65532"
PORT = 8080
# As the header of a .pex has it; what the base says of it counts.
ARENAS = "MALLOC_ARENA_MAX=1"
OCI = "org.opencontainers.image."  # these labels describe the base, not an image built on it
MAKER = "effe-tool base"
SECOND = 1_000_000_000  # docker's durations are nanoseconds
HEALTH = {"Interval": 10 * SECOND, "Timeout": 6 * SECOND, "StartPeriod": 30 * SECOND, "Retries": 3}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system's architecture, in Go's words: `linux/amd64`, `linux/arm64`, `linux/arm/v7`."""

    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return f"linux/{self.architecture}{'/' + self.variant if self.variant else ''}"

    @property
    def machine(self) -> str:
        """What wheels call it."""
        return MACHINES.get(self.architecture, self.architecture)

    def as_dict(self) -> dict[str, str]:
        """Return it as an index holds it; arm64's only variant is not written, as other builders do not."""
        variant = {"variant": self.variant} if self.variant and self.architecture != "arm64" else {}
        return {"architecture": self.architecture, "os": "linux", **variant}


MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "arm": "armv7l"}


def parse_platform(text: str) -> Platform:
    """Return the platform in `linux/amd64`, `linux/arm/v7`, `amd64` or `x86_64`.

    Raises:
        ValueError: for another system than Linux.
    """
    words = text.strip().lower().split("/")
    if words[0] == "linux":
        words = words[1:]
    elif len(words) > 1:
        raise ValueError(f"an effe's image is for Linux, not for {text}")
    if not 1 <= len(words) <= 2 or not all(word.replace("_", "").isalnum() for word in words):
        raise ValueError(f"not a platform: {text!r}")
    known = {machine: name for name, machine in MACHINES.items()}
    return Platform(known.get(words[0], words[0]), words[1] if len(words) == 2 and words[0] != "arm64" else "")


def host_platform() -> Platform:
    """Return the platform of this machine's engine: Linux on this architecture, on macOS too."""
    return parse_platform(platform.machine() or "amd64")


@dataclass(frozen=True)
class Base:
    """What an image stands on, for one platform.

    Attributes:
        layers: its layers, lowest first.
        config: its configuration.
        python: path of its interpreter, and that interpreter's version.
        certificates: whether it has CA certificates where OpenSSL looks.
        libc: `manylinux` (glibc) or `musllinux`.
        name: the reference it came from, None for a file.
        libraries: the names of its shared libraries.
    """

    platform: Platform
    layers: tuple[Layer, ...]
    config: Mapping[str, object]
    python: str
    version: tuple[int, int]
    certificates: bool = True
    libc: str = "manylinux"
    name: str | None = None
    digest: str | None = None
    libraries: frozenset[str] = frozenset()

    @property
    def is_ours(self) -> bool:
        """Whether `effe-tool base` made it, so that more of Debian's packages fit in."""
        history = self.config.get("history")
        last = history[-1] if isinstance(history, list) and history else None
        return isinstance(last, dict) and last.get("created_by") == MAKER


def timestamp() -> str:
    """Return the time that stands in images, as RFC 3339 writes it."""
    return datetime.fromtimestamp(epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def start_of(base: Base) -> list[str]:
    """Return what starts the effe: isolated, without `site`, and with nothing kept back of what it prints."""
    return [base.python, "-I", "-S", "-u", "/app/__main__.py"]


def environment_of(base: Base) -> list[str]:
    """Return the variables of an effe's container."""
    given = _object(base.config.get("config")).get("Env")
    entries = [str(entry) for entry in given] if isinstance(given, list) else []
    named = any(entry.partition("=")[0] == ARENAS.partition("=")[0] for entry in entries)
    return entries if named else [*entries, ARENAS]


def configuration(base: Base, layers: Sequence[Layer], labels: Mapping[str, str]) -> dict[str, object]:
    """Return the configuration of an effe's image on `base`, with `layers` above the base's own."""
    start = start_of(base)
    old = _object(base.config.get("config"))
    inherited = {key: value for key, value in _object(old.get("Labels")).items() if not key.startswith(OCI)}
    return {
        **base.platform.as_dict(),
        "created": timestamp(),
        "config": {
            "User": USER,
            "Env": environment_of(base),
            "Entrypoint": start,
            "Cmd": [],
            "WorkingDir": "/app",
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "Labels": {**inherited, **labels},
            "StopSignal": "SIGTERM",
            "Healthcheck": {"Test": ["CMD", *start, "-healthcheck"], **HEALTH},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in (*base.layers, *layers)]},
        "history": [
            *_history(base),
            *({"created": timestamp(), "created_by": "effe-tool image", "comment": layer.about} for layer in layers),
        ],
    }


def manifest(config: Blob, layers: Sequence[Layer], annotations: Mapping[str, str]) -> dict[str, object]:
    """Return the manifest of one platform's image."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size},
        "layers": [
            {"mediaType": layer.media_type, "digest": layer.blob.digest, "size": layer.blob.size} for layer in layers
        ],
        "annotations": dict(annotations),
    }


def index(manifests: Sequence[tuple[Blob, Platform]], annotations: Mapping[str, str]) -> dict[str, object]:
    """Return the index over the images of several platforms."""
    return {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {"mediaType": MANIFEST, "digest": blob.digest, "size": blob.size, "platform": platform.as_dict()}
            for blob, platform in manifests
        ],
        "annotations": dict(annotations),
    }


def encode(document: Mapping[str, object]) -> bytes:
    """Return a document's bytes: keys sorted, no spaces, so that equal ones have one digest."""
    # Half a surrogate pair, which JSON's escapes can hold and UTF-8 cannot, becomes a question mark.
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def _history(base: Base) -> list[object]:
    """Return the base's history if it tells of as many layers as there are, else one line for each."""
    history = base.config.get("history")
    if isinstance(history, list):
        told = [line for line in history if not (isinstance(line, dict) and line.get("empty_layer"))]
        if len(told) == len(base.layers):
            return history
    return [{"created": timestamp(), "created_by": "base"} for _ in base.layers]


def _object(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
