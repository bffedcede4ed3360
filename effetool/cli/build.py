"""`effe-tool build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .builds import build_paths
from .console import Console
from .options import command


@command
def build(
    console: Console,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Effes, or directories of them; none: this one, or those just below.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write, for one effe.", show_default=False)
    ] = None,
    dirout: Annotated[
        Path | None,
        typer.Option("--dirout", help="The directory to write to. [default: . for one effe, out/ for a directory]"),
    ] = None,
    python: Annotated[
        str | None, typer.Option("--python", help='The Pythons it shall run on, such as ">=3.9".', show_default=False)
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option("--platform", help="A target such as linux-aarch64; may be repeated.", show_default=False),
    ] = None,
    scie: Annotated[
        str | None,
        typer.Option(
            "--scie", metavar="eager|lazy", help="Make an executable too, with its interpreter.", show_default=False
        ),
    ] = None,
    scie_assets: Annotated[
        str | None,
        typer.Option(
            "--scie-assets", metavar="DIR|URL", help="A mirror of its parts, by `science download`.", show_default=False
        ),
    ] = None,
    lock: Annotated[bool, typer.Option("--lock", help="Write what was resolved to pylock.toml.")] = False,
    locked: Annotated[bool, typer.Option("--locked", help="Refuse what differs from the lock.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse an effe without name or version.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Build twice, differently, and compare the bytes.")] = False,
    import_info: Annotated[bool, typer.Option("--import-info", help="Run the module to read a computed INFO.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build although nothing changed.")] = False,
    max_start: Annotated[
        float | None, typer.Option("--max-start", help="Fail when it takes more ms to start.", show_default=False)
    ] = None,
    max_size: Annotated[
        float | None, typer.Option("--max-size", help="Fail when it is larger, in MB.", show_default=False)
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="How many at once.", show_default="the cores")
    ] = None,
) -> None:
    """Build an effe, or every effe of a directory, to one file each."""
    from ..builder import Options

    options = Options(
        out=out,
        dirout=dirout,
        python=python,
        platforms=tuple(platform or ()),
        scie=scie,
        scie_assets=scie_assets,
        lock=lock,
        locked=locked,
        offline=offline,
        strict=strict,
        check=check,
        import_info=import_info,
        fresh=not rebuild,
        max_start=max_start,
        max_size=None if max_size is None else int(max_size * 1_000_000),
        jobs=jobs,
    )
    build_paths(paths or [], options, console)
