"""The one cache folder: whose it must be, and what is done without one."""

from __future__ import annotations

import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from effetool.builder import Options, build, virtualenv
from effetool.builder.resolve.index import read_index
from effetool.builder.store import files
from effetool.effe.project import find_one
from effetool.effe.script import Script


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A user without HOME and without an entry in passwd, as a container's `--user 12345`."""

    def unknown(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    files._folder.cache_clear()
    yield
    files._folder.cache_clear()


@pytest.mark.usefixtures("homeless")
def test_a_build_needs_no_home_directory(tmp_path: Path) -> None:
    """It works with an empty cache of its own, makes no folder named `~`, and says that nothing is kept."""
    (tmp_path / "hi.py").write_text(
        'INFO = {"name": "hi", "version": "1.0"}\n\n\ndef run(context, error, response, request):\n    pass\n'
    )
    artifact = build(find_one(tmp_path / "hi.py"), Options())
    assert artifact.path.is_file()
    assert [warning.code for warning in artifact.warnings] == ["E162"]
    assert not (tmp_path / "~").exists()
    read_index()


@pytest.mark.usefixtures("homeless")
def test_an_environment_is_never_taken_from_a_shared_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever makes `effe-tool` in the temporary folder first would choose the Python that runs the author's code."""
    made: list[Path] = []
    monkeypatch.setattr(virtualenv, "_make", lambda folder, *rest: made.append(folder))
    virtualenv.environment(Script(None, ("no-such-distribution-here",), (None,)))
    (folder,) = made
    assert folder.is_relative_to(files.cache_folder())
    assert files.cache_folder() != tmp_path / "tmp" / "effe-tool"
    assert files.cache_folder().stat().st_mode & 0o777 == 0o700


def test_an_environment_is_kept_in_the_cache_of_builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A link in its place, which another user may have made, is not followed."""
    made: list[Path] = []
    monkeypatch.setattr(virtualenv, "_make", lambda folder, *rest: made.append(folder))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").mkdir()
    for base in (tmp_path / "good", tmp_path / "cache"):
        (tmp_path / "cache" / "effe-tool").unlink(missing_ok=True)
        (tmp_path / "cache" / "effe-tool").symlink_to(tmp_path / "elsewhere")
        monkeypatch.setenv("XDG_CACHE_HOME", str(base))
        virtualenv.environment(Script(None, ("no-such-distribution-here",), (None,)))
    assert made[0].parent == tmp_path / "good" / "effe-tool" / "environments"
    assert not made[1].is_relative_to(tmp_path / "cache")
    assert files.unusable_cache() == tmp_path / "cache" / "effe-tool"
