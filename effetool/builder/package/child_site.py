"""Give the dependencies of a .pex to the Pythons that its effe starts: `subprocess.run([sys.executable, "-m", …])`.

It travels as `__effe__/child/sitecustomize.py`, and the loader puts its folder on PYTHONPATH. It acts only in the
very interpreter that runs the effe (`sys.executable` is the same): another program's virtual environment or another
Python that the effe calls finds what it always finds. Then the sitecustomize of that Python has its turn.
"""

from __future__ import annotations

import marshal
import os
import sys
import zipimport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install(path: str) -> None:
    """Let this process import the distributions in the .pex `path`; they are unpacked as they are for the effe."""
    read = zipimport.zipimporter(path).get_data
    magic = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
    try:
        section = read(f"{path}/__effe__/cpython-3{sys.version_info[1]}.code")
    except OSError:
        section = b""
    space: dict[str, Any] = {"__name__": "effe"}
    if section[:4] == magic:
        start = 8 + int.from_bytes(section[4:8], "little")
        size = int.from_bytes(section[start : start + 4], "little")
        facts = marshal.loads(section[start + 4 : start + 4 + size])
        exec(marshal.loads(section[8:start]), space)
    else:
        import json

        facts = json.loads(read(f"{path}/__effe__/boot.json"))
        exec(read(f"{path}/__effe__/loader.py"), space)
    done: list[Any] = []
    # After the standard library and before what is installed for this Python: as without that.
    at = next((number for number, entry in enumerate(sys.path) if entry.endswith("-packages")), len(sys.path))

    def unpacked() -> None:
        if not done and facts["unpack"]:
            done.append(True)
            before = len(sys.path)
            space["place_files"](path, facts["unpack"], path)
            added = sys.path[before:]
            del sys.path[before:]
            sys.path[at:at] = added

    wheels = facts["wheels"]
    if wheels is None:
        unpacked()
        return
    finder = next((n for n, one in enumerate(sys.meta_path) if getattr(one, "__name__", "") == "PathFinder"), 0)
    sys.meta_path.insert(finder, space["Wheels"](path, wheels, unpacked))
    sys.path[at:at] = [f"{path}/{prefix}" for prefix in wheels["paths"]]


def start() -> None:
    """Act where it is meant to, then let the interpreter's own sitecustomize be imported."""
    folder = __file__.rpartition("/")[0]
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    if os.environ.get("_EFFE_PYTHON") == sys.executable:
        install(folder.rpartition("/__effe__/")[0])
    sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise


start()
