"""Know what the effe says of itself (`INFO`) without running a line of it.

In a .pex the build has written it into `effetool/embedded.py`. In a checkout it is read from the source by
`ast`. The tool's own reader (with places and fixes for every mistake) is `effetool.effe.info`; it does not
travel, so this one only reads.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Info:
    """INFO: `text` is what `-info` prints; `name`, `version` and `doc` are None where it has none.

    `module` is what to import and `source` the file to load it from in a checkout (None in a .pex). `needs` is what of
    it `needs.declared` reads.
    """

    __slots__ = ("doc", "module", "name", "needs", "source", "text", "version")

    def __init__(self, text: str, data: dict[str, Any], module: str, source: str | None) -> None:
        self.text, self.module, self.source = text, module, source
        self.needs: dict[str, Any] = {key: data[key] for key in ("env", "secrets") if key in data}
        self.name, self.version, self.doc = (_string(data.get(key)) for key in ("name", "version", "doc"))

    @property
    def title(self) -> str:
        """The effe in a few words: `hello 1.0`."""
        return " ".join(part for part in (self.name or self.module, self.version) if part)


class InfoError(Exception):
    """There is no effe at the path, or its INFO cannot be read; the text is for the user."""


def embedded() -> Info | None:
    """Return what the build wrote into this .pex; None in a checkout."""
    try:
        from .. import embedded as made  # type: ignore[attr-defined]
    except ImportError:
        return None
    data = {"name": made.NAME, "version": made.VERSION, **made.NEEDS}
    return Info(made.INFO, data, made.MODULE, None)


def details(known: Info) -> str:
    """Return as one JSON document INFO, the Python that runs it, and what a .pex carries of its making.

    That is the build record, the lock and the bill of materials.

    In a checkout, and for what an effe has none of, the value is null.
    """
    import json

    told: dict[str, Any] = {"info": json.loads(known.text), "build": None, "lock": None, "sbom": None}
    told["python"] = _python()
    pex = os.environ.get("PEX", "")
    if os.path.isfile(pex):
        from zipimport import zipimporter

        for key, name in (("build", "build.json"), ("lock", "pylock.toml"), ("sbom", "sbom.cdx.json")):
            try:
                data = zipimporter(pex).get_data(os.path.join(pex, "__effe__", name))
            except OSError:
                continue
            told[key] = data.decode() if key == "lock" else json.loads(data)
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def _python() -> dict[str, Any]:
    """Return which Python runs this, whether the file's compiled code is for it, and why it was taken."""
    try:
        from .. import embedded as made  # type: ignore[attr-defined]
    except ImportError:
        why = compiled = None
    else:
        compiled = type(made.__loader__).__name__ == "Importer"  # of the straight start: the loader's
        if os.environ.get("EFFE_PYTHON"):
            why = "EFFE_PYTHON names it"
        elif compiled:
            why = "the first found that this file has compiled code for"
        else:
            why = "none was found that this file has compiled code for, or a PEX_ variable or file chose it"
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    version = ".".join(map(str, sys.version_info[:3]))
    return {"version": version, "executable": sys.executable, "gil": gil, "compiled": compiled, "why": why}


def read(path: str | None) -> Info:
    """Read INFO of the effe at `path` (a .py file, or a directory with logic.py; None: this one).

    Raises InfoError when there is none, or it is neither a string of JSON nor a literal.
    """
    source = os.path.join(path or ".", "logic.py") if path is None or os.path.isdir(path) else path
    try:
        with open(source, "rb") as file:
            text = file.read()
    except OSError as error:
        what = "give a .py file or a directory with logic.py"
        raise InfoError(f"no effe at {source}: {error.strerror}; {what}") from None
    import ast

    try:
        tree = ast.parse(text, source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise InfoError(f"{source}:{line or 1}: {getattr(error, 'msg', error)}") from None
    module = os.path.splitext(os.path.basename(source))[0]
    for node in tree.body:
        targets = [
            getattr(node, "target", None),
            *getattr(node, "targets", ()),
        ]  # INFO: str = ..., INFO = ...
        value = getattr(node, "value", None)
        if value and any(isinstance(target, ast.Name) and target.id == "INFO" for target in targets):
            try:
                literal = ast.literal_eval(value)
            except (ValueError, TypeError, RecursionError):
                raise InfoError(f"{source}:{node.lineno}: INFO is computed; write it as a literal") from None
            return _made(literal, module, source, node.lineno)
    return Info("{}", {}, module, source)


def _made(literal: Any, module: str, source: str, line: int) -> Info:
    import json

    try:
        data = json.loads(literal) if isinstance(literal, str) else literal
        text = literal if isinstance(literal, str) else json.dumps(literal, ensure_ascii=False)
    except (ValueError, TypeError) as error:
        raise InfoError(f"{source}:{line}: INFO is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InfoError(f"{source}:{line}: INFO is not a JSON object")
    return Info(text, data, module, source)


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
