"""The contract, checked without running the module: `run` is there and takes what the runtime gives it.

The signatures: init(), start(), run(context, error, response, request), stop(context), ready().
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from ..errors import ContractError, Place
from .source import Source

__all__ = ["Contract", "check_contract"]

ARGUMENTS = {
    "init": (),
    "start": (),
    "run": ("context", "error", "response", "request"),
    "stop": ("context",),
    "ready": (),
}
# What people who come from other platforms call it: near misses that are named, not guessed at.
NEAR_RUN = ("Run", "handler", "handle", "main", "lambda_handler", "app", "function", "entrypoint", "execute")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Contract:
    """Which of the contract's functions a module defines, in the contract's order."""

    functions: tuple[str, ...]


def check_contract(source: Source) -> Contract:
    """Check the module's functions against the contract.

    Raises:
        ContractError: E120 when there is no run (a near miss is named), E121 when a function takes other arguments,
            E122 when a name of the contract is no function, or run is a generator.
    """
    functions: dict[str, Function | None] = {}
    values: dict[str, ast.expr] = {}  # what is assigned at the top level itself: there it is what the name means
    for node in _top_level(source.tree.body):
        if isinstance(node, Function):
            functions[node.name] = node
            values.pop(node.name, None)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Name) and node in source.tree.body:
                    functions.pop(target.id, None)
                    values.pop(target.id, None)
        elif isinstance(node, ast.ClassDef):
            functions.pop(node.name, None)
        else:
            for name in _bound(node):
                functions[name] = None  # assigned or imported: there, its arguments unknown until it runs
                values.pop(name, None)
                if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and node in source.tree.body:
                    values[name] = node.value
    if "run" not in functions:
        raise _no_run(source, functions)
    for name in ARGUMENTS:
        function = functions.get(name)
        if function is not None and not function.decorator_list:  # a decorator may change what it takes
            _check_arguments(source, function, function.name, function.args)
            _check_generator(source, function)
        elif (value := values.get(name)) is not None:
            _check_value(source, name, value)
    return Contract(tuple(name for name in ARGUMENTS if name in functions))


def _top_level(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements of a module, with those in its top-level if and try."""
    found: list[ast.stmt] = []
    for node in body:
        found.append(node)
        if isinstance(node, ast.If):
            found += _top_level(node.body) + _top_level(node.orelse)
        elif isinstance(node, ast.Try):
            found += _top_level(node.body) + _top_level(node.orelse) + _top_level(node.finalbody)
            for handler in node.handlers:
                found += _top_level(handler.body)
        elif isinstance(node, ast.With):
            found += _top_level(node.body)
    return found


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign):
        return [t.id for target in node.targets for t in ast.walk(target) if isinstance(t, ast.Name)]
    if isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
        return [node.target.id]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    return []


def _no_run(source: Source, functions: dict[str, Function | None]) -> ContractError:
    fix = "add def run(context, error, response, request): …"
    folded = {name.lower(): name for name in reversed(functions)}
    for near in NEAR_RUN:
        name = near if near in functions else folded.get(near.lower())
        if name is None:
            continue
        node = functions[name]
        place = source.at_name(node) if node is not None else Place(source.path)
        return ContractError(
            f"no run: found `{name}`, did you mean `run`?",
            code="E120",
            place=place,
            fix=f"rename `{name}` to `run`: def run(context, error, response, request):",
        )
    for outer in source.tree.body:
        if isinstance(outer, ast.ClassDef):
            for method in outer.body:
                if isinstance(method, Function) and method.name == "run":
                    return ContractError(
                        f"no run in the module: found it in class `{outer.name}`",
                        code="E120",
                        place=source.at_name(method),
                        fix="make it a function of the module: def run(context, error, response, request):",
                    )
    found = [name for name, node in functions.items() if node is not None]
    told = f"; found {', '.join(f'`{name}`' for name in found[:5])}" if found else ""
    return ContractError(f"no run in this module{told}", code="E120", place=Place(source.path), fix=fix)


def _check_value(source: Source, name: str, value: ast.expr) -> None:
    """Refuse what is assigned to a name of the contract and is plainly no function."""
    if isinstance(value, ast.Lambda):
        _check_arguments(source, value, name, value.args)
    elif isinstance(value, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set | ast.JoinedStr):
        raise ContractError(
            f"{name} is {ast.unparse(value)[:40]}, not a function",
            code="E122",
            place=source.at(value),
            fix=f"write def {name}({', '.join(ARGUMENTS[name])}):"
            + ("" if name == "run" else f", or delete {name}: it may be missing"),
        )


def _check_generator(source: Source, function: Function) -> None:
    """Refuse a `yield`: calling the function would run none of it."""
    rest: list[ast.AST] = list(function.body)
    for node in rest:
        if isinstance(node, ast.Yield | ast.YieldFrom):
            raise ContractError(
                f"{function.name} has a yield: to call it only makes a generator, and runs none of it",
                code="E122",
                place=source.at(node),
                fix="write each piece with response.write(…) and send it with response.flush()"
                if function.name == "run"
                else "return the value",
            )
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            rest.extend(ast.iter_child_nodes(node))


def _check_arguments(source: Source, function: Function | ast.Lambda, name: str, arguments: ast.arguments) -> None:
    wanted = ARGUMENTS[name]
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    fits = required <= len(wanted) and (len(positional) >= len(wanted) or arguments.vararg is not None)
    stray = [arg for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    if fits and not stray:
        return
    definition = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    named = [arg.arg for arg in positional] + ([f"*{arguments.vararg.arg}"] if arguments.vararg else [])
    takes = ", ".join(named + (["*"] if stray and not arguments.vararg else []) + [arg.arg for arg in stray])
    raise ContractError(
        f"{name} takes ({takes}), it is called with ({', '.join(wanted)})",
        code="E121",
        place=source.at(function) if isinstance(function, ast.Lambda) else source.at_name(function),
        fix=f"write {definition} {name}({', '.join(wanted)}):",
    )
