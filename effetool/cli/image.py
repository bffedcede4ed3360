"""`effe-tool image`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import Console, size_text
from .options import Json, Quiet, Traceback, Verbose, reporting

if TYPE_CHECKING:
    from ..artifact import Artifact
    from ..image.build import Image
    from ..image.config import Base, Platform
    from ..image.store import Store


def image(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Built .pex files, or directories of them; none: those here.", show_default=False),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", help="Its name; may be repeated. [default: name:version]")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--base", help="A reference, layout or tar. [default: a small one of Debian packages]"),
    ] = None,
    platform: Annotated[
        str | None, typer.Option("--platform", help="linux/amd64, linux/arm64, several with commas. [default: this]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The tar to write. [default: name-version.oci.tar]")
    ] = None,
    load: Annotated[bool, typer.Option("--load", help="Load it into podman or docker.")] = False,
    push: Annotated[
        str | None, typer.Option("--push", help="Send it to a registry; REF/ takes name:version.", show_default=False)
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="Build by podman or docker, from a Containerfile.")
    ] = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Show the Containerfile; with --output DIR its context.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Make an OCI image of a built effe, without any daemon."""
    with reporting(quiet, verbose, json, traceback) as console:
        from ..errors import UsageError
        from ..image.base import resolve_base
        from ..image.build import build_image
        from ..image.store import Store

        artifacts = _find(paths or [Path()])
        if len(artifacts) > 1 and (tag or output or (push and not push.endswith("/")) or print_):
            raise UsageError(
                f"one image was named, and there are {len(artifacts)} artefacts",
                code="E151",
                fix="name one .pex; --push registry.example/team/ takes all",
            )
        store = Store()
        bases = resolve_base(store, base, platforms_of(platform), console.stage)
        documents = []
        for artifact in artifacts:
            began = time.perf_counter()
            if print_ or engine:
                documents.append(_by_engine(store, artifact, bases[0], engine, tag, output, console))
                continue
            made = build_image(store, artifact, bases, console.stage)
            for warning in made.warnings:
                console.warning(warning)
            console.stage(
                "built",
                f"{made.tag}  {size_text(made.size)}, {size_text(made.own)} above the base",
                time.perf_counter() - began,
            )
            documents.append(_deliver(store, made, tag or [made.tag], output, load, push, console))
        console.document(documents[0] if len(documents) == 1 else {"images": documents})


def _deliver(
    store: Store, made: Image, tags: list[str], output: Path | None, load: bool, push: str | None, console: Console
) -> dict[str, object]:
    """Bring an image where it was asked to be; to a file when nothing was."""
    from ..image.config import host_platform
    from ..image.engines import find_engine
    from ..image.engines import load as load_into
    from ..image.layout import save, write_archive

    document: dict[str, object] = {"tag": tags[0], "digest": made.digest, "size": made.size, "own": made.own}
    shown = next((one for one in made.built.manifests if one.platform == host_platform()), made.built.manifests[0])
    if output is not None or not (load or push):
        info = made.artifact.info
        path = output or Path(f"{info.stem if info.usable else made.artifact.path.stem}.oci.tar")
        save(path, lambda file: write_archive(store, made.built, tags, file, shown=shown))
        document["output"] = str(path)
        console.result(str(path))
        if output is None:
            console.next([(f"podman load -i {shlex.quote(str(path))}", ""), (f"podman run -p 8080:8080 {tags[0]}", "")])
    if load:
        name = find_engine()
        load_into(name, lambda file: write_archive(store, made.built, tags, file, shown=shown, oci=False))
        document["engine"] = name
        console.result(tags[0])
        console.next([(f"{name} run --rm --read-only -p 8080:8080 {tags[0]}", "")])
    if push is not None:
        from ..image.push import push_image

        began = time.perf_counter()
        reference, sent = push_image(store, made, push)
        console.stage("pushed", f"{reference}  {size_text(sent)} sent", time.perf_counter() - began)
        document |= {"pushed": str(reference), "sent": sent}
        console.result(str(reference))
    return document


def _by_engine(
    store: Store,
    artifact: Artifact,
    base: Base,
    engine: str | None,
    tag: list[str] | None,
    output: Path | None,
    console: Console,
) -> dict[str, object]:
    """Print the Containerfile, or have an engine build it."""
    import tempfile

    from ..image.containerfile import containerfile, engine_base, write_context
    from ..image.engines import find_engine, run
    from ..image.reference import tag_of

    name = engine_base(base)
    text = containerfile(artifact, base, name)
    if engine is None:
        if output is not None:
            write_context(artifact, base, output)
            (output / "Containerfile").write_text(text)
            console.write(f"wrote {output}/: podman build -t {artifact.name} {output}")
        console.result(text.rstrip("\n"))
        return {"containerfile": text}
    found = find_engine(engine)
    tags = tag or [tag_of(artifact.info.name, artifact.version, artifact.digest)]
    with tempfile.TemporaryDirectory(prefix="effe-tool-image-") as context:
        root = Path(context)
        write_context(artifact, base, root)
        (root / "Containerfile").write_text(text)
        if base.name is None:
            _load_base(store, base, name, found)
        words = ["build", "-f", "Containerfile", *(word for one in tags for word in ("-t", one))]
        # podman's own format keeps no HEALTHCHECK
        run(found, [*words, *(["--format", "docker"] if found == "podman" else []), "."], root)
    console.stage("built", f"{tags[0]} by {found}")
    console.result(tags[0])
    return {"tag": tags[0], "engine": found}


def _load_base(store: Store, base: Base, name: str, engine: str) -> None:
    from ..image.engines import load
    from ..image.layout import base_image, write_archive

    load(engine, lambda file: write_archive(store, base_image(store, base), [name], file, oci=False))


def platforms_of(text: str | None) -> list[Platform] | None:
    """Return the platforms of `--platform`."""
    from ..errors import UsageError
    from ..image.config import parse_platform

    if text is None:
        return None
    try:
        return list(dict.fromkeys(parse_platform(word) for word in text.split(",")))
    except ValueError as error:
        raise UsageError(str(error), code="E001", fix="--platform linux/amd64,linux/arm64") from error


def _find(paths: list[Path]) -> list[Artifact]:
    """Return the artefacts at the paths; in the working directory only those right there."""
    from ..artifact import read_artifact
    from ..errors import ImageError, Place

    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(path.glob("*.pex") if path == Path() else path.rglob("*.pex"))
            if not found:
                source = (path / "logic.py").is_file()
                raise ImageError(
                    f"no .pex in {path.resolve() if path == Path() else path}",
                    code="E402",
                    place=Place(path),
                    fix=f"effe-tool build {shlex.quote(str(path))}" if source else "effe-tool build",
                )
            files += found
        elif path.suffix == ".py":
            raise ImageError(
                f"{path} is not built yet",
                code="E402",
                place=Place(path),
                fix=f"effe-tool build {shlex.quote(str(path))}",
            )
        else:
            files.append(path)
    return [read_artifact(path) for path in files]
