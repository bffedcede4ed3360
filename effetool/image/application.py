"""What of a .pex goes into an image: the same files, unpacked, in three layers.

    /app/effetool/            the runtime: changes when the tool does
    /app/lib/                 the distributions, spread as pip would: change when the lock does
    /app/*, embedded.py       the author's files and what the build wrote of them: change all day

The boot code of pex stays behind: it exists to find an interpreter and to unpack, both of which the image has done.
"""

from __future__ import annotations

import json
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..effe.artifact import LEAST, RATIO
from ..errors import ImageError, Place
from .layer import Entry

__all__ = ["LIB", "Application", "Target", "read_application"]

ROOT = "app"
LIB = "app/lib"
# What pex and the builder put into a .pex for its own start.
BOOT = ("__main__.py", "PEX-INFO", ".bootstrap/", "__pex__/", "__effe__/", ".layout.json")
WHEEL = re.compile(r"[^-/]+-[^-/]+(?:-\d[^-/]*)?-(?P<python>[^-/]+)-(?P<abi>[^-/]+)-(?P<platform>[^-/]+)\.whl\Z")
MAIN = '''"""Start the effe: the interpreter runs isolated, so that these two are all it finds beside its library."""

import os
import sys

sys.path[:0] = ["/app", "/app/lib"]
# For the Pythons that the effe starts; this one is isolated.
os.environ["PYTHONPATH"] = ":".join(filter(None, ["/app/lib", os.environ.get("PYTHONPATH")]))

from effetool.runtime.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
'''


@dataclass(frozen=True, slots=True)
class Target:
    """What an image runs on.

    Attributes:
        python: major and minor version.
        machine: as wheels name it, `x86_64`.
        libc: `manylinux` (glibc) or `musllinux`.
    """

    python: tuple[int, int]
    machine: str
    libc: str = "manylinux"

    def fits(self, wheel: str) -> int:
        """Return how well a wheel of that file name fits, 0 when it does not (PEP 425, PEP 600)."""
        match = WHEEL.match(wheel)
        if match is None:
            return 0
        major, minor = self.python
        best = 0
        for tag in match["python"].split("."):
            for abi in match["abi"].split("."):
                if tag in (f"py{major}", "py3") and abi == "none":
                    best = max(best, 1)
                elif (found := re.fullmatch(rf"(py|cp){major}(\d+)", tag)) is not None:
                    other = int(found[2])
                    if found[1] == "cp" and abi == f"cp{major}{minor}" and other == minor:
                        best = max(best, 4)
                    elif found[1] == "cp" and abi == "abi3" and other <= minor:
                        best = max(best, 3)
                    elif abi == "none" and (other <= minor if found[1] == "py" else other == minor):
                        best = max(best, 2)
        native = any(self._runs(platform) for platform in match["platform"].split("."))
        return best * 2 + 1 if native and best else best * 2 if match["platform"] == "any" else 0

    def _runs(self, platform: str) -> bool:
        return platform.endswith(f"_{self.machine}") and platform.startswith((self.libc, "linux_"))


@dataclass(frozen=True)
class Application:
    """The files of an image above its base, by layer; `wheels` says which wheel a file of a dependency came with."""

    runtime: list[Entry]
    dependencies: list[Entry]
    code: list[Entry]
    wheels: dict[str, str] = field(default_factory=dict)


def read_application(archive: zipfile.ZipFile, path: Path, target: Target) -> Application:
    """Return what of the open .pex goes into an image for `target`; its content is read when a layer is.

    Raises:
        ImageError: E402 when it is not a .pex or holds a name that leaves its directory, E406 when a dependency has
            nothing for the target.
    """
    try:
        wheels = json.loads(archive.read("PEX-INFO"))["distributions"]
        if not isinstance(wheels, dict):
            raise ValueError("no list of distributions")
    except (KeyError, ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ImageError(
            f"{path} is not a .pex: {error}", code="E402", place=Place(path), fix="effe-tool build"
        ) from error
    infos = archive.infolist()
    if sum(info.file_size for info in infos) > max(LEAST, RATIO * path.stat().st_size):
        raise ImageError(f"{path} unpacks to more than {RATIO} times its size", code="E402", place=Place(path))
    chosen = _choose([str(wheel) for wheel in wheels], target, path)
    runtime: dict[str, Entry] = {}
    dependencies: dict[str, Entry] = {}
    code: dict[str, Entry] = {}
    origins: dict[str, str] = {}
    for info in infos:
        name = info.filename
        if info.is_dir() or name.startswith(BOOT) or name.endswith(".pyc"):
            continue
        if name.startswith(".deps/"):
            _, wheel, *rest = name.split("/", 2)
            if wheel not in chosen or not rest or _bookkeeping(rest[0]):
                continue
            _put(dependencies, f"{LIB}/{rest[0]}", archive, info, path)
            origins.setdefault(f"{LIB}/{rest[0]}", wheel)
        elif name.startswith("effetool/") and name != "effetool/embedded.py":
            _put(runtime, f"{ROOT}/{name}", archive, info, path)
        else:
            _put(code, f"{ROOT}/{name}", archive, info, path)
    if f"{ROOT}/effetool/runtime/__main__.py" not in runtime:
        raise ImageError(
            f"{path} was not built by effe-tool: it has no runtime",
            code="E402",
            place=Place(path),
            fix="effe-tool build",
        )
    runtime[f"{ROOT}/__main__.py"] = Entry(f"{ROOT}/__main__.py", data=MAIN.encode())
    return Application(list(runtime.values()), list(dependencies.values()), list(code.values()), origins)


def _choose(wheels: list[str], target: Target, path: Path) -> set[str]:
    """Return the best wheel of each project."""
    projects: dict[str, list[str]] = {}
    for wheel in wheels:
        projects.setdefault(wheel.split("-")[0].lower().replace(".", "_"), []).append(wheel)
    chosen = set()
    for project, found in projects.items():
        best = max(found, key=target.fits)
        if not target.fits(best):
            python = ".".join(map(str, target.python))
            raise ImageError(
                f"{path.name} has no {project} for Python {python} on {target.machine}: it has {', '.join(found)}",
                code="E406",
                place=Place(path),
                fix=f"effe-tool build --python {python} --platform manylinux2014_{target.machine}",
            )
        chosen.add(best)
    return chosen


def _bookkeeping(name: str) -> bool:
    """Tell what pex keeps of a wheel for itself: console scripts have no use in an image, nor has its memory."""
    top = name.split("/")[0]
    return top in (".prefix", ".layout.json") or top.endswith(".pex-info")


def _put(layer: dict[str, Entry], name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    mode = info.external_attr >> 16
    if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name or stat.S_ISLNK(mode):
        raise ImageError(f"{path} holds {name!r}, outside its directory", code="E402", place=Place(path))
    layer.setdefault(
        name,
        Entry(name, open=partial(archive.open, info), size=info.file_size, mode=0o755 if mode & 0o111 else 0o644),
    )
