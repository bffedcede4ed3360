"""The half of the loader that puts files on disk: what cannot be imported from a zip, once, for this user alone."""

from __future__ import annotations

import _frozen_importlib_external as external
import os
import sys
import zipimport
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def damaged(path: str, name: str = "") -> BaseException:
    """Return what ends a start in one line. No ImportError: authors catch those, and go on without."""
    errors = None if name.startswith("effetool.") else sys.modules.get("effetool.runtime.errors")
    return (errors.LogicError if errors else SystemExit)(f"{path}: this file is damaged: copy or build it again")


def leave_to_pex(path: str) -> None:
    """Hand over to pex's own boot: it looks for another interpreter, or says why there is none."""
    os.execv(sys.executable, [sys.executable, path, *sys.argv[1:]])


def place_files(path: str, facts: Any, called: str) -> str:
    """Put what cannot be imported from a zip where it can, once; returns where the author's own files are.

    Where nothing may be written, pure Python is imported from the .pex itself and data is read from there.
    """
    try:
        library = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        library = None
    native, here = facts["native"], (sys.platform, os.uname().machine, bool(library))
    if native is not None and tuple(native) != here:
        if native[0] == here[0] and (here[0] == "darwin" or sys.maxsize < 1 << 32):
            leave_to_pex(called)  # Rosetta, or 32 bits on a kernel of 64: another interpreter may fit
        both = [f"{s.replace('darwin', 'macos')}-{m}{'-musl' * (s == 'linux' and not g)}" for s, m, g in (native, here)]
        _end(f"{called}: this file is for {both[0]}, this machine is {both[1]}")
    name, why = f"{facts['key']}-{sys.implementation.cache_tag}-{here[1]}", None
    for base in _places():
        try:
            folder = _unpack(path, facts, base, name)
        except OSError as error:
            why = error
            continue
        if facts["deps"]:
            sys.path.append(folder + "/deps")
        return folder + "/own" if facts["own"] else path
    text = f"{called}: no place to unpack to ({why}); set XDG_CACHE_HOME to a directory"
    if native is not None:
        _end(text)
    if facts["own"]:  # most ways to its data need files
        print(text, file=sys.stderr, flush=True)
    sys.path.extend(f"{path}/{prefix[:-1]}" for prefix in facts["deps"])
    return path


def _end(text: str) -> None:  # an import cannot end it otherwise: the server would log it as the author's fault
    print(text, file=sys.stderr, flush=True)
    os._exit(1)


def _places() -> Any:
    cache, home = os.environ.get("XDG_CACHE_HOME", ""), os.environ.get("HOME", "")
    if cache.startswith("/"):
        yield cache + "/effe"
    elif home.startswith("/"):
        yield home + "/.cache/effe"
    yield f"{os.environ.get('TMPDIR') or '/tmp'}/effe-{os.getuid()}"  # noqa: S108


def _own(folder: str) -> bool:
    """Tell whether a directory is this user's and no other may write to it; no link is followed."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return False
    if found.st_mode & 0o170000 != 0o040000 or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(1, "it belongs to another user or others may write to it", folder)
    return True


def _unpack(path: str, facts: Any, base: str, name: str) -> str:
    """Return the unpacked folder below `base`, making it when it is not there whole.

    It is written beside and renamed: another start sees all of it or none, and what a killed one left is never used.
    """
    folder = f"{base}/{name}"
    if _own(base) and _own(folder):
        return folder
    os.makedirs(base, 0o700, exist_ok=True)
    _own(base)
    import fcntl
    import time

    lock = os.open(f"{base}/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of many first starts one unpacks; the others wait for it
        if _own(folder):
            return folder
        beside = f"{folder}.new-{os.getpid()}"
        for entry in os.listdir(base):
            old = ".new-" in entry and time.time() - os.lstat(f"{base}/{entry}").st_mtime > 600
            if old or f"{base}/{entry}" == beside:
                __import__("shutil").rmtree(f"{base}/{entry}", ignore_errors=True)  # with lzma a tenth of the start
        os.mkdir(beside, 0o700)
        try:
            archive = zipimport.zipimporter(path)
            # Python 3.13 reads the directory when it is first asked for it, by a method.
            names = archive._get_files() if hasattr(archive, "_get_files") else archive._files  # type: ignore[attr-defined]
            made, own, head = {beside}, frozenset(facts["own"]), external.MAGIC_NUMBER + b"\1\0\0\0" + bytes(8)
            with open(path, "rb") as file:
                for entry in names:
                    prefix = next(filter(entry.startswith, facts["deps"]), "")
                    if prefix or entry in own:
                        target = f"deps/{entry[len(prefix) :]}" if prefix else f"own/{entry}"
                        _write(f"{beside}/{target}", _pieces(file, names[entry]), made)
                for entry, start, size in facts["code"]:
                    parent, _, module = entry.rpartition("/")
                    target = f"{parent}/__pycache__/{module[:-3]}.{sys.implementation.cache_tag}.pyc"
                    file.seek(start)
                    _write(f"{beside}/deps/{target}", [head, zlib.decompress(file.read(size))], made)
            os.rename(beside, folder)
        except BaseException as error:
            __import__("shutil").rmtree(beside, ignore_errors=True)
            if isinstance(error, (zlib.error, ImportError)):  # what zipimport says of damage
                raise damaged(path) from None
            raise
    finally:
        os.close(lock)
    return folder


def _pieces(file: Any, entry: Any) -> Any:
    """Yield the content of an entry, checked at its end; it may be larger than memory."""
    _, method, packed, _, offset, _, _, wanted = entry
    file.seek(offset + 26)  # of its local header, the sizes of what follows that
    file.seek(int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little"), 1)
    inflate, found = zlib.decompressobj(-15).decompress if method else bytes, 0
    for start in range(0, packed, 1 << 16):
        piece = inflate(file.read(min(1 << 16, packed - start)))
        found = zlib.crc32(piece, found)
        yield piece
    if found != wanted:
        raise zlib.error("wrong checksum")


def _write(path: str, pieces: Any, made: set[str]) -> None:
    if path.endswith("/"):
        return
    parent = path.rpartition("/")[0]
    if parent not in made:
        os.makedirs(parent, 0o700, exist_ok=True)
        made.add(parent)
    with open(path, "wb") as file:
        file.writelines(pieces)
