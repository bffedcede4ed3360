"""Render somebody else's template in a process of its own: bounded in time, memory and output, without files.

jinja2's sandbox keeps a template from Python's inside; it does not bound what an expression costs, and says so
("Sandbox" in its documentation). The bounds are the system's: setrlimit(2), before the template is looked at.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Place, ScaffoldError
from .render import MAX_TEXT, faulty, render

__all__ = ["main", "render_apart"]

CPU = 3  # seconds
MEMORY = 512 * 1024 * 1024  # bytes of address space
PATIENCE = 60.0  # seconds, on a machine that does much else
# Not the template's directory, nor the user's, on sys.path.
PROGRAM = "import sys; sys.path[:] = [p for p in sys.path if p]; from effetool.templating.sandbox import main; main()"


def render_apart(sources: Mapping[str, str], values: Mapping[str, object], origin: Path) -> dict[str, str]:
    """Render as `render` does, in a bounded process.

    Raises:
        ScaffoldError: E203, also when it takes too long, needs too much memory or ends the process.
    """
    task = json.dumps({"sources": dict(sources), "values": dict(values), "origin": str(origin)})
    with tempfile.TemporaryFile() as answer:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=answer, stderr=subprocess.DEVNULL
        )
        try:
            process.communicate(task.encode("utf-8", "surrogatepass"), PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            raise faulty(f"it did not end within {CPU} s of CPU and {MEMORY // 1024**2} MiB of memory", origin)
        answer.seek(0)
        said: dict[str, Any] = json.load(answer)
    if "files" in said:
        return {str(name): str(text) for name, text in said["files"].items()}
    path, line = said["place"]
    raise ScaffoldError(said["message"], code=said["code"], fix=said["fix"], place=Place(Path(path), line))


def main() -> None:
    """Read a task from stdin, render, write the files or the error to stdout."""
    task = json.loads(sys.stdin.buffer.read())
    origin = Path(task["origin"])
    _warm()
    _bound()
    try:
        said: dict[str, Any] = {"files": render(task["sources"], task["values"], origin)}
    except ScaffoldError as error:
        place = error.place or Place(origin)
        said = {"message": error.message, "code": error.code, "fix": error.fix, "place": (str(place.file), place.line)}
    sys.stdout.write(json.dumps(said))


def _warm() -> None:
    """Have jinja2 import what it imports late: no file can be opened afterwards."""
    try:
        render({"a": "{{ '\\n'.b }}"}, {}, Path())
    except ScaffoldError:
        pass


def _bound() -> None:
    import resource

    bounds = {
        "RLIMIT_CPU": (CPU, CPU + 1),
        "RLIMIT_AS": (MEMORY, MEMORY),
        "RLIMIT_FSIZE": (8 * MAX_TEXT, 8 * MAX_TEXT),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_NOFILE": (3, 3),
        "RLIMIT_NPROC": (0, 0),
    }
    for name, (soft, hard) in bounds.items():
        _, most = resource.getrlimit(getattr(resource, name))
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        try:
            resource.setrlimit(getattr(resource, name), (soft, hard))
        except (OSError, ValueError):  # macOS bounds no address space; the others hold
            if name != "RLIMIT_AS":
                raise
