"""The import contracts of pyproject.toml: kept, and each broken by an import that it forbids."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
# Contract → module and an import in it: the first is a module that is there, whatever it is called next year.
BROKEN = {
    "tool": [
        ("effetool/effe/project.py", "from ..builder import options"),
        ("effetool/builder/options.py", "from .. import image"),
        ("effetool/errors.py", "from . import effe"),
        ("effetool/some.py", ""),
    ],
    "runtime": [
        ("effetool/runtime/http/headers.py", "def late():\n    from ..contract import logic"),
        ("effetool/runtime/contract/logic.py", "if TYPE_CHECKING:\n    from ..server.server import Server"),
        ("effetool/runtime/server/server.py", "def late():\n    from ..process import serve"),
        ("effetool/runtime/some.py", ""),
    ],
    "builder": [
        ("effetool/builder/store/cache.py", "from ..resolve import lock"),
        ("effetool/builder/package/writer.py", "from ..outputs import scie"),
        ("effetool/builder/outputs/scie.py", "from .. import assemble"),
        ("effetool/builder/some.py", ""),
    ],
    "circles": [
        ("effetool/runtime/http/parser.py", "from . import body"),
        ("effetool/runtime/server/core.py", "if TYPE_CHECKING:\n    from .connection import Connection"),
        ("effetool/runtime/server/states.py", "def late():\n    from . import leader"),
        ("effetool/builder/requirements/versions.py", "from . import requirement"),
        ("effetool/deploy/sizing.py", "def late():\n    from . import kubernetes"),
    ],
    "standard-library": [("effetool/runtime/flags.py", "def late():\n    import rich")],
    "http": [
        ("effetool/runtime/http/body.py", "import socket"),
        ("effetool/runtime/http/upload.py", "def late():\n    import threading"),
    ],
    "named": [
        ("effetool/testing/client.py", "from ..runtime.process import sockets"),
        ("effetool/develop/loop.py", "from ..runtime.http import parser"),
        ("effetool/cli/build.py", "from ..runtime import errors"),
    ],
    "typer": [("effetool/builder/options.py", "import typer"), ("effetool/doctor.py", "from typer import echo")],
    "rich": [
        ("effetool/cli/build.py", "from rich.table import Table"),
        ("effetool/builder/options.py", "def late():\n    import rich"),
    ],
    "jinja2": [("effetool/templating/scaffold.py", "import jinja2"), ("effetool/deploy/systemd.py", "import jinja2")],
    "pex": [("effetool/builder/package/pex_base.py", "def late():\n    import pex.version")],
}
CASES = [(contract, at) for contract, cases in BROKEN.items() for at in range(len(cases))]


def lint(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    command += [word for contract in contracts for word in ("--contract", contract)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "effetool", folder / "effetool", ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_every_contract_is_broken_once() -> None:
    assert {contract["id"] for contract in CONTRACTS} == {*BROKEN}


@pytest.mark.slow
def test_the_contracts_are_kept(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "at"), CASES, ids=[f"{contract}-{at}" for contract, at in CASES])
def test_a_forbidden_import_breaks_its_contract(copy: Path, contract: str, at: int) -> None:
    name, line = BROKEN[contract][at]
    path = copy / name
    assert path.exists() == bool(line), f"{name}: rename it here too"
    before = path.read_text() if line else ""
    try:
        path.write_text(f"{before}\n{line}\n")
        ast.parse(path.read_text())
        done = lint(copy, contract)
    finally:
        if line:
            path.write_text(before)
        else:
            path.unlink()
    assert done.returncode == 1 and "BROKEN" in done.stdout and "1 broken" in done.stdout, done.stdout + done.stderr


def circles(graph: grimp.ImportGraph) -> list[str]:
    """Return each module that a package above it imports, and that imports that package again, itself or by others."""
    return [
        f"{package} -> {module}"
        for package in sorted(graph.modules)
        for module in sorted(graph.find_modules_directly_imported_by(package))
        if module.startswith(f"{package}.") and graph.chain_exists(importer=module, imported=package)
    ]


def test_no_package_and_module_in_it_import_each_other() -> None:
    """acyclic_siblings compares siblings only."""
    graph = grimp.build_graph("effetool", cache_dir=None)
    assert circles(graph) == []
    graph.add_import(importer="effetool.cli.plain", imported="effetool.cli")
    assert circles(graph) == ["effetool.cli -> effetool.cli.plain"]
