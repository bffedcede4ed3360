"""Start an effe from its own file: the first code that runs in a .pex, and all that stands between exec and `main`.

The shell header of the .pex (see `boot`) reads this as marshalled code, or as source on a Python it was not compiled
for, and executes it with `data`, the section that it came in. It imports only what every effe needs anyway.

A section is magic number (4 bytes), length of the marshalled loader (4), that loader, the length of the marshalled
facts (4), those, and the modules that the facts' index points into, marshalled and deflated one by one: only what is
imported is inflated. Facts: `index`, module name → (path, start, size, whether it is a package); `versions`, intervals
of sys.version_info that the effe takes; `unpack`, what has to be a file before it can be imported, None when nothing
has to; `wheels`, the distributions that are imported from the file, None without any, by offsets in that.
"""

from __future__ import annotations

import _frozen_importlib
import _frozen_importlib_external as external
import _imp
import _thread
import builtins
import marshal
import os
import sys
import zipimport  # Python itself has it imported by now
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .unpacker import damaged, leave_to_pex, place_files  # joined before this: see `contents.loader_source`

# Whoever imports one of these is about to hand sys.path to another process.
SPAWNING = frozenset(("multiprocessing.spawn", "multiprocessing.popen_spawn_posix", "multiprocessing.forkserver"))


class Importer:
    """Finder and loader (PEP 302, PEP 451) of what the .pex itself holds, as marshalled code.

    Where an author can tell the difference it behaves as `zipimport.zipimporter`: `archive` and `prefix`,
    `get_source` (tracebacks, inspect), `get_data` (pkgutil), `get_resource_reader` (importlib.resources).
    """

    prefix = ""

    def __init__(self, archive: str, home: Any, index: dict[str, Any], code: memoryview) -> None:
        self.archive = archive
        self._open = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)  # of a file that is replaced the old one is read
        self._home = home
        self._index = index
        self._code = code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        entry = self._index.get(name)
        if entry is None:
            return None
        if not isinstance(self._home, str) and name.partition(".")[0] != "effetool":
            self._home = self._home()  # unpacked when the first of the author's modules is wanted, not for -info
        place, _, size, package = entry
        file = self._file(name, place)
        if size or not package:
            made: Any = _frozen_importlib.ModuleSpec(name, self, origin=file, is_package=package)  # type: ignore[arg-type]
            made._set_fileattr, folders = True, [file.rpartition("/")[0]]
        else:  # a folder without __init__.py: a namespace package
            made = _frozen_importlib.ModuleSpec(name, None, is_package=True)
            folders = [self._file(name, one) for one in place.split("|")]
            # importlib.resources takes no list
            folders = external._NamespacePath(name, folders, lambda *_: None)  # type: ignore[attr-defined]
        if package:
            made.submodule_search_locations = folders
        return made

    def _file(self, name: str, place: str) -> str:
        home = self.archive if name.partition(".")[0] == "effetool" else self._home
        return home + "/" + place

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(self.get_code(module.__spec__.name), module.__dict__)

    def get_code(self, name: str) -> Any:
        place, start, size, _ = self._entry(name)
        try:
            code = marshal.loads(zlib.decompress(self._read(start, size)))
        except zlib.error:  # its checksum among others
            raise damaged(self.archive, name) from None
        _imp._fix_co_filename(code, self._file(name, place))  # type: ignore[attr-defined]
        return code

    def _read(self, start: int, size: int) -> Any:
        return self._code[start : start + size]

    def is_package(self, name: str) -> bool:
        return bool(self._entry(name)[3])

    def get_filename(self, name: str) -> str:
        return self._file(name, self._entry(name)[0])

    def get_source(self, name: str) -> str:
        from importlib.util import decode_source

        return decode_source(self.get_data(f"{self.archive}/{self._entry(name)[0]}"))

    def get_data(self, path: str) -> bytes:
        if path.startswith(self.archive + "/"):
            held = f"/proc/self/fd/{self._open}"
            whole = held if os.path.exists(held) else self.archive
            return zipimport.zipimporter(whole).get_data(path[len(self.archive) + 1 :])
        with open(path, "rb") as stream:
            return stream.read()

    def get_resource_reader(self, name: str) -> Any:
        return Resources(self.get_filename(name).rpartition("/")[0], self.archive)

    def _entry(self, name: str) -> Any:
        if name not in self._index:
            raise ImportError(f"not in {self.archive}: {name!r}", name=name)
        return self._index[name]


class Wheels(Importer):
    """Finder and loader of the distributions; those that have to be files are unpacked when one of them is wanted."""

    def __init__(self, archive: str, wheels: Any, unpack: Any) -> None:
        super().__init__(archive, archive, wheels["index"], memoryview(b""))
        self._metadata = wheels["metadata"]
        self._tops = wheels["tops"]
        self._unpack = unpack

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name in self._tops or name in SPAWNING:
            self._unpack()
            return None
        return super().find_spec(name, path, target)

    def _read(self, start: int, size: int) -> Any:
        return os.pread(self._open, size, start)

    def iter_modules(self, prefix: str = "") -> Any:  # by pkgutil, which then goes on through sys.path
        self._unpack()
        return ()

    def find_distributions(self, context: Any) -> Any:
        """Answer `importlib.metadata` for what is not in a folder of sys.path."""
        import zipfile
        from importlib.metadata import PathDistribution

        wanted = context.name and context.name.lower().replace("-", "_").replace(".", "_")
        whole = zipfile.Path(self.archive)
        unpacked = any(entry.endswith("/deps") for entry in sys.path)
        for name, folder, stays in () if "path" in vars(context) else self._metadata:
            if wanted == name and not stays:
                self._unpack()
            elif wanted in (None, name) and (stays or not unpacked):
                yield PathDistribution(whole / folder)


class Resources:
    """The files beside a module, for `importlib.resources` of Python 3.9 to 3.13."""

    def __init__(self, folder: str, archive: str) -> None:
        self._folder = folder
        self._archive = archive

    def files(self) -> Any:
        inside = self._folder[len(self._archive) + 1 :]
        if f"{self._folder}/".startswith(self._archive + "/"):
            import zipfile

            return zipfile.Path(self._archive, inside + "/" if inside else "")
        import pathlib

        return pathlib.Path(self._folder)

    def open_resource(self, name: str) -> Any:
        try:
            return (self.files() / name).open("rb")
        except KeyError:
            raise FileNotFoundError(name) from None

    def resource_path(self, name: str) -> str:
        if self._folder.startswith(self._archive):
            raise FileNotFoundError(name)
        return f"{self._folder}/{name}"

    def is_resource(self, name: str) -> bool:
        return bool((self.files() / name).is_file())

    def contents(self) -> Any:
        return (entry.name for entry in self.files().iterdir())


def boot(section: bytes) -> None:
    """Start the effe in this process."""
    # A launcher holds this file and an interpreter: it is what was called, and is called again.
    called, launcher = sys.argv[1], globals().get("launcher")
    sys.argv[:2] = [launcher or called]
    try:
        path = called if called.startswith("/") else os.getcwd() + "/" + (called[2:] if called[:2] == "./" else called)
    except OSError as error:
        raise SystemExit(f"{called}: the working directory: {error.strerror}; start it by its full path") from None
    if sys.path[:1] == [""]:  # -c puts the working directory first when Python is not isolated
        del sys.path[0]
    compiled, facts = section[:4] == external.MAGIC_NUMBER, {}
    if compiled:
        start = 12 + int.from_bytes(section[4:8], "little")
        end = start + int.from_bytes(section[start - 4 : start], "little")
        facts, code = marshal.loads(section[start:end]), memoryview(section)[end:]
    if not compiled or os.environ.get("EFFE_UNPACK"):
        facts |= __import__("json").loads(zipimport.zipimporter(path).get_data(path + "/__effe__/boot.json"))
    fits = any(tuple(low) <= sys.version_info[:3] < tuple(high) for low, high in facts["versions"])
    if sys.implementation.name != "cpython" or not fits:
        if os.environ.get("EFFE_PYTHON"):
            this = f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"
            raise SystemExit(
                f"{called}: EFFE_PYTHON={os.environ['EFFE_PYTHON']} is {this}, which this effe does not run on"
            )
        leave_to_pex(called)
    os.environ["PEX"] = path
    try:
        with open("/proc/self/comm", "w", encoding="utf-8", errors="surrogateescape") as comm:
            comm.write((launcher or path).rpartition("/")[2])
    except OSError:  # not Linux, or /proc is not mounted
        pass
    if not hasattr(builtins, "exit"):  # site defines them; an author may call them
        builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    # Python's own does not ask a module's loader for the source lines.
    sys.excepthook = lambda *told: __import__("traceback").print_exception(*told)
    wheels, lock = facts["wheels"], _thread.RLock()

    def unpacked() -> Any:
        with lock:
            if "home" not in facts:
                facts["home"] = place_files(path, facts["unpack"], called) if facts["unpack"] else path
                sys.path.insert(sys.path.index(path), facts["home"])
        return facts["home"]

    if compiled:
        # What could fail does so before it serves.
        early = facts["unpack"] and (wheels is None or facts["unpack"]["own"] or facts["unpack"]["native"])
        at = len(sys.meta_path) - 1
        sys.meta_path.insert(at, Importer(path, unpacked if early else path, facts["index"], code))
        sys.path.append(path)
        if wheels is not None:
            sys.meta_path.insert(at + 1, Wheels(path, wheels, unpacked))
            sys.path.extend(f"{path}/{prefix}" for prefix in wheels["paths"])
    else:
        sys.path.insert(0, path)
        __import__("effetool")
        if unpacked() != path:  # importlib.resources takes folders alone
            sys.path.remove(path)
    if wheels or (facts["unpack"] and facts["unpack"]["deps"]):  # for the Pythons that it starts: see `child_site`
        child, given = f"{path}/__effe__/child", os.environ.get("PYTHONPATH", "").split(":")
        told = [child, *(entry for entry in given if entry not in ("", child))]
        os.environ.update(PYTHONPATH=":".join(told), _EFFE_PYTHON=sys.executable)
    sys.exit(__import__("effetool.runtime.__main__", None, None, ["main"]).main())


if "data" in globals():  # else it is read for its parts, by `child_site`
    boot(globals()["data"])
