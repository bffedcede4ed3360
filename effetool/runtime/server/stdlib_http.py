"""`http.server`'s two base classes, without the imports that neither of them needs to serve an effe.

`http.server` imports email, http.client (and with it ssl), html, mimetypes, shutil, datetime, copy and urllib.parse for
its other classes: more than half of what an effe's whole start takes. While it is imported here, a stand-in takes the
place of each of them that is not imported yet; right after, the stand-ins are out of `sys.modules` again, so whoever
imports `ssl`, `email` or `http.client` gets the real one. The references that `http.server` itself keeps turn into the
real module at their first use, so everything in it works, `SimpleHTTPRequestHandler` included.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from types import ModuleType
    from typing import Any

__all__ = ["BaseHTTPRequestHandler", "HTTPServer"]

DEFERRED = (
    *("copy", "datetime", "email", "email.utils", "html", "http.client"),
    *("mimetypes", "shutil", "urllib", "urllib.parse"),
)


def _real(name: str) -> ModuleType:
    from importlib import import_module

    return import_module(name)


class _Deferred(type(sys)):  # type: ignore[misc]
    """A module that is imported when something of it is asked for."""

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if self.__name__ == "http.client" and sys.modules.get("http.client") is self:
            return _MessageClass()  # the one use at import: BaseHTTPRequestHandler.MessageClass
        name = f"{self.__name__}.{attribute}"
        if name in DEFERRED:  # `import email.utils` binds `email`
            return _real(name)
        return getattr(_real(self.__name__), attribute)


class _MessageClass:
    """`http.client.HTTPMessage`, which takes its own place when it is first read."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        real = _real("http.client").HTTPMessage
        sys.modules["http.server"].BaseHTTPRequestHandler.MessageClass = real
        return real


def _submodule(name: str) -> Any:
    """Answer `http.client` for code that imports http.server alone and counts on what it used to bring."""
    if name != "client":
        raise AttributeError(f"module 'http' has no attribute {name!r}")
    stand_in = sys.modules.get("http.client")
    # In sys.modules alone it may be half imported, by another thread: the import statement waits for that one.
    return stand_in if type(stand_in) is _Deferred else _real("http.client")


def _absent(name: str) -> bool:
    """Tell whether a stand-in can take the place of a module: the package that http.server reads it from is one too."""
    package = name.rpartition(".")[0]
    return name not in sys.modules and (package in ("", "http") or package not in sys.modules)


def _import() -> ModuleType:
    import http

    if "http.server" not in sys.modules:
        deferred = {name: _Deferred(name) for name in DEFERRED if _absent(name)}
        if "http.client" in deferred:
            vars(http).setdefault("__getattr__", _submodule)
        sys.modules.update(deferred)
        try:
            import http.server
        finally:
            for name, module in deferred.items():
                if sys.modules.get(name) is module:
                    del sys.modules[name]
    return sys.modules["http.server"]


if not TYPE_CHECKING:
    _server = _import()
    HTTPServer, BaseHTTPRequestHandler = _server.HTTPServer, _server.BaseHTTPRequestHandler
