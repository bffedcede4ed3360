"""Image references: `[REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]`, as docker, podman and Kubernetes read them."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace

from ...errors import ImageError

__all__ = ["Reference", "parse_reference", "tag_of"]

# The grammar of OCI distribution-spec 1.1 ("Pulling manifests") and of docker's reference package.
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*\Z")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
REGISTRY = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d{1,5})?\Z")
HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry."""

    registry: str
    name: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.name}{tag}{'@' + self.digest if self.digest else ''}"

    @property
    def loopback(self) -> bool:
        """Whether the registry is on this machine, where plain HTTP is in order."""
        host = self.registry.rpartition(":")[0] if re.search(r":\d+\Z", self.registry) else self.registry
        return host in ("localhost", "127.0.0.1", "[::1]")

    def pinned(self, digest: str) -> Reference:
        """Return the reference with a digest, which never means anything else."""
        return replace(self, digest=digest)


def parse_reference(text: str, tag: str | None = "latest") -> Reference:
    """Return the reference in `text`; `tag` is taken where it has neither tag nor digest.

    Without a registry it is Docker Hub's, `python` being `docker.io/library/python`.

    Raises:
        ImageError: E404 when it is malformed.
    """
    rest, at, digest = text.partition("@")
    if at and not DIGEST.match(digest):
        raise _malformed(text)
    first, slash, below = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, below
    else:
        registry, path = HUB, rest
    name, colon, own = path.partition(":")
    if colon and not TAG.match(own):
        raise _malformed(text)
    if registry in (HUB, "index.docker.io"):
        registry = HUB
        name = name if "/" in name else f"library/{name}"
    if not REGISTRY.match(registry) or not NAME.match(name) or len(name) > 255:
        raise _malformed(text)
    return Reference(registry, name, own or (None if at else tag), digest or None)


def tag_of(name: str | None, version: str | None, digest: str) -> str:
    """Return the tag of an effe's image: `name:version`, else a digest, as the original's.

    A repository's name takes single `_` between letters only, so each becomes `-`.
    """
    if name is None or version is None:
        return f"effe:{digest.removeprefix('sha256:')[:12]}"
    return f"{name.replace('_', '-')}:{version}"


def _malformed(text: str) -> ImageError:
    # Somebody may have put credentials before an `@` or between `//` and `@`: what is shown ends before it.
    shown = text if "@" not in text or DIGEST.search(text) else "…@" + text.rpartition("@")[2]
    near = "registry.example/team/hello:1.0"
    if (lower := text.lower()) != text and "@" not in text and "://" not in text:
        with contextlib.suppress(ImageError):
            parse_reference(lower)
            near = lower
    return ImageError(f"not an image reference: {shown[:200]!r}", code="E404", fix=f"write it as {near}")
