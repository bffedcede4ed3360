"""effetool.deploy.effes: which effes are deployed together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from effetool.builder import build
from effetool.builder.options import Options
from effetool.deploy import find_effes
from effetool.effe.project import find_one
from effetool.errors import DeployError, InfoError, SourceError

SOURCE = (
    'INFO = {{"name": "{name}", "version": "{version}"}}\n\n\ndef run(context, error, response, request):\n    pass\n'
)


def write(path: Path, name: str, version: str = "1.0") -> Path:
    """Write an effe to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SOURCE.format(name=name, version=version))
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built effe of the name hello."""
    folder = tmp_path_factory.mktemp("built")
    return build(find_one(write(folder / "hello.py", "hello")), Options(dirout=folder)).path


def test_sources_below_a_directory_sorted_by_name(tmp_path: Path) -> None:
    """Directories and single files, however deep."""
    write(tmp_path / "a" / "zebra.py", "zebra")
    write(tmp_path / "b" / "c" / "logic.py", "apple", "2.1")
    found = find_effes([tmp_path])
    assert [(effe.name, effe.version, effe.path) for effe in found] == [
        ("apple", "2.1", tmp_path / "b" / "c"),
        ("zebra", "1.0", tmp_path / "a" / "zebra.py"),
    ]
    assert found[0].place.file == tmp_path / "b" / "c" / "logic.py"


def test_without_a_path_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its direct children, as `build` takes them."""
    write(tmp_path / "hello" / "logic.py", "hello")
    monkeypatch.chdir(tmp_path)
    assert [effe.path for effe in find_effes()] == [Path("hello")]


def test_built_files(built: Path, tmp_path: Path) -> None:
    """Named, or found in a directory without sources; their INFO is read from inside."""
    (effe,) = find_effes([built])
    assert (effe.name, effe.version, effe.project) == ("hello", "1.0", None)
    assert effe.artifact is not None and effe.artifact.digest
    shutil.copy(built, tmp_path / "here.pex")
    assert [effe.path for effe in find_effes([tmp_path])] == [tmp_path / "here.pex"]
    write(tmp_path / "hello.py", "hello")
    assert [effe.path for effe in find_effes([tmp_path])] == [tmp_path / "hello.py"]


def test_one_effe_named_twice_is_one(tmp_path: Path) -> None:
    """A directory, and a file of it."""
    path = write(tmp_path / "hello.py", "hello")
    assert len(find_effes([tmp_path, path])) == 1


def test_two_of_one_name_are_refused_with_both_places(tmp_path: Path) -> None:
    """Nobody could tell which one is meant."""
    write(tmp_path / "one.py", "hello", "1.0")
    write(tmp_path / "two.py", "hello", "1.1")
    with pytest.raises(DeployError, match=r"called hello: .*one\.py \(1\.0\) and .*two\.py \(1\.1\)") as caught:
        find_effes([tmp_path])
    assert caught.value.code == "E410"
    assert str(caught.value.place).endswith("two.py:1:8")
    assert caught.value.notes[0].endswith("one.py:1:8")


def test_no_effe_and_no_name(tmp_path: Path) -> None:
    """As everywhere: E150, E114."""
    with pytest.raises(SourceError, match="no effe in"):
        find_effes([tmp_path])
    (tmp_path / "nameless.py").write_text("INFO = {}\n")
    with pytest.raises(InfoError, match="INFO has no name"):
        find_effes([tmp_path])
