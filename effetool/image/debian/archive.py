"""Python and its libraries from the Debian or Ubuntu archive of this machine: no root, no engine, no registry.

apt-get works on directories of its own here, so it asks for no lock and changes nothing of the machine; what it fetches
is checked by the archive's signatures as always. Packages are read with dpkg-deb and never installed.
"""

from __future__ import annotations

import io
import re
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ...errors import ImageError
from ...native.libraries import debian_packages, read_native
from ..config import Platform, host_platform
from ..layer import Entry
from .rootfs import Package, control_file, paragraph, read_tar, trimmed

__all__ = ["USUAL", "entries_of", "fetch", "fetch_libraries"]

SEEDS = ("libpython3-stdlib", "python3-minimal", "ca-certificates", "base-files")
# Dependencies of those that serve scripts of packages, terminals, Kerberos for NIS, Berkeley databases: rootfs leaves
# out the modules that would load them.
LEFT_OUT = frozenset(
    (
        "awk", "cdebconf", "debconf", "debconf-2.0", "dpkg", "gawk", "gcc-12-base", "gcc-13-base",
        "gcc-14-base", "libdb5.3", "libdb5.3t64", "libgdbm6", "libgdbm-compat4", "libncursesw6", "libnsl2",
        "libreadline8", "libreadline8t64", "libtinfo6", "libtirpc-common", "libtirpc3", "libtirpc3t64",
        "mailcap", "mawk", "media-types", "mime-support", "openssl", "original-awk", "perl", "perl-base",
        "readline-common", "tar", "tzdata", "netbase",
    )
)  # fmt: skip
ARCHITECTURES = {"arm": "armhf", "386": "i386", "mips64le": "mips64el", "mipsle": "mipsel", "ppc64le": "ppc64el"}
ARCHITECTURE_LINE = re.compile(r"^Architectures:(.*)$", re.MULTILINE)
NO_PLATFORM = {"all", "armel"}  # no architecture, and one that has no name of its own
# What a wheel may expect of every system (PEP 600 and auditwheel's policies), and what compilers bring.
USUAL = frozenset(
    (
        "libstdc++.so.6", "libgcc_s.so.1", "libgomp.so.1", "libgfortran.so.5", "libquadmath.so.0", "libatomic.so.1",
        "libmvec.so.1", "libcrypt.so.1", "libz.so.1", "libexpat.so.1", "libGL.so.1", "libX11.so.6", "libXext.so.6",
        "libXrender.so.1", "libICE.so.6", "libSM.so.6", "libglib-2.0.so.0", "libgobject-2.0.so.0",
        "libgthread-2.0.so.0", "libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0",
        "libutil.so.1", "libresolv.so.2",
    )
)  # fmt: skip
SHARED = re.compile(r"usr/lib/(?:[^/]+-linux-[^/]+/)?[^/]+\.so(?:\.\d+)*\Z|usr/share/doc/[^/]+/copyright\Z")
FIRST = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def fetch(platform: Platform, progress: Callable[[str, str], object]) -> tuple[list[Package], tuple[int, int]]:
    """Return the packages that make a Python for `platform`, and that Python's version.

    Raises:
        ImageError: E408 when the archive does not answer or has no such packages, E406 when it has none for `platform`.
    """
    architecture = ARCHITECTURES.get(platform.architecture, platform.architecture)
    with _private_apt(architecture) as apt:
        progress("update", "the lists of this machine's Debian packages")
        _check(platform, architecture, Path(apt("apt-get", "update", fetch=True)).parent / "lists")
        records = _closure(apt)
        python = _python(records)
        progress("fetch", f"{len(records)} Debian packages for {platform}")
        folder = apt(
            "apt-get", "download", *(f"{name}:{records[name]['Architecture']}" for name in records), fetch=True
        )
        files = {path.name.partition("_")[0]: path for path in Path(folder).glob("*.deb")}
        progress("unpack", f"{len(files)} packages")
        with ThreadPoolExecutor(4) as pool:
            packages = list(pool.map(lambda name: _unpack(records[name], files[name]), sorted(records)))
    return packages, python


def fetch_libraries(
    platform: Platform,
    python: tuple[int, int],
    wanted: Sequence[str],
    there: Collection[str],
    progress: Callable[[str, str], object],
) -> tuple[list[Package], set[str]]:
    """Return the packages with these shared libraries and with those that they need, and the libraries nobody has.

    Args:
        python: the base's, by which a base of another release is known.
        there: the libraries that the base has: of a package only the others are taken.

    Raises:
        ImageError: E408 when the archive does not answer or is of another release than the base, E406 as `fetch`.
    """
    architecture = ARCHITECTURES.get(platform.architecture, platform.architecture)
    found: dict[str, Package] = {}
    have = set(there)
    without: set[str] = set()
    with _private_apt(architecture) as apt:
        progress("update", "the lists of this machine's Debian packages")
        _check(platform, architecture, Path(apt("apt-get", "update", fetch=True)).parent / "lists")
        release = _python(_needs(_show(apt, ["libpython3-stdlib"])["libpython3-stdlib"]))
        if release != python:
            raise ImageError(
                f"the base has Python {python[0]}.{python[1]}, the archive of this machine {release[0]}.{release[1]}",
                code="E408",
                fix="effe-tool base, which makes it of this machine's release",
            )
        open_ = set(wanted) - have
        while open_:
            # libc6 is always there: apt-cache fails when it knows none of the names.
            records = _show(apt, sorted({"libc6", *(name for one in open_ for name in debian_packages(one))}))
            chosen = {name for one in open_ for name in debian_packages(one)[:2] if name in records} - found.keys()
            if chosen:
                progress("fetch", ", ".join(sorted(chosen)))
                names = (f"{name}:{records[name]['Architecture']}" for name in sorted(chosen))
                folder = Path(apt("apt-get", "download", *names, fetch=True))
                files = {path.name.partition("_")[0]: path for path in folder.glob("*.deb")}
                for name in sorted(chosen):
                    found[name] = _unpack(records[name], files[name], lambda name: _is_new(name, there))
            have |= {_last(entry.name) for name in chosen for entry in found[name].entries}
            without |= open_ - have
            needed = {one for name in chosen for entry in found[name].entries for one in _needed(entry)}
            open_ = needed - have - without
    useful = [found[name] for name in sorted(found) if any(".so" in _last(one.name) for one in found[name].entries)]
    return useful, without


def entries_of(packages: Sequence[Package]) -> list[Entry]:
    """Return the files of packages of libraries, and what tells a scanner of them."""
    return [entry for package in packages for entry in (*package.entries, control_file(package))]


def _is_new(name: str, there: Collection[str]) -> bool:
    return SHARED.match(name) is not None and _last(name) not in there


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _needed(entry: Entry) -> tuple[str, ...]:
    elf = read_native(io.BytesIO(entry.read())) if entry.is_file else None
    return elf.needed if elf is not None else ()


def _show(apt: Callable[..., str], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the control fields of the packages of these names that there are."""
    texts = apt("apt-cache", "show", "--no-all-versions", *names).split("\n\n")
    return {record["Package"]: record for text in texts if text and (record := _fields(text))}


def _check(platform: Platform, architecture: str, lists: Path) -> None:
    """Raise E406 when no Release file of the archive names the architecture (Debian's repository format)."""
    names = {theirs: ours for ours, theirs in ARCHITECTURES.items()}
    texts = [path.read_text("utf-8", "replace") for path in lists.glob("*Release")]
    has = {word for text in texts for line in ARCHITECTURE_LINE.findall(text) for word in line.split()} - NO_PLATFORM
    if has and architecture not in has:
        raise ImageError(
            f"the archive of this machine has nothing for {platform}",
            code="E406",
            notes=(f"it has {', '.join(sorted(f'linux/{names.get(word, word)}' for word in has))}",),
            fix=f"--platform {host_platform()}, or give --base a reference",
        )


@contextmanager
def _private_apt(architecture: str) -> Iterator[Callable[..., str]]:
    """Give a way to run apt with this machine's sources and keys and no other state of it."""
    with tempfile.TemporaryDirectory(prefix="effe-tool-apt-") as name:
        root = Path(name)
        for folder in ("lists/partial", "cache/archives/partial", "debs"):
            (root / folder).mkdir(parents=True)
        (root / "status").touch()
        settings = {
            "Dir::State": name,
            "Dir::State::lists": f"{name}/lists",
            "Dir::State::status": f"{name}/status",
            "Dir::Cache": f"{name}/cache",
            # Container images of Debian turn it off, and each call would read the whole archive's lists again.
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",  # the directory is ours alone, apt's own user could not read it
            "Acquire::Retries": "3",
        }
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]

        def run(program: str, *words: str, fetch: bool = False) -> str:
            command = [program, "-q", *options, *words]
            done = subprocess.run(command, capture_output=True, text=True, cwd=root / "debs", errors="replace")
            if done.returncode:
                lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
                raise ImageError(
                    f"{program} {words[0]} failed",
                    code="E408",
                    notes=tuple(lines[-5:]),
                    fix="check the network and /etc/apt/sources.list.d, or give --base a reference",
                )
            return str(root / "debs") if fetch else done.stdout

        yield run


def _closure(apt: Callable[..., str]) -> dict[str, dict[str, str]]:
    """Return the control fields of the seeds and of what they need, by package name."""
    found: dict[str, dict[str, str]] = {}
    wanted = list(SEEDS)
    while wanted:
        records = _show(apt, wanted)
        for name, record in records.items():
            found.setdefault(name, record)
        needed = [name for record in records.values() for name in _needs(record)]
        wanted = sorted({name for name in needed if name not in found and name not in LEFT_OUT})
    # The two seeds that are names for the release's version are empty themselves; base-files is read for os-release.
    return {name: record for name, record in found.items() if name not in ("libpython3-stdlib", "python3-minimal")}


def _needs(record: dict[str, str]) -> list[str]:
    """Return the first alternative of each dependency (Debian policy 7.1)."""
    if record["Package"] in ("base-files", "ca-certificates"):
        return []
    text = ",".join(record.get(field, "") for field in ("Depends", "Pre-Depends"))
    return [match.group() for part in text.split(",") if (match := FIRST.match(part.strip()))]


def _fields(text: str) -> dict[str, str]:
    """Return the fields of one control paragraph, continuation lines left out."""
    lines = [line.partition(":") for line in text.splitlines() if line[:1].strip()]
    return {name: value.strip() for name, _, value in lines}


def _python(names: Iterable[str]) -> tuple[int, int]:
    for name in names:
        if (match := re.fullmatch(r"libpython(\d+)\.(\d+)-stdlib", name)) is not None:
            return int(match[1]), int(match[2])
    raise ImageError("the archive has no libpython3.N-stdlib", code="E408", fix="give --base a reference")


def _unpack(
    record: dict[str, str], path: Path, keep: Callable[[str], bool] = lambda name: not trimmed(name)
) -> Package:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        entries = read_tar(process.stdout, keep)
        process.stdout.read()  # what tar pads with, so that dpkg-deb ends well
    if process.returncode:
        raise ImageError(f"dpkg-deb cannot read {path.name}", code="E408", fix="run it again")
    return Package(record["Package"], paragraph({**record, "Status": "install ok installed"}), entries)
