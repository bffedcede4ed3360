"""Find what an effe imports and does not declare, without running it.

Followed from the logic through the modules beside it, so that a script or a test in the same directory does not count.
An error is raised only for an import that certainly runs when the effe starts or answers: at the top level, or in a
function of the contract. One inside another function may never run: it is a warning. Not counted are imports a module
provides for itself not being there: guarded by `except ImportError` or `suppress(ImportError)`, under `TYPE_CHECKING`,
`if __name__ == "__main__"`, or a test of the Python version or platform; nor are those that the script block's table
`[tool.effe]` lists as `provided`, or that a module adds to `sys.path` from a folder of the effe's own.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...effe.project import Project
from ...effe.source import Source, read_source
from ...errors import DependencyError, Place
from .names import DISTRIBUTIONS, distribution_for, popular
from .requirement import normalise

# Gone from the standard library since 3.9: on an older Python they are still there (PEP 594, PEP 632).
_GONE = """
aifc asynchat asyncore audioop binhex cgi cgitb chunk crypt distutils formatter imghdr imp lib2to3 mailcap msilib nis
nntplib ossaudiodev parser pipes smtpd sndhdr spwd sunau symbol telnetlib uu xdrlib
"""
PROVIDED = "list it as provided in the script block's table [tool.effe]"
# A module that lets others be imported from a folder of its choice.
_VENDORS = re.compile(r"\bsys\.path\b *(?:\[|\+=|= |\.(?:insert|append|extend)\b)|\baddsitedir\b")
_CONTRACT = frozenset({"init", "start", "run", "stop", "ready"})
_GUARDS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_ENVIRONMENT = frozenset({"version_info", "hexversion", "platform", "implementation", "python_version", "system"})


@dataclass(frozen=True, slots=True)
class Undeclared:
    """One import that nothing in the artefact answers.

    Attributes:
        module: what is imported, dotted.
        place: where.
        sure: whether it certainly runs.
    """

    module: str
    place: Place
    sure: bool

    @property
    def distribution(self) -> str | None:
        """What to declare for it, None where that is not known."""
        return distribution_for(self.module)

    @property
    def fix(self) -> str:
        """What to do about it, in words."""
        return f"declare {self.distribution}" if self.distribution else unknown(self.module)


def unknown(module: str) -> str:
    """Say what to do about an import whose distribution is not known."""
    return (
        f"declare the distribution that {module} is from, as its documentation names it: a like name may be another's"
    )


@dataclass(frozen=True, slots=True)
class _Import:
    """An import: the module (dotted, with `level` dots before it), the names taken from it, the function it is in."""

    module: str
    node: ast.alias | ast.stmt
    function: str | None
    names: tuple[str, ...] = ()
    level: int = 0


@dataclass(frozen=True, slots=True)
class Reached:
    """What an effe reaches from its logic.

    Attributes:
        modules: its modules, and whether each certainly runs.
        imports: what they import of others: the module it stands in, the import, its dotted name, whether it is sure.
    """

    modules: Mapping[Path, tuple[Source, bool]]
    imports: Sequence[tuple[Source, _Import, str, bool]]


def follow(project: Project) -> Reached:
    """Read the modules of an effe, from the logic on.

    Raises:
        SourceError: E101 when one does not parse.
        DependencyError: E141 when a module imports itself in place of a distribution of its name.
    """
    modules: dict[Path, tuple[Source, bool]] = {}
    imports: list[tuple[Source, _Import, str, bool]] = []
    queue, seen = [(project.logic, True)], {project.logic: True}
    while queue:
        path, runs = queue.pop(0)
        source = project.source if path == project.logic else read_source(path)
        modules[path] = source, runs or modules.get(path, (source, False))[1]
        for one in _walk(source.tree.body, None):
            sure = runs and (one.function is None or (one.function in _CONTRACT and path == project.logic))
            module = _absolute(project, path, one)
            first = module.partition(".")[0]
            if not one.level and path == project.root / f"{first}.py":
                raise DependencyError(
                    f"{path.name} imports {one.module}, which is {path.name} itself: it hides what it means",
                    code="E141",
                    place=source.at(one.node),
                    fix=f"give {path.name} another name",
                )
            if local := _local(project, module, one.names):
                # A module first met where it may not run is read again when it is met where it does.
                queue += [(other, sure) for other in local if sure > seen.get(other, -1)]
                seen.update((other, sure) for other in local if sure > seen.get(other, -1))
            elif not one.level and not _is_local(project, first):
                imports.append((source, one, module, sure))
    return Reached(modules, imports)


def find_undeclared(project: Project, provided: Iterable[str] = (), reached: Reached | None = None) -> list[Undeclared]:
    """Return the imports of an effe that neither Python, nor its own modules, nor its dependencies answer.

    Args:
        project: the effe.
        provided: the names its dependencies are imported by, by their own metadata: a package, or what it holds of a
            namespace package, such as `google.cloud.storage`.
        reached: what `follow` returned for it.

    Raises:
        SourceError: E101 when a module it imports does not parse.
        DependencyError: E141 when a module imports itself.
    """
    known = {*sys.stdlib_module_names, *_GONE.split(), "effetool", "__main__", *provided, *project.script.provided}
    reached = reached or follow(project)
    vendors = any(_VENDORS.search("\n".join(source.lines)) for source, _ in reached.modules.values())
    found: dict[tuple[str, Place], bool] = {}
    for source, one, module, sure in reached.imports:
        if vendors and _is_inside(project, module.partition(".")[0]):
            continue
        for name in _missing(module, one.names, known):
            key = (name, source.at(one.node))
            found[key] = sure or found.get(key, False)
    return [Undeclared(module, place, sure) for (module, place), sure in found.items()]


def _missing(module: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return what of an import nothing answers; of a namespace package only what is there is answered."""
    first = module.partition(".")[0]
    if first in known:
        return []
    inside = [name for name in known if name.startswith(f"{first}.")]

    def there(name: str) -> bool:
        return any(f"{name}.".startswith(f"{one}.") or one.startswith(f"{name}.") for one in inside)

    if not there(module):
        return [module]
    if any(f"{module}.".startswith(f"{one}.") for one in inside):
        return []
    return [f"{module}.{name}" for name in names if name != "*" and not there(f"{module}.{name}")]


def check_imports(
    project: Project,
    provided: Iterable[str] = (),
    declared: Path | None = None,
    reached: Reached | None = None,
) -> list[Undeclared]:
    """Refuse an effe that imports what the artefact does not hold; return what may be missing, for a warning.

    Args:
        project: the effe.
        provided: the names its dependencies are imported by.
        declared: the file that declares them, None when none does.
        reached: what `follow` returned for it.

    Raises:
        DependencyError: E141, with the place of the first such import and the line to add.
        SourceError: E101 when a module it imports does not parse.
    """
    provided = set(provided)
    found = find_undeclared(project, provided, reached)
    sure = [one for one in found if one.sure]
    if not sure:
        return found
    first = sure[0]
    beside = project.root / f"{first.module.partition('.')[0]}.py"
    if not beside.is_file():
        beside = beside.with_suffix("")
    if project.single and (beside.is_file() or any(beside.glob("*.py"))):
        raise DependencyError(
            f"{first.module} is beside {project.logic.name}, and a single file carries nothing beside it",
            code="E141",
            place=first.place,
            fix=f"make it a directory: mkdir {project.module} && mv {project.logic.name} {project.module}/logic.py && "
            f"mv {beside.name} {project.module}/",
        )
    wrote = first.module.partition(".")[0]
    if (meant := _meant(wrote, provided)) is not None:
        raise DependencyError(
            f"{first.module} is imported, and nothing of that name is there",
            code="E141",
            place=first.place,
            fix=f"did you mean {meant}? else {first.fix}",
        )
    names = list(dict.fromkeys(one.distribution for one in sure if one.distribution))
    raise DependencyError(
        f"{first.module} is imported but not declared",
        code="E141",
        place=first.place,
        fix=_fix(project, declared, names) if first.distribution else f"{first.fix}; if it is there anyway: {PROVIDED}",
        notes=tuple(f"{one.place}: {one.module}" for one in sure[1:]),
    )


def _meant(name: str, provided: Iterable[str]) -> str | None:
    """Return the import a misspelt one may have meant: what is a letter away is not to be sought on an index."""
    if name in DISTRIBUTIONS or normalise(name) in popular():
        return None
    import difflib

    return next(iter(difflib.get_close_matches(name, [*provided, *sys.stdlib_module_names], 1, 0.85)), None)


def _fix(project: Project, declared: Path | None, names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    if project.script.present:
        heads = [re.split(r"[^\w.-]", name)[0] for name in names]
        kept = [text for text in project.script.dependencies if re.split(r"[^\w.-]", text)[0] not in heads]
        every = ", ".join(f'"{text}"' for text in (*kept, *names))
        return f"write in the script block: # dependencies = [{every}]"
    if declared is None:
        return f"write above everything else, three lines: # /// script | # dependencies = [{quoted}] | # ///"
    if declared.name == "pyproject.toml":
        return f"add to dependencies in pyproject.toml: {quoted}"
    return f"add to {declared.name}: {' '.join(names)}"


def _absolute(project: Project, path: Path, one: _Import) -> str:
    """Return the dotted name of an import, a relative one counted from the module it is in."""
    if not one.level:
        return one.module
    package = path.parent.relative_to(project.root).parts
    return ".".join([*package[: len(package) - one.level + 1], *filter(None, [one.module])])


def _local(project: Project, module: str, names: Iterable[str]) -> list[Path]:
    """Return the files of the effe that an import runs: the packages on the way, the module, submodules named."""
    if project.single:
        return []
    files: list[Path] = []
    folder = project.root
    for part in filter(None, module.split(".")):
        files += [folder / f"{part}.py", folder / part / "__init__.py"]
        folder = folder / part
    files += [path for name in names for path in (folder / f"{name}.py", folder / name / "__init__.py")]
    return [path for path in dict.fromkeys(files) if path.is_file()]


def _is_local(project: Project, name: str) -> bool:
    """Tell whether a top-level name is the effe's own: a module, an extension, a package or a namespace with code."""
    if project.single:
        return name == project.module
    folder = project.root / name
    if any(project.root.glob(f"{name}.*.so")) or (project.root / f"{name}.so").is_file():
        return True
    if not folder.is_dir():
        return False
    return any(file.endswith((".py", ".so")) for _, _, files in os.walk(folder) for file in files)


def _is_inside(project: Project, name: str) -> bool:
    """Tell whether a module or package of that name is anywhere in the effe, for a folder that is put on sys.path."""
    return not project.single and any(
        f"{name}.py" in files or (name in folders and any(Path(folder, name).rglob("*.py")))
        for folder, folders, files in os.walk(project.root)
    )


def _walk(body: Iterable[ast.stmt], function: str | None, prefix: str = "") -> Iterator[_Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _Import(alias.name, alias, function)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield _Import(node.module or "", node, function, names, node.level)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _walk(node.body, function or f"{prefix}{node.name}")
        elif isinstance(node, ast.ClassDef):  # its body runs when the module does, its methods do not
            yield from _walk(node.body, function, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If):
            if not _decides(node.test):
                yield from _walk(node.body, function, prefix)
                yield from _walk(node.orelse, function, prefix)
            elif _type_checking(node.test):
                yield from _walk(node.orelse, function, prefix)
        elif isinstance(node, (ast.Try, ast.TryStar)):
            if not any(_guards(handler.type) for handler in node.handlers):
                yield from _walk(node.body, function, prefix)
                for handler in node.handlers:
                    yield from _walk(handler.body, function, prefix)
                yield from _walk(node.orelse, function, prefix)
            yield from _walk(node.finalbody, function, prefix)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            if not any(_suppresses(item.context_expr) for item in node.items):
                yield from _walk(node.body, function, prefix)
        elif isinstance(node, ast.Match):
            for case in node.cases:
                yield from _walk(case.body, function, prefix)
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            yield from _walk(node.body, function, prefix)
            yield from _walk(node.orelse, function, prefix)


def _decides(test: ast.expr) -> bool:
    """Tell whether a condition is about where the code runs, so that neither branch need ever be taken."""
    if isinstance(test, ast.Constant):
        return not test.value
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(test) if isinstance(node, ast.Attribute)}
    on_windows = any(isinstance(n, ast.Attribute) and ast.unparse(n) == "os.name" for n in ast.walk(test))
    return on_windows or bool(names & (_ENVIRONMENT | {"TYPE_CHECKING", "__name__"}))


def _type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) or any(
        (isinstance(node, ast.Name) and node.id in ("TYPE_CHECKING", "__name__"))
        or (isinstance(node, ast.Attribute) and node.attr == "TYPE_CHECKING")
        for node in ast.walk(test)
    )


def _guards(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    names = {node.id for node in ast.walk(caught) if isinstance(node, ast.Name)}
    return bool(names & _GUARDS)


def _suppresses(context: ast.expr) -> bool:
    return isinstance(context, ast.Call) and any(_guards(argument) for argument in context.args)
