"""`effe-tool image`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Console, size_text
from .options import command

if TYPE_CHECKING:
    from ..effe.artifact import Artifact
    from ..errors import EffeToolError
    from ..image.build import Image
    from ..image.config import Base, Platform
    from ..image.store import Store


@command
def image(
    console: Console,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="A .pex, an effe, or directories of them; none: those here.", show_default=False),
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
        str | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="The tar to write, or its directory. [default: name-version.oci.tar]"
        ),
    ] = None,
    load: Annotated[bool, typer.Option("--load", help="Load it into podman or docker.")] = False,
    push: Annotated[
        list[str] | None,
        typer.Option(
            "--push", help="Send it to a registry; REF/ takes name:version; may be repeated.", show_default=False
        ),
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="Build by podman or docker, from a Containerfile.")
    ] = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Show the Containerfile; with --output DIR its context.")
    ] = False,
) -> None:
    """Make an OCI image of an effe, without any daemon."""
    from ..effe.artifact import check_replaceable
    from ..errors import EffeToolError, UsageError
    from ..image.base import resolve_base
    from ..image.registry.reference import parse_reference
    from ..image.store import Store

    registries = list(dict.fromkeys(push or []))
    for name in [*(tag or []), *(f"{one}name" if one.endswith("/") else one for one in registries)]:
        parse_reference(name)  # before anything is built
    target = None if output is None else Path(output)
    artifacts, failed = _find(paths or [], console)
    total = len(artifacts) + len(failed)
    if total > 1 and (tag or print_ or any(not one.endswith("/") for one in registries)):
        raise UsageError(
            f"one image was named, and there are {total} artefacts",
            code="E151",
            fix="name one .pex; --output DIR and --push registry.example/team/ take all",
        )
    if total > 1:
        _distinct(artifacts)
    if output is not None and target is not None and (total > 1 or output.endswith("/")):
        check_replaceable(target / "name.oci.tar", "choose another directory with --output")
        target.mkdir(parents=True, exist_ok=True)
    store = Store()
    bases = resolve_base(store, base, platforms_of(platform), console.stage) if artifacts else []
    documents: list[dict[str, object]] = []
    for artifact in artifacts:
        try:
            for warning in artifact.warnings:
                console.warning(warning)
            if print_ or engine:
                document = _by_engine(store, artifact, bases[0], engine, tag, target, console)
                warnings = artifact.warnings
            else:
                made = _build(store, artifact, bases, console)
                document = _deliver(store, made, tag or [made.tag], target, load, registries, console)
                warnings = (*artifact.warnings, *made.warnings)
            documents.append({**document, "warnings": [warning.as_dict() for warning in warnings]})
        except EffeToolError as error:
            if total == 1:
                raise
            failed.append((artifact.path, error))
    _end(documents, failed, total, console)


def _build(store: Store, artifact: Artifact, bases: list[Base], console: Console) -> Image:
    from ..image.build import build_image

    began = time.perf_counter()
    made = build_image(store, artifact, bases, console.stage)
    for warning in made.warnings:
        console.warning(warning)
    above = f"{size_text(made.size)}, {size_text(made.own)} above the base"
    console.stage("built", f"{made.tag}  {above}", time.perf_counter() - began)
    return made


def _end(
    documents: list[dict[str, object]], failed: list[tuple[Path, EffeToolError]], total: int, console: Console
) -> None:
    """Report what failed. Of several images, the others were made."""
    if total == 1:
        console.document(documents[0])
        return
    console.document({"images": documents, "errors": [error.as_dict() for _, error in failed]})
    if failed:
        if not console.json:
            for path, error in failed:
                console.error(error, about=str(path))
        console.write(f"{len(failed)} of {total} failed")
        raise typer.Exit(1)


def _deliver(
    store: Store, made: Image, tags: list[str], output: Path | None, load: bool, registries: list[str], console: Console
) -> dict[str, object]:
    """Bring an image where it was asked to be; to a file when nothing was."""
    from ..image.config import host_platform
    from ..image.engines import find_engine
    from ..image.engines import load as load_into
    from ..image.layout import save, write_archive

    document: dict[str, object] = {"tag": tags[0], "digest": made.digest, "size": made.size, "own": made.own}
    flags, given = _variables(made.artifact)
    started = f"-p 8080:8080 {flags}{tags[0]}"
    shown = next((one for one in made.built.manifests if one.platform == host_platform()), made.built.manifests[0])
    if output is not None or not (load or registries):
        info = made.artifact.info
        path = Path(f"{info.stem if info.usable else made.artifact.path.stem}.oci.tar")
        if output is not None:
            path = output / path if output.is_dir() else output
        save(path, lambda file: write_archive(store, made.built, tags, file, shown=shown))
        document["output"] = str(path)
        console.result(str(path))
        if output is None:
            console.next([(f"podman load -i {shlex.quote(str(path))}", ""), (f"podman run {started}", given)])
    if load:
        name = find_engine()
        load_into(name, lambda file: write_archive(store, made.built, tags, file, shown=shown, oci=False))
        document["engine"] = name
        console.result(tags[0])
        console.next([(f"{name} run --rm --read-only {started}", given)])
    pushed: list[str] = []
    for registry in registries:
        from ..image.push import push_image

        began = time.perf_counter()
        reference, sent = push_image(store, made, registry)
        console.stage("pushed", f"{reference}  {size_text(sent)} sent", time.perf_counter() - began)
        pushed.append(str(reference))
        # "pushed" and "sent" are of the first; "references" are all.
        document = {"pushed": str(reference), "sent": sent, **document, "references": pushed}
        console.result(str(reference))
    return document


def _variables(artifact: Artifact) -> tuple[str, str]:
    """Return the flags without which the effe does not start, and a word on them.

    A secret's value is taken from the environment, so that it stands in no process list.
    """
    from ..effe.conventions import conventions

    said = conventions(artifact.info)
    needed = [f"-e {name}=VALUE " for name, value in said.env.items() if value is None and name not in said.secrets]
    given = f"with {', '.join(said.secrets)} from the environment" if said.secrets else ""
    return "".join((*needed, *(f"-e {name} " for name in said.secrets))), given


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
    from ..image.registry.reference import tag_of

    name = engine_base(base)
    text = containerfile(store, artifact, base, name)
    if engine is None:
        if output is not None:
            write_context(store, artifact, base, output)
            (output / "Containerfile").write_text(text)
            console.write(f"wrote {output}/: podman build -t {artifact.name} {output}")
        console.result(text.rstrip("\n"))
        return {"containerfile": text}
    found = find_engine(engine)
    tags = tag or [tag_of(artifact.info.name, artifact.version, artifact.digest)]
    with tempfile.TemporaryDirectory(prefix="effe-tool-image-") as context:
        root = Path(context)
        write_context(store, artifact, base, root)
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


def _distinct(artifacts: list[Artifact]) -> None:
    """Refuse two artefacts that would be one image. Raises ImageError E130."""
    from ..errors import ImageError
    from ..image.registry.reference import tag_of

    seen: dict[str, Path] = {}
    for artifact in artifacts:
        tag = tag_of(artifact.info.name, artifact.version, artifact.digest)
        if tag in seen:
            raise ImageError(
                f"{seen[tag]} and {artifact.path} would both be {tag}", code="E130", fix="name one of them"
            )
        seen[tag] = artifact.path


def _find(paths: list[Path], console: Console) -> tuple[list[Artifact], list[tuple[Path, EffeToolError]]]:
    """Return the artefacts at the paths, built where there are sources only, and what could not be read or built.

    Without a path: the .pex files of the working directory, else its effes.
    """
    from ..effe.artifact import read_artifact
    from ..errors import EffeToolError

    artifacts: list[Artifact] = []
    failed: list[tuple[Path, EffeToolError]] = []
    wanted: list[Path | None] = [*paths] or [None]
    for path in wanted:
        files = sorted(Path().glob("*.pex") if path is None else path.rglob("*.pex") if path.is_dir() else [path])
        if path is not None and path.suffix == ".py":
            files = []
        for file in files:
            try:
                artifacts.append(read_artifact(file))
            except EffeToolError as error:
                if len(files) == len(wanted) == 1:
                    raise
                failed.append((file, error))
        if not files:
            built, broken = _from_source(path, console)
            artifacts += built
            failed += broken
    return artifacts, failed


def _scratch() -> Path | None:
    """Return where a .pex goes that only the image needs, None for the working directory, where it can be written."""
    import atexit
    import os
    import shutil
    import tempfile

    if os.access(".", os.W_OK):
        return None
    folder = tempfile.mkdtemp(prefix="effe-tool-image-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _from_source(path: Path | None, console: Console) -> tuple[list[Artifact], list[tuple[Path, EffeToolError]]]:
    """Build the effes at a path, as `effe-tool build` does."""
    from ..builder import Options, build, build_many
    from ..effe.project import find_all, open_project
    from .builds import show_step

    projects = find_all(path)
    if len(projects) == 1:
        return [build(projects[0], progress=lambda step: show_step(step, console), folder=_scratch())], []
    results = build_many(projects, Options(dirout=_scratch()), top=None if path is None or open_project(path) else path)
    failed = [(result.project.path, result.error) for result in results if result.error is not None]
    return [result.artifact for result in results if result.artifact is not None], failed
