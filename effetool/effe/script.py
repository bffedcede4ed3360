"""The PEP 723 block of an effe: what it needs, declared beside the code.

Source: https://packaging.python.org/en/latest/specifications/inline-script-metadata/
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass

from ..errors import DependencyError, Place
from .source import Source

__all__ = ["Script", "read_script"]

# The specification's own grammar of a block.
BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")

# What begins a block to a reader and to no tool.
NEARLY = re.compile(r"#\s*/{2,4}\s*script\s*", re.IGNORECASE)
KEYS = ("requires-python", "dependencies", "tool")


@dataclass(frozen=True)
class Script:
    """A PEP 723 block.

    Attributes:
        requires_python: a version specifier such as `>=3.9`, None when not given.
        dependencies: requirement strings (PEP 508) as written.
        places: where each dependency stands, for errors about it; None where it could not be told.
        line: the line of `# /// script`, None when the module has no block.
        provided: `provided` of its table `[tool.effe]`: imports that are there without being declared.
    """

    requires_python: str | None = None
    dependencies: tuple[str, ...] = ()
    places: tuple[Place | None, ...] = ()
    line: int | None = None
    provided: tuple[str, ...] = ()

    @property
    def present(self) -> bool:
        """Whether the module has a block."""
        return self.line is not None


def read_script(source: Source) -> Script:
    """Return the `script` block of a module, an empty Script when it has none.

    Raises:
        DependencyError: E142 when the block stands twice, is no TOML or has values of a wrong type.
    """
    text = "\n".join(source.lines) + "\n"
    blocks = [match for match in BLOCK.finditer(text) if match.group("type") == "script"]
    if not blocks:
        _refuse_unclosed(source)
        return Script()
    starts = [text.count("\n", 0, block.start()) + 1 for block in blocks]
    # One that follows at once is taken for content: a block reaches to the last `# ///` (PEP 723).
    lines = blocks[0].group("content").splitlines()
    starts[1:1] = [starts[0] + number for number, line in enumerate(lines, 1) if line.rstrip() == "# /// script"]
    if len(starts) > 1:
        raise DependencyError(
            "a second `# /// script` block",
            code="E142",
            place=Place(source.path, starts[1], 1, source.line(starts[1])),
            fix=f"keep one: move what it declares into the block of line {starts[0]}",
        )
    first = starts[0]
    content = "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in blocks[0].group("content").splitlines(keepends=True)
    )
    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        row = re.search(r"at line (\d+), column (\d+)", str(error))
        # What is not closed is noticed at the end: it began at the last line that opens a value.
        opening = [n for n, text in enumerate(content.splitlines(), 1) if re.search(r"=\s*[\[{\"']", text)]
        line = first + (int(row.group(1)) if row else max(opening, default=0))
        raise DependencyError(
            f"the script block is not TOML: {str(error).split(' (at ')[0]}",
            code="E142",
            place=Place(source.path, line, int(row.group(2)) + 2 if row else None, source.line(line)),
            fix='write dependencies = ["requests>=2"], one string for each',
        ) from None

    def wrong(key: str, takes: str) -> DependencyError:
        line = next((n for n in range(first, first + content.count("\n") + 1) if key in source.line(n)), first)
        return DependencyError(
            f"the script block: {key} takes {takes}",
            code="E142",
            place=Place(source.path, line, None, source.line(line)),
            fix={
                "dependencies": 'write dependencies = ["requests>=2"]',
                "provided": 'write provided = ["vendored"] below [tool.effe]',
            }.get(key, 'write requires-python = ">=3.9"'),
        )

    for key in [key for key in table if key not in KEYS]:
        import difflib

        if near := difflib.get_close_matches(key, KEYS, 1, 0.75):
            found = wrong(key, "nothing: there is no such key")
            raise DependencyError(found.message, code="E142", place=found.place, fix=f"did you mean {near[0]}?")
    requires = table.get("requires-python")
    if requires is not None and not isinstance(requires, str):
        raise wrong("requires-python", 'a string such as ">=3.9"')
    dependencies = table.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(entry, str) for entry in dependencies):
        raise wrong("dependencies", "a list of strings")
    tool = table.get("tool")
    effe = tool.get("effe", {}) if isinstance(tool, dict) else {}
    provided = effe.get("provided", []) if isinstance(effe, dict) else None
    if not isinstance(provided, list) or not all(isinstance(entry, str) for entry in provided):
        raise wrong("provided", "a list of strings")
    places = tuple(_place(source, first, entry) for entry in dependencies)
    return Script(requires, tuple(dependencies), places, first, tuple(provided))


def _place(source: Source, first: int, entry: str) -> Place | None:
    for number in range(first, len(source.lines) + 1):
        text = source.line(number)
        for quote in ('"', "'"):
            if (found := text.find(f"{quote}{entry}{quote}")) >= 0:
                return Place(source.path, number, found + 2, text)
        if number > first and text.startswith("# ///"):
            break
    return None


def _refuse_unclosed(source: Source) -> None:
    """Raise for a block that is not one, or has no end: pip and uv would read nothing, and say nothing."""
    for number, text in enumerate(source.lines, 1):
        if text.rstrip() != "# /// script" and NEARLY.fullmatch(text):
            raise DependencyError(
                "this line is meant to begin a script block and does not",
                code="E142",
                place=Place(source.path, number, 1, text),
                fix="write it exactly: # /// script",
            )
        if text.rstrip() == "# /// script":
            place = number + 1
            while re.fullmatch(r"#(?: .*)?", source.line(place)):
                place += 1
            if source.line(place).startswith("#"):
                raise DependencyError(
                    "this line ends the script block before its `# ///`",
                    code="E142",
                    place=Place(source.path, place, 2, source.line(place)),
                    fix="write a blank after the #",
                )
            raise DependencyError(
                "the script block has no end"
                if text == "# /// script"
                else "a blank after `# /// script` hides the block",
                code="E142",
                place=Place(source.path, number, 1, text),
                fix="end it with a line `# ///`, every line between begins with `#`",
            )
