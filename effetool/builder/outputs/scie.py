"""Put an interpreter into the file: of a .pex a native executable, a scie, by pex's own command line.

pex has `science` join a launcher (scie-jump), a CPython of python-build-standalone and the .pex. The launcher unpacks
both below its cache, once, and executes Python. Left to itself pex would have that Python run its own boot; here it is
told to run the straight start of `boot` instead, so that inside an executable an effe starts as it does from its .pex.
Only a .pex with compiled wheels for several targets needs pex's boot to choose among them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...effe.artifact import Artifact, Scie, check_replaceable
from ...errors import BuildError, DependencyError, EffeToolError, Place, UsageError
from ..options import Options
from ..package import shell_header
from ..package.contents import Prepared
from ..package.pex_base import pex_environment, pex_version
from ..progress import Clock
from ..requirements.pythons import minors, versions
from ..resolve.target import Platform, read_platform, this_platform
from ..store.cache import Cache
from ..store.files import digest_of
from ..verify import smoke

__all__ = ["add_interpreter", "check_wish"]

STYLES = ("eager", "lazy")
TIMEOUT = 1800
# What pex has launchers for (pex --scie-platform), of what a .pex can be built for.
OFFERED = frozenset(
    {f"linux-{machine}" for machine in ("aarch64", "armv7l", "powerpc64", "riscv64", "s390x", "x86_64")}
    | {"musl-linux-aarch64", "musl-linux-x86_64", "macos-aarch64", "macos-x86_64"}
)
MIRROR = "fill a mirror with `science download`, and name it with --scie-assets"


def check_wish(options: Options) -> None:
    """Refuse what cannot be made before anything is.

    Raises:
        UsageError: E147 for flags that contradict each other, E143 for a platform that pex has no launcher for.
        DependencyError: E145 when --offline leaves no place to take the parts from.
    """
    if options.scie is None:
        if options.scie_assets is not None:
            raise UsageError("--scie-assets without --scie", code="E147", fix="add --scie eager")
        return
    if options.scie not in STYLES:
        raise UsageError(f"--scie {options.scie}: eager or lazy", code="E147", fix="write --scie eager")
    for platform in _platforms(options):
        _pex_name(platform)
    folder = _folder(options)
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--scie-assets {folder}: no such directory", code="E147", fix=MIRROR)
    if folder is not None and options.scie == "lazy":
        raise UsageError(
            "--scie lazy fetches the interpreter where it is started, and a directory is only here",
            code="E147",
            fix="write --scie eager, or serve the directory and give its URL",
        )
    if options.offline and (folder is None or not (_science(folder) or shutil.which("science"))):
        raise DependencyError(
            "--offline: launcher, interpreter and `science` would be fetched",
            code="E145",
            fix="give --scie-assets a directory made by `science download`, with `science` in it or on PATH",
        )


def add_interpreter(prepared: Prepared, artifact: Artifact, options: Options, clock: Clock, cache: Cache) -> Artifact:
    """Make the executables of an artefact, one for each platform, or find them made; see `Artifact.scies`.

    Raises:
        BuildError: E147 when pex or science fail, E136–E138.
    """
    platforms = _platforms(options)
    stem = prepared.target.name.removesuffix(".pex")
    scies = []
    for platform in platforms:
        target = prepared.target.with_name(stem + (f"-{platform.name}" if len(platforms) > 1 else ""))
        check_replaceable(target, "choose another name with --out")
        minor = _minor(prepared, platform)
        asked = [artifact.digest, options.scie, options.scie_assets, _pex_name(platform), minor, pex_version(), stem]
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        if options.fresh and not options.check and (digest := _made(target, cache.get("scie", key))) is not None:
            scies.append(Scie(target, platform.name, f"3.{minor}", digest, target.stat().st_size, fresh=True))
            clock.step("fresh", str(target), "its inputs are unchanged")
            continue
        digest = _make(prepared, artifact, options, cache, platform, minor, target)
        cache.put("scie", key, digest.encode())
        scies.append(Scie(target, platform.name, f"3.{minor}", digest, target.stat().st_size))
        when = "inside" if options.scie == "eager" else "fetched by its first start"
        detail = f"CPython 3.{minor} {when}  {platform.name}  {scies[-1].size / 1e6:.1f} MB  sha256 {digest[:8]}…"
        clock.step("scie", str(target), detail)
    return dataclasses.replace(artifact, scies=tuple(scies), fresh=artifact.fresh and all(scie.fresh for scie in scies))


def _make(
    prepared: Prepared, artifact: Artifact, options: Options, cache: Cache, platform: Platform, minor: int, target: Path
) -> str:
    """Make one executable beside its place, ask it, put it there; return its SHA-256."""
    flags = _flags(prepared, artifact, options, platform, minor)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name[:100]}-", suffix=".new", dir=target.parent) as folder:
            made = _run(artifact, options, flags, cache, platform, Path(folder) / "one")
            if platform == this_platform() and options.scie == "eager":
                smoke.ask_info(made, prepared.info.text, base=Path(folder) / "unpacked")
            digest = digest_of(made)
            if options.check:
                again = _run(artifact, options, flags, cache, platform, Path(folder) / "two")
                if digest_of(again) != digest:
                    raise BuildError(
                        f"two builds of {target} differ", code="E138", fix="did the mirror change meanwhile?"
                    )
            made.replace(target)
    except OSError as error:
        raise BuildError(
            f"cannot write {target}: {error.strerror}", code="E136", place=Place(target), fix="is the disk full?"
        ) from error
    return digest


def _flags(prepared: Prepared, artifact: Artifact, options: Options, platform: Platform, minor: int) -> list[str]:
    flags = ["--style", str(options.scie), "--scie-platform", _pex_name(platform)]
    flags += ["--scie-python-version", f"3.{minor}"]
    # pex insists on a Python of this machine that the .pex takes, though none of it goes in; it need not look for one.
    if not prepared.contents.pythons:
        raise BuildError(
            f"pex makes an executable only where a CPython {prepared.contents.python} is installed, and none is here",
            code="E147",
            fix=f"install python3.{minor}, or give --python one that `effe-tool doctor` lists",
        )
    flags += ["--python-path", os.pathsep.join({str(path.parent): None for path in prepared.contents.pythons.values()})]
    folder = _folder(options)
    if folder is not None and (science := _science(folder)) is not None:
        flags += ["--scie-science-binary", str(science)]
    if options.scie_assets is not None:
        flags += ["--scie-assets-base-url", folder.resolve().as_uri() if folder else options.scie_assets.rstrip("/")]
    if prepared.contents.targets is not None:
        with artifact.path.open("rb") as file:
            program = shell_header.program(file.read(shell_header.HEADER_SIZE), minor)
        # -u: of the variables that -I ignores PYTHONUNBUFFERED is the one that a container sets.
        arguments = ["-uIS", "-c", program, "{pex}", "{scie}"]
        flags += ["--scie-exe", "#{python-distribution:python}", f"--scie-args={shlex.join(arguments)}"]
    return flags


def _run(
    artifact: Artifact, options: Options, flags: list[str], cache: Cache, platform: Platform, folder: Path
) -> Path:
    """Have pex make the executable in `folder` and return it."""
    inside = folder / _pex_name(platform)
    # science would make it, but pex keeps the manifest of a failure there before it says what failed.
    inside.mkdir(parents=True)
    command = [sys.executable, "-I", "-m", "pex.cli", "scie", "create", str(artifact.path.absolute()), *flags]
    command += ["--dest-dir", str(folder.absolute()), "--scie-name-style", "platform-parent-dir"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
            env=pex_environment(cache), timeout=TIMEOUT, text=True, errors="replace", check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"pex did not end within {TIMEOUT} s", code="E147", fix=MIRROR) from error
    made = inside / artifact.path.name.removesuffix(".pex")
    if done.returncode != 0 or not made.is_file():
        raise _refused(done.stdout, options, done.returncode)
    return made


def _refused(said: str, options: Options, status: int) -> EffeToolError:
    lines = tuple(line.strip() for line in said.splitlines() if line.strip())
    last = lines[-1] if lines else f"exit code {status}"
    if "Command `" in said:
        about, fix = f"science: {last}", f"does {options.scie_assets} hold all of it?"
        if options.scie_assets is None:
            fix = f"check the network, or {MIRROR}"
    elif re.search(r"urlopen error|HTTP Error|timed out|Connection", last):
        about, fix = f"`science` is not on PATH and cannot be fetched: {last}", "put `science` on PATH"
        if options.scie_assets is None:
            fix += f"; where there is no network, {MIRROR}"
    else:
        about, fix = f"pex: {last}", "effe-tool doctor"
    return BuildError(about, code="E147", fix=fix, notes=lines[-20:-1])


def _minor(prepared: Prepared, platform: Platform) -> int:
    """Return the Python 3 to put inside: what the wheels are for, else the newest that the effe is compiled for."""
    contents, resolution = prepared.contents, prepared.resolution
    if resolution is not None:
        return max(target.python[1] for target in resolution.targets if target.platform == platform)
    return max(contents.pythons, default=minors(versions(contents.python))[0])


def _platforms(options: Options) -> list[Platform]:
    return list(dict.fromkeys(map(read_platform, options.platforms))) or [this_platform()]


def _pex_name(platform: Platform) -> str:
    machine = {"arm64": "aarch64", "ppc64le": "powerpc64"}.get(platform.machine, platform.machine)
    name = f"{'musl-' if platform.library == 'musl' else ''}{platform.system}-{machine}"
    if name not in OFFERED:
        raise UsageError(
            f"--scie: there is no launcher for {platform.name}",
            code="E143",
            fix="leave it out",
            notes=(f"launchers: {', '.join(sorted(OFFERED))}",),
        )
    return name


def _folder(options: Options) -> Path | None:
    """Return the directory that --scie-assets names, None for a URL or without it."""
    if options.scie_assets is None:
        return None
    parts = urlsplit(options.scie_assets)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in options.scie_assets else Path(options.scie_assets)


def _science(folder: Path) -> Path | None:
    """Return the `science` that lies in a mirror, by the names of its releases."""
    here = _pex_name(this_platform())
    names = (f"science-fat-{here}", "science-fat", f"science-{here}", "science")
    found = (folder.resolve() / name for name in names)
    return next((path for path in found if path.is_file() and os.access(path, os.X_OK)), None)


def _made(target: Path, kept: bytes | None) -> str | None:
    try:
        if kept is not None and os.access(target, os.X_OK) and digest_of(target) == kept.decode():
            return kept.decode()
    except OSError:
        pass
    return None
