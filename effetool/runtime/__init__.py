"""What runs inside every .pex: the server, on the standard library alone.

The names an author may use; they are imported when they are asked for: not every program that names this
package serves.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .contract.logic import Logic as Logic
    from .contract.request import Request as Request
    from .contract.response import Response as Response
    from .errors import HTTPError as HTTPError
    from .errors import StartError as StartError

__all__ = ["HTTPError", "Logic", "Request", "Response", "StartError"]

_HOMES = {
    "HTTPError": "errors",
    "Logic": "contract.logic",
    "Request": "contract.request",
    "Response": "contract.response",
    "StartError": "errors",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module("." + home, __name__), name)
    globals()[name] = value
    return value
