"""What a build is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """How to build.

    Attributes:
        out: the file to write, verbatim, for one effe only.
        dirout: the folder to write to; None writes beside the working directory's effe, or to `out/` for a directory.
        python: a version specifier that replaces `requires-python`, such as `>=3.9`.
        platforms: targets other than this machine, such as `linux-aarch64`.
        scie: `eager` or `lazy`: make an executable too, with its interpreter inside or fetched by its first start.
        scie_assets: where its parts are taken from: a directory or URL filled by `science download`, None for their
            releases on the network.
        lock: write the resolution to pylock.toml.
        locked: refuse a resolution that differs from the lock.
        offline: use no network.
        strict: an effe without name or version is an error, not a file named by a hash.
        check: build twice under changed conditions and compare the bytes.
        import_info: run the module to read a computed INFO.
        fresh: take an artefact whose inputs are unchanged as it is.
        jobs: how many effes are built at once, None for the number of cores.
        max_start: milliseconds that `-info` may take, None for no limit.
        max_size: bytes that the artefact may have, None for no limit.
        record: the build record of an artefact that is made again: its commit, its date and the Pythons it was compiled
            for are taken from it; None for a build of its own.
        answer: the lock that answers the declaration, instead of one beside the effe.
    """

    out: Path | None = None
    dirout: Path | None = None
    python: str | None = None
    platforms: tuple[str, ...] = ()
    scie: str | None = None
    scie_assets: str | None = None
    lock: bool = False
    locked: bool = False
    offline: bool = False
    strict: bool = False
    check: bool = False
    import_info: bool = False
    fresh: bool = True
    jobs: int | None = None
    max_start: float | None = None
    max_size: int | None = None
    record: Mapping[str, object] | None = None
    answer: Path | None = None
