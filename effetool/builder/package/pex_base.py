"""The base of an artefact: what pex's command line makes, once for each set of dependencies, then kept.

pex supports its command line only ("no public code API"), so it runs as a process of this very Python and seldom.
The base has no code of the author: that is spliced into a copy of it (see `pack`).
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from ...errors import BuildError
from ..store.cache import Cache

__all__ = ["ENTRY_POINT", "make_base", "pex_environment", "pex_version"]

ENTRY_POINT = "effetool.runtime.__main__:main"
SHEBANG = "#!/usr/bin/env python3"
TIMEOUT = 600
# pex uses every core by itself; of builds that need the same base the first makes it.
MAKING = threading.Lock()


@lru_cache(maxsize=1)
def pex_version() -> str:
    """Return the version of the pex package without importing it, which takes 0.4 s.

    Raises:
        BuildError: E135 when it is not installed beside the tool.
    """
    spec = find_spec("pex")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "version.py"
        try:
            if match := re.search(r'__version__ = "([^"]+)"', path.read_text()):
                return match[1]
            refused = "it names none"
        except (OSError, UnicodeDecodeError) as error:
            refused = getattr(error, "strerror", None) or str(error)
        raise BuildError(
            f"cannot read the version of pex in {path}: {refused}",
            code="E135",
            fix=f"{sys.executable} -m pip install --force-reinstall pex",
        )
    raise BuildError("pex is not installed beside effe-tool", code="E135", fix=f"{sys.executable} -m pip install pex")


def make_base(wheels: Sequence[Path], requirements: Sequence[str], flags: Sequence[str], cache: Cache) -> bytes:
    """Return a PEX with the given wheels and no code.

    Args:
        wheels: the resolved distributions; their file names and contents key the cache.
        requirements: a requirement for each of them.
        flags: further ones for pex's command line, such as `--platform`.

    Raises:
        BuildError: E135 when pex fails, with its last lines.
    """
    digests = [(wheel.name, _digest(wheel)) for wheel in wheels]
    key = hashlib.sha256(
        repr((pex_version(), sys.version_info[:2], digests, list(requirements), list(flags), SHEBANG, 2)).encode()
    ).hexdigest()
    with MAKING:
        kept = cache.get("base", key)
        if kept is None:
            kept = _run_pex(wheels, requirements, flags, cache)
            cache.put("base", key, kept)
        return kept


def _run_pex(wheels: Sequence[Path], requirements: Sequence[str], flags: Sequence[str], cache: Cache) -> bytes:
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(prefix="effe-tool-") as folder:
        out = Path(folder) / "base.pex"
        command = [sys.executable, "-I", "-m", "pex", "-o", str(out), "--entry-point", ENTRY_POINT]
        command += ["--python-shebang", SHEBANG, "--include-tools", *flags]
        if wheels:
            shelf = Path(folder) / "wheels"
            shelf.mkdir()
            for wheel in wheels:
                (shelf / wheel.name).symlink_to(wheel.resolve())
            command += ["--intransitive", "--no-index", "--pre-resolved-dists", str(shelf), *requirements]
        environment = pex_environment(cache)
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
                env=environment, timeout=TIMEOUT, text=True, errors="replace", check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise BuildError(
                f"pex did not end within {TIMEOUT} s", code="E135", fix="try again; is the disk full or the index slow?"
            ) from error
        if done.returncode != 0 or not out.is_file():
            lines = tuple(line for line in done.stdout.splitlines() if line.strip())
            raise BuildError(
                f"pex failed: {lines[-1] if lines else f'exit code {done.returncode}'}",
                code="E135",
                fix="free some space there" if "No space left on device" in done.stdout else "effe-tool doctor",
                notes=lines[-20:],
            )
        return out.read_bytes()


def pex_environment(cache: Cache, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for pex: no variable of a user's shell may change what it makes."""
    environ = os.environ if environ is None else environ
    kept = {
        name: value
        for name, value in environ.items()
        # pex writes where XDG_CACHE_HOME has its cache into what it makes: a path of this machine.
        if not name.startswith(("PEX", "PIP_", "PYTHON", "SOURCE_DATE_EPOCH", "XDG_CACHE_HOME"))
    }
    if cache.root is not None:
        kept["PEX_ROOT"] = str(cache.root / "pex")
    return kept


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
