"""`effe-tool base`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Console, size_text
from .options import command


@command
def base(
    console: Console,
    platform: Annotated[
        str | None, typer.Option("--platform", help="linux/amd64, linux/arm64, several with commas. [default: this]")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Write it to a tar too, or into a directory.", show_default=False
        ),
    ] = None,
    tag: Annotated[str, typer.Option("--tag", "-t", help="Its name in the tar and the engine.")] = "effe-base:latest",
    load: Annotated[bool, typer.Option("--load", help="Load it into podman or docker too.")] = False,
) -> None:
    """Make the small base that images stand on. Python and CA certificates, from Debian packages."""
    from ..image.config import INDEX, MANIFEST, encode, host_platform, index
    from ..image.debian.small_base import make_base
    from ..image.engines import find_engine
    from ..image.engines import load as load_into
    from ..image.layout import Built, save, write_archive
    from ..image.store import Store
    from .image import platforms_of

    store = Store()
    made = [make_base(store, one, console.stage) for one in platforms_of(platform) or [host_platform()]]
    if len(made) == 1:
        built = Built(made[0].blob, MANIFEST, (made[0],))
    else:
        document = store.add(encode(index([(image.blob, image.platform) for image in made], {})))
        built = Built(document, INDEX, tuple(made))
    target = None if output is None else Path(output)
    if output is not None and target is not None:
        if output.endswith("/") or target.is_dir():
            target /= "effe-base.oci.tar"
        save(target, lambda file: write_archive(store, built, [tag], file))
    if load:
        load_into(find_engine(), lambda file: write_archive(store, built, [tag], file, oci=False))
    size = sum(layer.blob.size for layer in made[0].layers)
    console.stage("kept", f"base {built.root.digest[:19]}…  {size_text(size)} as it is sent")
    console.document({"digest": built.root.digest, "size": size, "output": str(target) if target else None})
    console.result(str(target) if target else built.root.digest)
