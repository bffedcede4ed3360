"""The pytest plugin: it finds the effe of a test, makes it importable, and gives the fixture `effe`.

It is loaded by every pytest that runs where effe-tool is installed, so it imports nothing until a test is an effe's:
the nearest directory above the test with a `logic.py`, or a `hello.py` beside (or above) `test_hello.py`.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .client import Client

__all__ = ["effe", "find_logic"]

_fresh: set[str] = set()


@cache
def find_logic(directory: Path, test: str) -> Path | None:
    """Return the module of the effe whose test `test` (a file name) in `directory` is."""
    named = test[len("test_") :] if test.startswith("test_") else test.replace("_test.py", ".py")
    for above in (directory, *directory.parents):
        logic = above / "logic.py"
        if logic.is_file():
            return logic
        if above == directory or (above == directory.parent and directory.name == "tests"):
            single = above / named
            if single.is_file() and _has_info(single):
                return single
        if (above / ".git").exists() or (above / "pyproject.toml").is_file():
            return None
    return None


def _has_info(path: Path) -> bool:
    return any(line.startswith((b"INFO =", b"INFO:", b"INFO=")) for line in path.read_bytes().splitlines())


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("effe")
    group.addoption("--effe-pex", metavar="FILE", help="run the effe's tests against this built file, started for each")


def pytest_configure(config: pytest.Config) -> None:
    pex = config.getoption("--effe-pex")
    if pex is None:
        return
    if not os.path.isfile(pex):
        raise pytest.UsageError(f"--effe-pex {pex}: no such file")
    from . import client

    client.built = os.path.abspath(pex)


def pytest_unconfigure() -> None:
    client = sys.modules.get("effetool.testing.client")
    if client is not None:
        client.built = None  # type: ignore[attr-defined]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Make `import logic` mean the logic of this test, before the test is imported."""
    logic = find_logic(module_path.parent, module_path.name)
    if logic is None:
        return
    root = str(logic.parent)
    if sys.path[:1] != [root]:
        sys.path.insert(0, root)
    if root not in _fresh:
        from ..runtime.contract.source_loader import import_as_it_is

        import_as_it_is(root)
        _fresh.add(root)
    known = sys.modules.get(logic.stem)
    if known is not None and os.path.abspath(getattr(known, "__file__", None) or "") != str(logic.absolute()):
        del sys.modules[logic.stem]  # the effe of another test


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.getoption("--effe-pex") is None:
        return
    from . import modules

    for item in session.items:
        logic = find_logic(item.path.parent, item.path.name)
        if logic is not None and logic.stem in sys.modules:
            modules.originals[logic.stem] = dict(vars(sys.modules[logic.stem]))


@pytest.fixture
def effe(request: pytest.FixtureRequest) -> Iterator[Client]:
    """An entered Client of the effe this test belongs to."""
    from .client import Client

    logic = find_logic(request.path.parent, request.path.name)
    if logic is None:
        pytest.fail(f"{request.path}: no effe: a logic.py above the test, or hello.py for test_hello.py", pytrace=False)
    with Client(logic) as client:
        yield client
