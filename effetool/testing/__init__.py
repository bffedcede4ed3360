"""Test an effe without a port: the production server over a socketpair, in the test's own process.

    from effetool.testing import Client

    import logic


    def test_says_hello():
        with Client(logic) as client:
            assert client.get("/").text == "Hello"

Public and promised: `Client` and `Answer`. The pytest plugin (`effetool.testing.plugin`) comes with the package: it
makes the effe importable, gives the fixture `effe` and, with `--effe-pex FILE`, runs the same tests against a built
file.
Stdlib only, and good for every Python an effe may run on.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .answer import Answer
    from .client import Client

__all__ = ["Answer", "Client"]


def __getattr__(name: str) -> object:
    """Import on first use (PEP 562): the plugin is loaded by every pytest, the client by those that test an effe."""
    if name in __all__:
        import importlib

        return getattr(importlib.import_module(f".{name.lower()}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
