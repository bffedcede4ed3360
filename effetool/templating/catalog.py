"""Templates of `new`: the tool's own by name, others' from a directory or a git repository.

What somebody else wrote is rendered in a process of its own, with bounds on its time and memory (`apart`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from .render import faulty, read_sources, render, templates_root

__all__ = ["Template", "find_template", "list_templates"]

DESCRIPTION = re.compile(r"\A\{#-?\s*(\S.*?)(?:\n\s*)?-?#\}")


@dataclass(frozen=True)
class Template:
    """One template.

    Attributes:
        name: how it was asked for.
        origin: the directory it lies in; for a repository its name, for the place of an error.
        description: one line on it.
        sources: its files, of another's template; None for the tool's own.
    """

    name: str
    origin: Path
    description: str
    sources: Mapping[str, str] | None = None

    def render(self, values: Mapping[str, object]) -> dict[str, str]:
        """Return the text of each file by its path. Raises ScaffoldError E203 when the template is faulty."""
        if self.sources is None:
            return render(read_sources(self.origin), values, self.origin)
        from .sandbox import render_apart

        files = render_apart(self.sources, values, self.origin)
        if "logic.py" not in files:
            raise faulty("it makes no logic.py", self.origin)
        return files


def list_templates() -> list[Template]:
    """Return the templates `new` offers, hello first; reads the first line of each."""
    found = []
    for directory in sorted((templates_root() / "effe").iterdir()):
        logic = directory / "logic.py.jinja"
        if logic.is_file():
            with logic.open(encoding="utf-8") as file:
                found.append(Template(directory.name, directory, _description(file.readline())))
    return sorted(found, key=lambda template: template.name != "hello")


def find_template(word: str, say: Callable[[str], None] = lambda line: None) -> Template:
    """Return the template that `word` names: a name of `list_templates`, `./directory`, or `git+https://…@tag`.

    Args:
        word: what was typed.
        say: told what takes time.

    Raises:
        UsageError: E202 with the nearest name.
        ScaffoldError: E203 when it cannot be read, E206 when a repository cannot.
    """
    if word.startswith("git+") or "://" in word:
        from .git import read_repository

        sources = read_repository(word, say)
        return Template(word, Path(), _description(sources.get("logic.py.jinja", "")), sources)
    if "/" in word or word.startswith("."):
        directory = Path(word)
        if not directory.is_dir():
            raise UsageError(f"no directory {word}", code="E202", fix="check the path: a template is a directory")
        sources = read_sources(directory)
        return Template(word, directory, _description(sources.get("logic.py.jinja", "")), sources)
    found = {template.name: template for template in list_templates()}
    if word in found:
        return found[word]
    import difflib

    near = difflib.get_close_matches(word, found, 1)
    fix = "effe-tool new --list shows all"
    if near:
        fix = f"did you mean {near[0]}? {fix}"
    elif word and Path(word).is_dir():
        fix = f"a directory is named by a path: -t ./{word}"
    raise UsageError(f"no template {word!r}", code="E202", fix=fix)


def _description(text: str) -> str:
    match = DESCRIPTION.match(text)
    return match.group(1).rstrip() if match else ""
