"""effetool.templating.scaffold: a new effe from each template."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from effetool.effe.contract import check_contract
from effetool.effe.info import read_info
from effetool.effe.source import read_source
from effetool.errors import ScaffoldError, UsageError
from effetool.templating.catalog import list_templates
from effetool.templating.scaffold import NewOptions, new

NAMES = ["hello", "json", "model", "page", "sqlite", "stream", "webhook"]


def test_the_templates_there_are() -> None:
    """hello first, each with one line on it."""
    assert [template.name for template in list_templates()] == NAMES
    assert all(template.description for template in list_templates())


@pytest.mark.parametrize("template", NAMES)
def test_each_template_is_an_effe_with_tests(template: str, tmp_path: Path) -> None:
    """INFO is what was asked for, run is there, the syntax is Python 3.9's, the README names the file."""
    made = new(NewOptions(tmp_path / "mail", template=template, version="2.1", doc='Say "hi"\\'))
    info = read_info(made.root / "logic.py")
    assert (info.name, info.version, info.doc) == ("mail", "2.1", 'Say "hi"\\')
    assert "run" in check_contract(read_source(made.root / "logic.py")).functions
    for path in made.root.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    assert "./mail-2.1.pex" in (made.root / "README.md").read_text(encoding="utf-8")
    assert "def test_" in (made.root / "tests" / "test_logic.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("template", [name for name in NAMES if name != "page"])
def test_a_single_file(template: str, tmp_path: Path) -> None:
    """`mail.py` is one file and nothing beside it."""
    new(NewOptions(tmp_path / "mail.py", template=template))
    assert [path.name for path in tmp_path.iterdir()] == ["mail.py"]


def test_a_template_of_several_files_is_no_single_file(tmp_path: Path) -> None:
    """E205, and nothing is written."""
    with pytest.raises(ScaffoldError, match="more than one file") as caught:
        new(NewOptions(tmp_path / "mail.py", template="page"))
    assert caught.value.code == "E205"
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_replaced(tmp_path: Path) -> None:
    """E201 unless forced, and the file is as it was."""
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "logic.py").write_text("mine")
    with pytest.raises(ScaffoldError, match=r"already has logic\.py") as caught:
        new(NewOptions(tmp_path / "mail"))
    assert caught.value.code == "E201"
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["logic.py"]
    assert (tmp_path / "mail" / "logic.py").read_text() == "mine"


def test_a_parent_that_is_no_directory(tmp_path: Path) -> None:
    """E204 with the system's word."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ScaffoldError, match=r"Not a directory|File exists") as caught:
        new(NewOptions(tmp_path / "file" / "mail"))
    assert caught.value.code == "E204"


@pytest.mark.parametrize("name", ["json", "class", "match", "effetool", "Hello", "a/../B"])
def test_a_name_that_would_hide_another(name: str, tmp_path: Path) -> None:
    """A module of the standard library, a keyword, the runtime, or no name at all: E115, and nothing is written."""
    with pytest.raises(UsageError) as caught:
        new(NewOptions(tmp_path / name))
    assert caught.value.code == "E115"
    assert list(tmp_path.iterdir()) == []
