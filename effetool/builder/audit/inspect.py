"""Read what an artefact says of itself and what is in it, without running any of its code."""

from __future__ import annotations

import dataclasses
import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...effe.artifact import Artifact, check_whole, compiled_for, read_artifact, read_file
from ..package.sbom import LOCK, SBOM

__all__ = ["Inspection", "Part", "inspect", "other_machine"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an artefact: how many files, their bytes, and what they take in the file."""

    name: str
    files: int
    size: int
    packed: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that is to be known of an artefact.

    Attributes:
        artifact: the file, its digest, size, INFO and build record.
        parts: what it is made of: logic, runtime, each wheel, compiled code, pex's own code, records.
        lock: its lock (PEP 751), None without dependencies.
        sbom: its bill of materials (CycloneDX), None when it has none.
        files: the digest of every file of the author's, by name.
    """

    artifact: Artifact
    parts: tuple[Part, ...]
    lock: str | None
    sbom: Mapping[str, object] | None
    files: Mapping[str, str]

    @property
    def requires_python(self) -> str:
        """The Pythons it takes, as a version specifier."""
        return str(self.artifact.facts.get("requires_python", ""))

    @property
    def distributions(self) -> list[Mapping[str, str]]:
        """The wheels in it: name, version, file, sha256."""
        found = self.artifact.facts.get("distributions")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    @property
    def origin(self) -> dict[str, str]:
        """What it was made from and with: source digest, commit, tool, pex, Python."""
        facts = self.artifact.facts
        keys = ("source", "commit", "epoch", "tool", "pex", "python")
        found = {key: str(facts[key]) for key in keys if facts.get(key) is not None}
        return {**found, "compiled": " ".join(compiled_for(facts))}

    def as_dict(self) -> dict[str, object]:
        """Return it as the `--json` document holds it."""
        return {
            "path": str(self.artifact.path),
            "sha256": self.artifact.digest,
            "size": self.artifact.size,
            "info": self.artifact.info.data,
            "requires_python": self.requires_python,
            **self.origin,
            "parts": [dataclasses.asdict(part) for part in self.parts],
            "distributions": self.distributions,
            "files": dict(self.files),
            "lock": self.lock,
            "sbom": self.sbom,
        }


def inspect(path: Path) -> Inspection:
    """Inspect the artefact at `path`.

    Raises:
        BuildError: E131 when it cannot be read, is no artefact of effe-tool or is damaged.
    """
    artifact = read_artifact(path)
    check_whole(artifact)
    bill, lock = read_file(artifact, SBOM), read_file(artifact, LOCK)
    files = artifact.facts.get("files")
    authors = {str(name): str(digest) for name, digest in files.items()} if isinstance(files, dict) else {}
    return Inspection(
        artifact=artifact,
        parts=_parts(artifact, authors),
        lock=lock.decode("utf-8", "replace") if lock is not None else None,
        sbom=_object(bill),
        files=authors,
    )


def _object(raw: bytes | None) -> Mapping[str, object] | None:
    try:
        value = json.loads(raw) if raw is not None else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _parts(artifact: Artifact, authors: Mapping[str, str]) -> tuple[Part, ...]:
    found: dict[str, tuple[int, int, int]] = {}
    with zipfile.ZipFile(artifact.path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                name = _part(entry.filename, authors)
                files, size, packed = found.get(name, (0, 0, 0))
                found[name] = (files + 1, size + entry.file_size, packed + entry.compress_size)
    return tuple(Part(name, *numbers) for name, numbers in sorted(found.items(), key=lambda one: -one[1][2]))


def _part(name: str, authors: Mapping[str, str]) -> str:
    if name in authors:
        return "logic"
    parts = name.split("/")
    if parts[0] == ".deps" and len(parts) > 1:
        return "-".join(parts[1].split("-")[:2]).replace("-", " ", 1)
    if parts[0] == "__effe__":
        return "compiled code" if name.endswith(".code") else "records"
    return "runtime" if parts[0] == "effetool" else "pex"


def other_machine(artifact: Artifact) -> str | None:
    """Return the machine an artefact is for, as `--platform` names it, when this is another; `loader` refuses it too.

    Raises:
        BuildError: E131 when it is damaged.
    """
    from ..resolve.target import Platform, this_platform

    told = json.loads(read_file(artifact, "__effe__/boot.json") or b"{}")
    native = (told.get("unpack") or {}).get("native")
    if not native or sys.maxsize < 1 << 32:  # 32 bits may be on a kernel of 64
        return None
    system, machine, glibc = native
    library = "" if system == "darwin" else "glibc" if glibc else "musl"
    name = Platform("macos" if system == "darwin" else system, machine, library, (0, 0)).name
    return name if name != this_platform().name else None
