"""Which Pythons this is made for: one number, and what follows from it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from effetool.builder.interpreters import NEWEST, OLDEST, find_pythons
from effetool.builder.package.bytecode import compile_for
from effetool.builder.resolve.target import MINORS, read_pythons
from effetool.builder.store.cache import Cache
from effetool.builder.verify.python_support import ADDED, REMOVED

ROOT = Path(__file__).resolve().parents[2]


def test_a_new_python_is_one_number() -> None:
    """It fails on a Python that is newer than `NEWEST`, and where that is not tested or not documented."""
    assert sys.version_info[1] <= NEWEST, "a new Python: raise NEWEST in builder/interpreters.py, then run make pythons"
    script = (ROOT / "tests/pythons.sh").read_text()
    tested = re.search(r"^pythons=\((.*)\)$", script, re.MULTILINE)
    assert tested is not None and tested[1].split()[-1] == f"3.{NEWEST}"
    assert f"3.{OLDEST} to 3.{NEWEST}" in (ROOT / "docs/explanation/start.md").read_text()
    # The next one is thought of, so that no wheel of today promises it.
    assert MINORS[-1] == (3, NEWEST + 1) and read_pythons(f">=3.{NEWEST}") == [(3, NEWEST), (3, NEWEST + 1)]


def test_what_is_here_is_found(tmp_path: Path) -> None:
    """By its exact name on PATH, newer than all that was tried, too; and the one that runs this."""
    newer = tmp_path / f"python3.{NEWEST + 1}"
    newer.write_text("#!/bin/sh\n")
    newer.chmod(0o755)
    found = find_pythons({**os.environ, "PATH": f"{tmp_path}:/nowhere"})
    assert found[NEWEST + 1] == newer and sys.version_info[1] in found
    assert min(found) >= OLDEST


def test_each_python_that_is_here_has_the_library_that_is_promised() -> None:
    """Modules that came or went from one Python to the next are the ones that `promise` knows."""
    asked = "import sys; print(*(name for name in sys.stdlib_module_names if name[0] != '_'))"
    libraries = {}
    for minor, path in sorted(find_pythons().items()):
        if minor > 9:  # which has no such list
            said = subprocess.run([path, "-ISc", asked], check=True, capture_output=True, text=True)
            libraries[minor] = set(said.stdout.split())
    assert libraries
    for minor, library in libraries.items():
        assert {name for name, since in ADDED.items() if since > minor}.isdisjoint(library)
        assert {name for name, until in REMOVED.items() if until <= minor}.isdisjoint(library)
    for (older, before), (newer, after) in pairwise(libraries.items()):
        assert {name for name in after - before if not older < ADDED.get(name, 0) <= newer} == set()
        assert {name for name in before - after if not older < REMOVED.get(name, 0) <= newer} == set()


def test_each_python_that_is_here_compiles_the_runtime() -> None:
    """All of it, to the same bytes in another process: its marshal format is known, with what its compiler folds."""
    sources = [(path.name, path.read_bytes()) for path in sorted((ROOT / "effetool/runtime").rglob("*.py"))]
    sources.append(
        ("constants.py", b"def f(x): return x[1:2], x[:-1:3], (1, 2.5, 3j, 2**70, 'a', b'b', ..., None), {1, 2} & x")
    )
    pythons = find_pythons()
    first, second = (compile_for(pythons, sources, Cache(None)) for _ in range(2))
    assert set(first) == set(pythons) and first == second
    for minor, (_, codes) in first.items():
        assert all(codes), f"3.{minor}"
