"""Name what an artefact runs on: a Python and a platform, and the wheels that fit it.

Sources: PEP 425 (wheel tags), PEP 600 (manylinux), PEP 656 (musllinux), PEP 508 (marker variables).
"""

from __future__ import annotations

import json
import os
import platform as host
import re
import sys
from dataclasses import dataclass
from functools import cache

from ...errors import UsageError
from ..interpreters import NEWEST, OLDEST
from ..requirements.pythons import admits

# The Pythons an artefact can promise. One more than there is: what has no wheel for that promises no Python to come.
MINORS = tuple((3, minor) for minor in range(OLDEST, NEWEST + 2))
# A C library every distribution still cared for has: Debian 10, RHEL 8, Ubuntu 20.04; Alpine 3.13.
_GLIBC, _MUSL, _MACOS = (2, 28), (1, 2), (11, 0)
_LEGACY = {(2, 5): "manylinux1", (2, 12): "manylinux2010", (2, 17): "manylinux2014"}
_MACHINES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "arm": "armv7l", "x86": "i686"}
_LINUX = ("x86_64", "aarch64", "armv7l", "i686", "ppc64le", "s390x", "riscv64")
_TAG = re.compile(r"(manylinux|musllinux|macosx)_(\d+)_(\d+)_(\w+)|(manylinux1|manylinux2010|manylinux2014)_(\w+)")
NAMES = ("linux-x86_64", "linux-aarch64", "linux-x86_64-musl", "linux-aarch64-musl", "macos-arm64", "macos-x86_64")


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system, a machine, and the C library (or macOS) version its wheels may ask for.

    `system` is "linux" or "macos"; `library` is "glibc", "musl" or "" and `version` what it must at least be.
    """

    system: str
    machine: str
    library: str
    version: tuple[int, int]

    @property
    def name(self) -> str:
        """Give the name `--platform` takes."""
        return f"{self.system}-{self.machine}" + ("-musl" if self.library == "musl" else "")

    @property
    def tags(self) -> list[str]:
        """List the platform tags of wheels that run here, best first."""
        major, minor = self.version
        if self.library == "musl":
            return [f"musllinux_1_{m}_{self.machine}" for m in range(minor, -1, -1)] + [f"linux_{self.machine}"]
        if self.system == "linux":
            tags = []
            for m in range(minor, 4, -1):
                tags.append(f"manylinux_{major}_{m}_{self.machine}")
                if (major, m) in _LEGACY:
                    tags.append(f"{_LEGACY[major, m]}_{self.machine}")
            return [*tags, f"linux_{self.machine}"]
        versions = [(m, 0) for m in range(major, 10, -1)] + [(10, m) for m in range(16, 3, -1)]
        return [
            f"macosx_{a}_{b}_{kind}"
            for a, b in versions
            for kind in (self.machine, "universal2")
            if not (self.machine == "arm64" and a < 11 and kind == "arm64")
        ]

    @property
    def triple(self) -> str:
        """Give the platform as uv's `--python-platform` names it."""
        if self.system == "macos":
            return ("aarch64" if self.machine == "arm64" else self.machine) + "-apple-darwin"
        if self.library == "musl":
            return f"{self.machine}-unknown-linux-musl"
        known = [(2, 17), (2, 28), *((2, minor) for minor in range(31, 41))]
        version = max((v for v in known if v <= self.version), default=(2, 17))
        return f"{self.machine}-manylinux_{version[0]}_{version[1]}"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One Python (major, minor) on one platform."""

    python: tuple[int, int]
    platform: Platform

    @property
    def version(self) -> str:
        """Give the Python as "3.11"."""
        return f"{self.python[0]}.{self.python[1]}"

    @property
    def name(self) -> str:
        """Name the target for people: "Python 3.11 on linux-x86_64"."""
        return f"Python {self.version} on {self.platform.name}"

    @property
    def pex(self) -> str:
        """Give the target as pex's `--complete-platform` takes it: what its wheels may be tagged, what markers see."""
        markers = {key: value for key, value in self.environment.items() if key != "extra"}
        return json.dumps({"marker_environment": markers, "compatible_tags": list(_ranks(self))[::-1]})

    @property
    def environment(self) -> dict[str, str]:
        """Give the marker variables of PEP 508 for the target."""
        linux = self.platform.system == "linux"
        local = self.python == sys.version_info[:2]
        full = host.python_version() if local else f"{self.version}.99"
        return {
            "python_version": self.version,
            "python_full_version": full,
            "implementation_version": full,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
            "sys_platform": "linux" if linux else "darwin",
            "platform_system": "Linux" if linux else "Darwin",
            "platform_machine": self.platform.machine,
            "platform_release": "",
            "platform_version": "",
            "extra": "",
        }

    def rank(self, filename: str) -> int | None:
        """Tell how well a wheel fits: 0 is best, None is not at all."""
        ranks = _ranks(self)
        fits = [ranks[tag] for tag in wheel_tags(filename) if tag in ranks]
        return min(fits, default=None)


@cache
def _ranks(target: Target) -> dict[str, int]:
    major, minor = target.python
    here, tags = target.platform.tags, []
    own = f"cp{major}{minor}"
    for tag in here:
        tags += [f"{own}-{own}-{tag}"]
    for tag in here:
        tags += [f"{own}-abi3-{tag}"]
    for tag in here:
        tags += [f"{own}-none-{tag}"]
    for older in range(minor - 1, 1, -1):
        tags += [f"cp{major}{older}-abi3-{tag}" for tag in here]
    generic = [f"py{major}{minor}", f"py{major}", *(f"py{major}{older}" for older in range(minor - 1, -1, -1))]
    for python in generic:
        tags += [f"{python}-none-{tag}" for tag in here]
    tags += [f"{python}-none-any" for python in (own, *generic)]
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}  # worst first, the best of doubles


def wheel_tags(filename: str) -> list[str]:
    """List the tags a wheel's file name stands for, expanded (PEP 425), empty when it is no wheel."""
    if not filename.endswith(".whl"):
        return []
    parts = filename.removesuffix(".whl").split("-")
    if len(parts) not in (5, 6):
        return []
    pythons, abis, platforms = (part.split(".") for part in parts[-3:])
    return [f"{python}-{abi}-{where}" for python in pythons for abi in abis for where in platforms]


@cache
def this_platform() -> Platform:
    """Find out what this machine is."""
    machine = host.machine().lower()
    if sys.platform == "darwin":
        release = host.mac_ver()[0].split(".")
        version = (int(release[0] or 11), 0) if int(release[0] or 11) > 10 else (10, int(release[1]))
        return Platform("macos", _MACHINES.get(machine, machine).replace("aarch64", "arm64"), "", version)
    machine = _MACHINES.get(machine, machine)
    try:
        # "glibc 2.36"; musl knows no such name.
        library = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        library = ""
    match = re.match(r"glibc (\d+)\.(\d+)", library)
    if match:
        return Platform("linux", machine, "glibc", (int(match[1]), int(match[2])))
    return Platform("linux", machine, "musl", _MUSL)


def this_target() -> Target:
    """Give the running Python on this machine."""
    return Target((sys.version_info[0], sys.version_info[1]), this_platform())


def read_platform(text: str) -> Platform:
    """Read a `--platform`: a name such as `linux-aarch64`, or a wheel's platform tag such as `manylinux_2_17_x86_64`.

    Raises UsageError for what is neither.
    """
    word = text.strip().lower().replace("/", "-")
    if word in ("current", "local", this_platform().name):
        return this_platform()
    match = _TAG.fullmatch(word)
    if match:
        kind, major, minor, machine, legacy, legacy_machine = match.groups()
        if legacy:
            version = next(version for version, name in _LEGACY.items() if name == legacy)
            return Platform("linux", legacy_machine, "glibc", version)
        libraries = {"manylinux": ("linux", "glibc"), "musllinux": ("linux", "musl"), "macosx": ("macos", "")}
        return Platform(libraries[kind][0], machine, libraries[kind][1], (int(major), int(minor)))
    parts = [_MACHINES.get(part, part) for part in re.split(r"-", word)]
    musl = bool({"musl", "alpine"} & set(parts)) or parts[0] == "musllinux"
    system = {"musllinux": "linux", "alpine": "linux", "darwin": "macos"}.get(parts[0], parts[0])
    machines = [part for part in parts[1:] if part not in ("musl", "gnu", "glibc")]
    if system == "linux" and len(machines) == 1 and machines[0] in _LINUX:
        return Platform("linux", machines[0], "musl" if musl else "glibc", _MUSL if musl else _GLIBC)
    if system == "macos" and machines in (["aarch64"], ["x86_64"]):
        return Platform("macos", machines[0].replace("aarch64", "arm64"), "", _MACOS)
    import difflib

    near = difflib.get_close_matches(word, NAMES, 1, 0.5)
    raise UsageError(
        f"--platform {text}: no such platform",
        code="E143",
        fix=f"write --platform {near[0] if near else NAMES[1]}",
        notes=(f"platforms: {', '.join(NAMES)}, or a wheel's tag such as manylinux_2_17_x86_64",),
    )


def read_pythons(text: str) -> list[tuple[int, int]]:
    """Read a `--python` constraint such as `>=3.9` or `3.11` as the released Pythons it admits.

    Raises UsageError for one that admits none or that is no specifier.
    """
    wanted = text.strip()
    if re.fullmatch(r"\d+\.\d+", wanted):
        wanted = f"=={wanted}.*"
    try:
        found = [minor for minor in MINORS if admits(wanted, minor)]
    except ValueError as error:
        raise UsageError(f"--python {text}: {error}", code="E143", fix='write for example --python ">=3.9"') from None
    if not found:
        raise UsageError(
            f"--python {text} admits none of {_dotted(MINORS[0])} to {_dotted(MINORS[-1])}",
            code="E143",
            fix='write for example --python ">=3.9"',
        )
    return found


def _dotted(python: tuple[int, int]) -> str:
    return f"{python[0]}.{python[1]}"
