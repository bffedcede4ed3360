"""Which declaration wins, and how a malformed one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from effetool.builder.requirements.declaration import find_lock, lock_path, read_declaration
from effetool.effe.project import find_one
from effetool.errors import DependencyError

from ..shelf import LOGIC, make_effe, make_plain

PYPROJECT = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["four>=4"]\n'
LOCK = 'lock-version = "1.0"\ncreated-by = "t"\n\n[[packages]]\nname = "two"\nversion = "2"\nwheels = []\n'


def test_the_first_that_is_there_wins(tmp_path: Path) -> None:
    """The block, pylock.toml, requirements.txt, pyproject.toml: each hides those after it, even with nothing in it."""
    project = make_plain(tmp_path, pyproject_toml=PYPROJECT)
    found = read_declaration(project)
    assert (found.origin, [r.name for r in found.requirements], found.requires_python) == (
        "[project] of pyproject.toml", ["four"], ">=3.10",
    )  # fmt: skip
    (tmp_path / "requirements.txt").write_text("three==3 # a comment\n\n-i https://index/simple\n")
    found = read_declaration(find_one(tmp_path))
    assert (found.origin, [r.name for r in found.requirements], found.options) == (
        "requirements.txt", ["three"], ("--index-url https://index/simple",),
    )  # fmt: skip
    (tmp_path / "pylock.toml").write_text(LOCK)
    assert read_declaration(find_one(tmp_path)).lock == tmp_path / "pylock.toml"
    found = read_declaration(make_effe(tmp_path))
    assert (found.origin, found.requirements) == ("the script block of logic.py", ())


def test_nothing_is_declared(tmp_path: Path) -> None:
    """No file, no dependencies."""
    assert read_declaration(make_plain(tmp_path)).file is None


def test_a_single_file_has_a_lock_of_its_own_name(tmp_path: Path) -> None:
    """Several single files lie in one directory: pylock.NAME.toml, as PEP 751 allows."""
    (tmp_path / "mail.py").write_text(LOGIC)
    project = find_one(tmp_path / "mail.py")
    assert (lock_path(project).name, find_lock(project)) == ("pylock.mail.toml", None)
    (tmp_path / "pylock.toml").write_text(LOCK)
    assert find_lock(project) == tmp_path / "pylock.toml"


@pytest.mark.parametrize(
    ("name", "text", "line", "says"),
    [
        ("requirements.txt", "one\ntwo three\n", 2, "neither a version"),
        ("requirements.txt", "-e ../x\n", 1, "no meaning in a build"),
        ("requirements.txt", "-r requirements.txt\n", 1, "cannot follow"),
        ("pyproject.toml", "[project\n", 1, "not TOML"),
        ("pyproject.toml", '[project]\nname = "x"\ndynamic = ["dependencies"]\n', 3, "dynamic"),
        ("pyproject.toml", '[project]\nname = "x"\ndependencies = ["a b"]\n', 3, "neither a version"),
        ("pyproject.toml", '[project]\nname = "x"\nrequires-python = "new"\n', 3, "requires-python"),
    ],
)
def test_a_malformed_declaration_is_placed(tmp_path: Path, name: str, text: str, line: int, says: str) -> None:
    """E142 with file and line."""
    make_plain(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(DependencyError, match=says) as caught:
        read_declaration(find_one(tmp_path))
    place = caught.value.place
    assert (caught.value.code, place and place.file, place and place.line) == ("E142", tmp_path / name, line)


def test_a_secret_in_a_url_is_refused(tmp_path: Path) -> None:
    """The block travels in the artefact as it is written: a token in it would too."""
    with pytest.raises(DependencyError, match="secret") as caught:
        read_declaration(make_effe(tmp_path, "alpha @ https://user:token@host/alpha-1.0-py3-none-any.whl"))
    assert caught.value.code == "E142" and "token" not in caught.value.message


def test_continued_lines_and_digests(tmp_path: Path) -> None:
    """What pip-compile and uv write."""
    digest, other = "a" * 64, "b" * 64
    text = f"one==1 \\\n    --hash=sha256:{digest} \\\n    --hash=sha256:{other}\n    # via two\n"
    found = read_declaration(make_plain(tmp_path, requirements_txt=text))
    assert found.hashes == {"one": {digest, other}}
