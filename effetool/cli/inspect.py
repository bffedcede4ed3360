"""`effe-tool inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Console, plain, size_text
from .options import command

if TYPE_CHECKING:
    from ..builder.audit.inspect import Inspection
    from ..builder.verify.import_time import Import

Tree = Sequence[tuple[str, "Tree"]]


@command
def inspect(
    console: Console,
    path: Annotated[Path, typer.Argument(help="A .pex built by effe-tool.", show_default=False)],
    imports: Annotated[
        bool, typer.Option("--imports", help="Start it once and show what its start imports, with times.")
    ] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Print its pylock.toml.")] = False,
    sbom: Annotated[bool, typer.Option("--sbom", help="Print its bill of materials (CycloneDX JSON).")] = False,
) -> None:
    """Show what is in a built file and where it comes from. Runs -info for its time, the effe with --imports."""
    import dataclasses
    import json as text

    from ..builder.audit.inspect import inspect as inspect_artifact

    found = inspect_artifact(path)
    if imports:
        from ..builder.verify.import_time import measure_imports

        tree = measure_imports(path)
        console.document([dataclasses.asdict(one) for one in tree])
        console.result("\n".join(_drawn(str(path), _timed(tree, console.verbose))))
        return
    from ..builder.verify.smoke import ask_info
    from ..errors import BuildError

    if lock:
        console.document({"lock": found.lock})
        if found.lock is None:
            console.write("it has no lock: there are no dependencies")
        else:
            console.result(found.lock.rstrip("\n"))
        return
    if sbom:
        console.document(found.sbom)
        console.result(text.dumps(found.sbom, indent=1, ensure_ascii=False))
        return
    try:
        start: float | None = ask_info(path, found.artifact.info.text)
    except BuildError:  # for another machine or Python: the rest can still be shown
        start = None
    console.document({**found.as_dict(), "info_seconds": start and round(start, 4)})
    console.result("\n".join(_drawn(str(path), _tree(found, start, console.verbose))))


def _tree(found: Inspection, start: float | None, verbose: bool) -> Tree:
    artifact = found.artifact
    name = " ".join(filter(None, (artifact.name, artifact.version)))
    wheels: list[tuple[str, Tree]] = [
        (f"{_wheel(one, found.distributions)}  sha256 {_short(one.get('sha256'), verbose)}", [])
        for one in found.distributions
    ]
    parts: list[tuple[str, Tree]] = [
        (f"{part.name}  {size_text(part.packed)}  {part.files} file{'s' * (part.files != 1)}", [])
        for part in found.parts
    ]
    files: list[tuple[str, Tree]] = [
        (f"{file}  sha256 {_short(digest, verbose)}", []) for file, digest in sorted(found.files.items())
    ]
    origin: list[tuple[str, Tree]] = [
        (f"{key} {_short(value, verbose) if key == 'source' else value}", []) for key, value in found.origin.items()
    ]
    components = found.sbom.get("components") if found.sbom else None
    answers = "does not start here" if start is None else f"answers -info in {start * 1000:.0f} ms"
    told = f"CycloneDX, {len(components)} components" if isinstance(components, list) else "none"
    return [
        (f"{name}  {artifact.info.doc}".rstrip(), []),
        (f"{size_text(artifact.size)}  sha256 {artifact.digest}", []),
        (f"Python {found.requires_python}  {answers}", []),
        ("contents", parts),
        ("files", files),
        (f"dependencies  {len(wheels) or 'none'}", wheels),
        ("lock  " + ("pylock.toml (PEP 751)" if found.lock else "none"), []),
        (f"SBOM  {told}", []),
        ("made from", origin),
    ]


def _wheel(one: Mapping[str, object], every: Sequence[Mapping[str, object]]) -> str:
    """Name a distribution, with what it is for where there is one for each of several targets."""
    text = f"{one.get('name')} {one.get('version')}"
    if sum(other.get("name") == one.get("name") for other in every) > 1:
        text += "  " + "-".join(str(one.get("file")).removesuffix(".whl").split("-")[-3:])
    return text


def _short(digest: object, verbose: bool) -> str:
    return str(digest) if verbose else str(digest)[:12]


def _timed(found: Sequence[Import], verbose: bool) -> Tree:
    """Give the imports that matter: without -v only what takes a fiftieth of the whole."""
    whole = sum(one.whole for one in found)
    least = 0 if verbose else whole / 50

    def nodes(several: Sequence[Import]) -> Tree:
        shown = sorted((one for one in several if one.whole >= least), key=lambda one: -one.whole)
        return [
            (f"{one.whole / 1000:6.1f} ms  {one.name}  ({one.own / 1000:.1f} itself)", nodes(one.children))
            for one in shown
        ]

    return [(f"{whole / 1000:6.1f} ms  all imports", []), *nodes(found)]


def _drawn(root: str, tree: Tree) -> Iterator[str]:
    yield plain(root)
    yield from _branches(tree, "")


def _branches(tree: Tree, indent: str) -> Iterator[str]:
    for number, (text, below) in enumerate(tree, 1):
        last = number == len(tree)
        yield f"{indent}{'└── ' if last else '├── '}{plain(text)}"
        yield from _branches(below, indent + ("    " if last else "│   "))
