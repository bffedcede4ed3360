"""Know, inside the child, which files the effe consists of: the modules it imported, the files it opened to read.

An audit hook (PEP 578) sees every `open`, so a template that is read in `start` counts, and ten thousand files that
nobody opens do not. What the effe writes itself never counts: it would reload itself for ever.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys

from .fault import authored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

__all__ = ["Fresh", "Seen"]


class Fresh(importlib.machinery.SourceFileLoader):
    """Compile an author's module from its source, always.

    A .pyc is valid for its source's size and its time in whole seconds: two saves within a second can look like one.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class Seen:
    """What the effe in `root` read. Nothing is removed; `news` says what came. `debugged` is called by breakpoint()."""

    def __init__(self, root: str, debugged: Callable[[], None]) -> None:
        self._debugged = debugged
        self._inside = os.path.join(root, "")
        self._opened: list[str] = []
        self._written: set[str] = set()
        self._told: set[str] = set()
        self._modules = set(sys.modules)
        self._count = len(sys.modules)

    def install(self) -> None:
        """Begin: from here on imports below root are fresh, and opened files are noted."""
        finder = importlib.machinery.FileFinder.path_hook(
            (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
            (Fresh, importlib.machinery.SOURCE_SUFFIXES),
            (importlib.machinery.SourcelessFileLoader, importlib.machinery.BYTECODE_SUFFIXES),
        )

        def hook(path: str) -> Any:
            absolute = os.path.join(os.path.abspath(path or "."), "")
            if not absolute.startswith(self._inside) or f"{os.sep}site-packages{os.sep}" in absolute:
                raise ImportError
            return finder(path)

        sys.path_hooks.insert(0, hook)
        sys.path_importer_cache.clear()
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open":
            if event == "builtins.breakpoint":  # heard here, a debugger's frames stay as they are
                self._debugged()
            return
        path, mode, flags = arguments
        if not isinstance(path, str):
            return
        writes = mode.strip("rbtU") != "" if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))
        if writes:
            self._written.add(os.path.abspath(path))
        elif path not in self._told:
            self._opened.append(path)

    def stale(self) -> bool:
        """Tell cheaply whether `news` may have some."""
        return bool(self._opened) or len(sys.modules) != self._count

    def news(self) -> list[str]:
        """Return the files that came since the last call."""
        found = []
        while self._opened:
            path = self._opened.pop()
            if path in self._told:
                continue
            self._told.add(path)
            absolute = os.path.abspath(path)
            if absolute.startswith(self._inside) and "__pycache__" not in absolute and absolute not in self._written:
                found.append(absolute)
        self._count = len(sys.modules)
        for name in set(sys.modules) - self._modules:
            self._modules.add(name)
            file = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(file, str) and authored(file):
                found.append(os.path.abspath(file))
        return found
