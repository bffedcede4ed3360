"""pylock.toml: what we write, `packaging` reads; what others write, we read."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from effetool.builder.interpreters import find_uv
from effetool.builder.resolve.lock import File, Pin, join_pins, read_lock, write_lock
from effetool.builder.resolve.resolve import resolve
from effetool.builder.resolve.target import Target, this_platform
from effetool.errors import DependencyError

from ..shelf import Shelf, Wishes, make_effe, make_plain, make_sdist, make_wheel

DIGEST = "ab" * 32


def test_both_forms_are_valid(shelf: Shelf, tmp_path: Path) -> None:
    """PEP 751, by `packaging`: the author's lock with URLs, the artefact's with names."""
    make_wheel(shelf.folder, "alpha", requires=["beta"])
    make_sdist(shelf.folder, "beta")
    found = resolve(make_effe(tmp_path / "effe", "alpha"), Wishes(lock=True))
    written = (tmp_path / "effe" / "pylock.toml").read_text()
    for text in (written, found.lock):
        read = Pylock.from_dict(tomllib.loads(text))
        read.validate()
        assert [str(package.name) for package in read.packages] == ["alpha", "beta"]
    assert shelf.url in written and shelf.url not in found.lock


def test_uv_installs_from_what_is_written(shelf: Shelf, tmp_path: Path) -> None:
    """The author's lock is no private format."""
    make_wheel(shelf.folder, "alpha", requires=["beta"])
    make_wheel(shelf.folder, "beta")
    resolve(make_effe(tmp_path / "effe", "alpha"), Wishes(lock=True))
    lock, target = tmp_path / "effe" / "pylock.toml", tmp_path / "target"
    command = [
        find_uv() or "uv",
        "pip",
        "install",
        "--python",
        sys.executable,
        "--target",
        str(target),
        "-r",
        str(lock),
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert sorted(path.name for path in target.glob("*.py")) == ["alpha.py", "beta.py"]


@pytest.mark.slow
def test_a_lock_of_uv_is_read(shelf: Shelf, tmp_path: Path) -> None:
    """`uv pip compile --universal` with markers: each Python takes its own."""
    make_wheel(shelf.folder, "alpha", requires=['beta; python_version < "3.11"', "gamma"])
    make_wheel(shelf.folder, "beta")
    make_wheel(shelf.folder, "gamma")
    asked, lock = tmp_path / "in.txt", tmp_path / "pylock.toml"
    asked.write_text("alpha\n")
    command = [
        find_uv() or "uv",
        "pip",
        "compile",
        str(asked),
        "-o",
        str(lock),
        "--universal",
        "--python-version",
        "3.9",
    ]
    command += ["--default-index", f"{shelf.url}/simple"]
    subprocess.run(command, check=True, capture_output=True)
    read = read_lock(lock)
    names = {minor: [pin.name for pin in read.select(Target((3, minor), this_platform()))] for minor in (10, 11)}
    assert names == {10: ["alpha", "beta", "gamma"], 11: ["alpha", "gamma"]}


def test_credentials_are_not_written() -> None:
    """Neither user nor password, nor a signature in the query."""
    pin = Pin("alpha", "1", (File("alpha-1-py3-none-any.whl", "https://u:secret@h/a.whl?sig=secret#x", DIGEST),))
    text = write_lock([pin], ">=3.9", {}, urls=True)
    assert "secret" not in text and 'url = "https://h/a.whl"' in text


def test_answers_that_differ_get_markers() -> None:
    """A pin that only some targets have says which; the same pin for all says nothing."""
    old, new = Target((3, 9), this_platform()), Target((3, 12), this_platform())
    wheel = File("a-1-py3-none-any.whl", "", DIGEST)
    joined = join_pins({old: [Pin("a", "1", (wheel,)), Pin("b", "1", (wheel,))], new: [Pin("a", "1", (wheel,))]})
    assert [(pin.name, pin.marker) for pin in joined] == [("a", None), ("b", "python_version == '3.9'")]


@pytest.mark.parametrize(
    "text",
    [
        "lock-version = 1",
        'lock-version = "2.0"',
        'lock-version = "1.0"\npackages = 3',
        'lock-version = "1.0"\n[[packages]]\nversion = "1"',
        'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1"',
        'lock-version = "1.0"\n[[packages]]\nname = "a"\nmarker = "x y z"\nwheels = [{name = "a.whl", path = "a.whl"}]',
        'lock-version = "1.0"\n[[packages]]\nname = "a"\nwheels = [{name = "../../a.whl", url = "https://h/a.whl"}]',
        'lock-version = "1.0"\n[[packages]]\nname = "a"\nwheels = [{name = "a.whl", hashes = {sha256 = "x"}}]',
    ],
)
def test_a_malformed_lock_is_refused(tmp_path: Path, text: str) -> None:
    """E142, and a name in it never leads out of the cache."""
    make_plain(tmp_path, pylock_toml=text)
    with pytest.raises(DependencyError) as caught:
        read_lock(tmp_path / "pylock.toml")
    assert caught.value.code == "E142"
