"""Import an author's module from its source file, as it is now. Not used in a .pex: modules are importable there.

Python takes a .pyc for current if its source has the same size and the same modification time in whole seconds: an
author who saves twice within a second would be served the code before the last save. So what lies in the author's
directory is compiled at each start, and nothing is written beside it. Installed packages are imported as ever.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader

from ..errors import LogicError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class _Fresh(SourceFileLoader):
    """Compiles what the file says now."""

    def path_stats(self, path: str) -> dict[str, Any]:
        raise OSError(path)  # "unknown": importlib then neither reads a .pyc nor writes one


def import_file(name: str, path: str) -> ModuleType:
    """Import the file `path` as the module `name`; its directory becomes importable, first in line.

    Raises LogicError if it is not a Python source, or whatever the module's own code raises.
    """
    if not path.endswith(".py"):
        raise LogicError(f"{path} is not a Python module: its name must end in .py")
    path = os.path.abspath(path)
    directory = os.path.dirname(path)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    import_as_it_is(directory)
    spec = importlib.util.spec_from_file_location(name, path, loader=_Fresh(name, path))
    if spec is None or spec.loader is None:
        raise LogicError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def import_as_it_is(directory: str) -> None:
    """From now on import what lies below `directory` as its files are, whatever a .pyc says."""
    below = os.path.join(directory, "")

    def finder(path: str) -> FileFinder:
        if path != directory and (not path.startswith(below) or "site-packages" in path):
            raise ImportError(path)
        return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_Fresh, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, finder)
    for path in [path for path in sys.path_importer_cache if path == directory or path.startswith(below)]:
        del sys.path_importer_cache[path]
