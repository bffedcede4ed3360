"""What is imported and not declared, found by reading, with care for what need not be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from effetool.builder.requirements.imports import check_imports, find_undeclared
from effetool.effe.project import find_one
from effetool.errors import DependencyError

from ..shelf import LOGIC, make_effe


def effe(folder: Path, **files: str) -> list[tuple[str, bool]]:
    """Write modules (`pkg__sub` is pkg/sub.py); return what is undeclared and whether it is sure."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [(one.module, one.sure) for one in find_undeclared(find_one(folder), {"markupsafe", "google.cloud.storage"})]


def test_an_undeclared_import_is_told_with_place_and_line(tmp_path: Path) -> None:
    """E141: all that is missing in one line that can be typed, by the names of the index."""
    project = make_effe(tmp_path, "markupsafe", imports="import json, yaml\nfrom PIL import Image")
    with pytest.raises(DependencyError) as caught:
        check_imports(project, {"markupsafe"}, project.logic)
    error = caught.value
    assert (error.code, error.message) == ("E141", "yaml is imported but not declared")
    assert error.place is not None and (error.place.line, error.place.column) == (7, 14)
    assert error.fix == 'write in the script block: # dependencies = ["markupsafe", "PyYAML", "Pillow"]'


@pytest.mark.parametrize(
    "text",
    [
        "import json, effetool.runtime, markupsafe._native, google.cloud.storage\nfrom distutils import core",
        "try:\n    import foo\nexcept ImportError:\n    foo = None",
        "try:\n    import foo\nexcept (ValueError, ModuleNotFoundError):\n    import bar",
        "try:\n    import foo\nexcept Exception:\n    pass",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import foo",
        "import typing as t\nif t.TYPE_CHECKING:\n    import foo",
        "import sys\nif sys.version_info < (3, 11):\n    import tomli\nelse:\n    import tomllib",
        "import os\nif os.name == 'nt':\n    import winfoo",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import foo",
        "if __name__ == '__main__':\n    import foo",
        "if False:\n    import foo",
    ],
)
def test_what_need_not_be_there_is_no_error(tmp_path: Path, text: str) -> None:
    """Standard library, what was in it, own runtime, dependencies, namespaces, guarded imports."""
    assert effe(tmp_path, logic=f"{text}\n{LOGIC}") == []


@pytest.mark.parametrize(
    ("text", "sure"),
    [
        ("def start():\n    import foo", True),
        ("async def start():\n    import foo", True),
        ("class Context:\n    import foo", True),
        ("for n in ():\n    import foo", True),
        ("if x:\n    pass\nelse:\n    import foo", True),
        ("try:\n    import foo\nfinally:\n    pass", True),
        ("def other():\n    import foo", False),
        ("class Context:\n    def start(self):\n        import foo", False),
    ],
)
def test_only_what_certainly_runs_is_an_error(tmp_path: Path, text: str, sure: bool) -> None:
    """Top level and the functions of the contract; another function may never run."""
    assert effe(tmp_path, logic=f"{text}\n{LOGIC}") == [("foo", sure)]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("import google.cloud.bigquery", ["google.cloud.bigquery"]),
        ("from google.cloud import storage, bigquery", ["google.cloud.bigquery"]),
        ("from google import auth", ["google.auth"]),
        ("from google.cloud.storage import Blob\nimport google.cloud\nfrom google import cloud", []),
    ],
)
def test_of_a_namespace_only_what_is_declared_is_there(tmp_path: Path, text: str, missing: list[str]) -> None:
    assert [name for name, _ in effe(tmp_path, logic=f"{text}\n{LOGIC}")] == missing


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("google.cloud.storage", "google-cloud-storage"),
        ("ruamel.yaml", "ruamel.yaml"),
        ("zope.interface", "zope.interface"),
        ("opentelemetry.sdk.trace", "opentelemetry-sdk"),
        ("azure.storage.blob", "azure-storage-blob"),
        ("flask", "flask"),
        ("google.cloud.unheard_of", None),
        ("azure", None),
        ("ruamel", None),
        ("unheard_of", None),
    ],
)
def test_only_a_known_distribution_is_named(tmp_path: Path, module: str, name: str | None) -> None:
    """What merely sounds like the import may be a stranger's distribution: nobody is told to install that."""
    with pytest.raises(DependencyError) as caught:
        check_imports(make_effe(tmp_path, imports=f"import {module}"))
    fix = str(caught.value.fix)
    if name is None:
        assert (
            f"declare the distribution that {module} is from" in fix and "provided" in fix and "dependencies" not in fix
        )
    else:
        assert f'"{name}"' in fix


def test_pkg_resources_needs_an_old_setuptools(tmp_path: Path) -> None:
    with pytest.raises(DependencyError) as caught:
        check_imports(
            make_effe(tmp_path, "setuptools", "flask", imports="import pkg_resources"), {"setuptools", "flask"}
        )
    assert caught.value.fix == 'write in the script block: # dependencies = ["flask", "setuptools<81"]'


def test_vendored_code_and_what_is_provided(tmp_path: Path) -> None:
    """A folder put on sys.path is looked into; what comes from elsewhere is listed."""
    vendored = "import sys\nsys.path.insert(0, 'third')\nimport theirs, other"
    assert effe(tmp_path, logic=f"{vendored}\n{LOGIC}", third__theirs="") == [("other", True)]
    assert effe(tmp_path, logic=f"import theirs\n{LOGIC}") == [("theirs", True)]
    block = '# /// script\n# dependencies = []\n# [tool.effe]\n# provided = ["other", "gi.repository"]\n# ///\n'
    assert effe(tmp_path, logic=f"{block}import other.sub\nfrom gi.repository import Gtk\n{LOGIC}") == []


def test_a_module_that_imports_itself(tmp_path: Path) -> None:
    """`pandas.py` that imports pandas gets itself; so does a helper of that name."""
    (tmp_path / "pandas.py").write_text(f"import pandas.io\n{LOGIC}")
    with pytest.raises(DependencyError, match=r"pandas.py imports pandas.io, which is pandas.py itself"):
        find_undeclared(find_one(tmp_path / "pandas.py"), {"pandas"})
    with pytest.raises(DependencyError, match="yaml"):
        effe(tmp_path / "other", logic=f"import yaml\n{LOGIC}", yaml="import yaml")


def test_a_package_beside_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(f"import helpers.text\n{LOGIC}")
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers/text.py").write_text("")
    with pytest.raises(DependencyError, match="carries nothing beside it"):
        check_imports(find_one(tmp_path / "hello.py"))


def test_followed_through_the_modules_beside(tmp_path: Path) -> None:
    """A module beside the logic counts when it is imported, however; a test or a script does not."""
    found = effe(
        tmp_path,
        logic=f"import util\nimport pkg.sub\nfrom names import only\ndef later():\n    import lazy\n{LOGIC}",
        util="from . import other\nimport one",
        other="import two",
        pkg____init__="",
        pkg__sub="from .near import x\nfrom ..top import y",
        pkg__near="import three",
        top="import four",
        names__only="import five",
        lazy="import six_",
        tests__test_logic="import pytest",
        script="import nothing",
    )
    assert sorted(found) == [
        ("five", True), ("four", True), ("one", True), ("six_", False), ("three", True), ("two", True),
    ]  # fmt: skip


def test_a_misspelt_import_is_not_to_be_installed(tmp_path: Path) -> None:
    """What is a letter away from something that is there is named, not sought on an index."""
    with pytest.raises(DependencyError) as caught:
        check_imports(make_effe(tmp_path, imports="import jsonn"))
    assert caught.value.fix is not None and "did you mean json?" in caught.value.fix


def test_a_module_beside_a_single_file(tmp_path: Path) -> None:
    """A single file carries nothing beside it: the way out is a directory."""
    (tmp_path / "hello.py").write_text(f"import util\n{LOGIC}")
    (tmp_path / "util.py").write_text("")
    with pytest.raises(DependencyError, match="carries nothing beside it") as caught:
        check_imports(find_one(tmp_path / "hello.py"))
    assert caught.value.fix is not None and caught.value.fix.startswith("make it a directory: mkdir hello")
