"""The author's module: load it, check it, fill in what is optional, make `async def` callable."""

from __future__ import annotations

import importlib

from ..errors import LogicError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, Protocol

    from .request import Request
    from .response import Response

    class Logic(Protocol):
        """What an author's module is. Only `run` is required; `INFO` is read without running the module."""

        def run(
            self, context: Any, error: Any, response: Response, request: Request, /
        ) -> BaseException | Awaitable[BaseException | None] | None: ...

else:

    class Logic:
        """What an author's module is; a typing.Protocol for type checkers, a name at run time."""


_FUNCTIONS = ("init", "start", "run", "stop", "ready")
_ARGUMENTS = {"init": 0, "start": 0, "run": 4, "stop": 1, "ready": 0}
_SHAPES = {
    "init": "init()",
    "start": "start()",
    "run": "run(context, error, response, request)",
    "stop": "stop(context)",
    "ready": "ready()",
}


class Effe:
    """The five functions, each callable as a plain one."""

    __slots__ = ("init", "module", "ready", "run", "start", "stop")

    def __init__(self, module: Any) -> None:
        self.module = module
        functions = {name: _checked(module, name) for name in _FUNCTIONS}
        if functions["run"] is None:
            raise LogicError(f"{_place(module)} has no run(): def {_SHAPES['run']}: ...")
        self.init: Callable[[], Any] = _plain(functions["init"]) or _nothing
        self.start: Callable[[], Any] = _plain(functions["start"]) or _nothing
        self.run: Callable[..., Any] = _plain(functions["run"], run=True) or _nothing
        self.stop: Callable[[Any], Any] = _plain(functions["stop"]) or _nothing
        self.ready: Callable[[], Any] | None = _plain(functions["ready"])


def fill_in(module: Any) -> Effe:
    """Check a module that is loaded already. Raises LogicError, whose text is one line for the author."""
    return Effe(module)


def load(module: str, source: str | None = None) -> Effe:
    """Import the author's module and check it.

    `module` is its name; `source` the file it lies in, in a checkout (its directory becomes importable, first in line);
    None: it is importable already, as in a .pex. Raises LogicError, or whatever the module's own code raises.
    """
    if source is None:
        return fill_in(importlib.import_module(module))
    from .source_loader import import_file

    return fill_in(import_file(module, source))


def _nothing(*_: Any) -> None:
    """Stand for a function the author has not written."""


def _place(module: Any) -> str:
    return getattr(module, "__file__", None) or getattr(module, "__name__", None) or "the module"


def _checked(module: Any, name: str) -> Callable[..., Any] | None:
    function = getattr(module, name, None)
    if function is None:
        return None
    if not callable(function):
        raise LogicError(f"{_place(module)}: {name} is not a function: def {_SHAPES[name]}: ...")
    code = getattr(function, "__code__", None)
    if code is not None and not code.co_flags & 4:  # CO_VARARGS takes any number
        bound = 1 if getattr(function, "__self__", None) is not None else 0
        most = code.co_argcount - bound
        least = most - len(getattr(function, "__defaults__", None) or ())
        if not least <= _ARGUMENTS[name] <= most:
            place = f"{code.co_filename}:{code.co_firstlineno}"
            raise LogicError(f"{place}: {name}() takes {most} arguments here: def {_SHAPES[name]}: ...")
    return function  # type: ignore[no-any-return]


def _is_async(function: Any) -> bool:
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return code is not None and bool(code.co_flags & 0x80)  # CO_COROUTINE


def _plain(function: Callable[..., Any] | None, run: bool = False) -> Callable[..., Any] | None:
    if function is None or not _is_async(function):
        return function
    from .async_calls import synchronous, synchronous_run

    return synchronous_run(function) if run else synchronous(function)
