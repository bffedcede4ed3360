"""The same inputs give the same bytes, whoever builds them, where, when, and by which Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import effetool
from effetool.builder import Options, build, build_many
from effetool.builder.interpreters import find_pythons
from effetool.builder.verify.reproducible import first_difference
from effetool.effe.project import find_all, find_one
from effetool.errors import BuildError

LOGIC = """# /// script
# requires-python = "==3.11.*"
# ///
INFO = {"name": "same", "version": "1.0"}
def run(context, error, response, request):
    response.write({"α", "β", "γ"} and "same")
"""
PROGRAM = """
import sys
from pathlib import Path
from effetool.builder import Options, build
from effetool.effe.project import find_one
print(build(find_one(Path(sys.argv[1])), Options(out=Path(sys.argv[2]))).digest)
"""
NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's are the user's alone."""
    folder = Path(tempfile.mkdtemp(prefix="effe-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def make_effe(root: Path) -> Path:
    (root / "lib").mkdir(parents=True)
    (root / "logic.py").write_text(LOGIC)
    (root / "lib/more.py").write_text("NAMES = {'a', 'b', 'c'}\n")
    (root / "data.txt").write_text("datum")
    return root


def other_tool(python: Path, folder: Path) -> Path:
    """This tool in an environment of another Python, where only what a build needs is: pex."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    (site,) = folder.glob("lib/python3.*/site-packages")
    import pex

    shutil.copytree(Path(effetool.__file__).parent, site / "effetool", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "pex").symlink_to(Path(pex.__file__).parent)
    return folder / "bin/python"


def built_by(python: Path, effe: Path, out: Path, **options: object) -> str:
    done = subprocess.run(
        [python, "-c", PROGRAM, effe, out],
        **{"capture_output": True, "text": True, "timeout": 120, "check": False, **options},  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("minor", [minor for minor in sorted(find_pythons()) if minor > 11])
def test_another_python_runs_the_tool(minor: int, tmp_path: Path) -> None:
    """pex packs other files on Python 3.12 than on 3.11; what differs is never used and left out."""
    effe = make_effe(tmp_path / "same")
    made = build(find_one(effe), Options(out=tmp_path / "made.pex"))
    python = other_tool(find_pythons()[minor], tmp_path / "other")
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    digest = built_by(python, effe, tmp_path / "other.pex", env=variables)
    assert digest == made.digest, first_difference(made.path.read_bytes(), (tmp_path / "other.pex").read_bytes())


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_with_another_umask_at_another_place(open_folder: Path, tmp_path: Path) -> None:
    """A user without a home, whose files others may not read."""
    python = next((p for p in (Path("/usr/bin/python3.11"), Path("/usr/local/bin/python3.11")) if p.exists()), None)
    if python is None or not os.access(python, os.X_OK):
        assert "CI" not in os.environ, "python3.11 is not where another user may run it: tests/parts.sh"
        pytest.skip("no python3.11 that another user may run")
    try:
        tool = other_tool(python, open_folder / "tool")
    except subprocess.CalledProcessError:
        assert "CI" not in os.environ, "python3.11-venv is missing: tests/parts.sh"
        pytest.skip("python3.11-venv is missing")
    pex = (tool.parents[1] / "lib").glob("python3.*/site-packages/pex")
    for link in pex:
        target = link.resolve()
        link.unlink()
        shutil.copytree(target, link)
    mine = make_effe(tmp_path / "same")
    theirs = make_effe(open_folder / "elsewhere/quite")
    out = open_folder / "out"
    out.mkdir()
    for path in (theirs, *theirs.rglob("*"), out):
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o700 if path.is_dir() else 0o600)
    digest = built_by(
        tool, theirs, out / "theirs.pex", user=NOBODY, group=NOBODY, extra_groups=(), umask=0o077, cwd="/",
        env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(out / "cache"), "LC_ALL": "C", "TZ": "Asia/Kathmandu"},
    )  # fmt: skip
    made = build(find_one(mine), Options(out=tmp_path / "mine.pex"))
    assert digest == made.digest, first_difference(made.path.read_bytes(), (out / "theirs.pex").read_bytes())


def test_the_order_of_files_and_the_number_of_jobs_do_not_matter(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    for folder, names in (("one", "abcd"), ("two", "dcba")):
        for name in names:
            (tmp_path / folder / f"{name}.py").write_text(LOGIC.replace("same", name, 1))
    digests = []
    for folder, jobs in (("one", 1), ("two", 4)):
        options = Options(dirout=tmp_path / f"out-{folder}", jobs=jobs)
        results = build_many(find_all(tmp_path / folder), options)
        digests.append([result.artifact.digest if result.artifact else result.error for result in results])
    assert digests[0] == digests[1] and len(set(digests[0])) == 4


def test_source_date_epoch_is_the_date_of_every_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """reproducible-builds.org: a number of seconds; the artefact says so, and what is no number is refused."""
    effe = make_effe(tmp_path / "same")
    plain = build(find_one(effe), Options(out=tmp_path / "plain.pex"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    dated = build(find_one(effe), Options(out=tmp_path / "dated.pex"))
    assert dated.digest != plain.digest and dated.facts["epoch"] == "1700000000"
    with zipfile.ZipFile(dated.path) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")  # a zip has no date before 1980
    with zipfile.ZipFile(build(find_one(effe), Options(out=tmp_path / "old.pex")).path) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    for wrong in ("soon", "-1", "1" * 20):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(BuildError) as caught:
            build(find_one(effe), Options(out=tmp_path / "wrong.pex"))
        assert caught.value.code == "E136" and "SOURCE_DATE_EPOCH" in caught.value.message


@pytest.mark.slow
def test_check_finds_what_is_not_the_same(tmp_path: Path) -> None:
    """Under `--check` the file changes between the two builds: the part is named, and nothing is written."""
    effe = make_effe(tmp_path / "same")
    marker = effe / "data.txt"
    steps = []

    def spoil(step: object) -> None:
        steps.append(step)
        if len(steps) == 2:  # read and resolved: the first build has what it needs
            marker.write_text("other")

    with pytest.raises(BuildError) as caught:
        build(find_one(effe), Options(out=tmp_path / "made.pex", check=True), spoil)
    assert caught.value.code == "E138" and not (tmp_path / "made.pex").exists()


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    effe = make_effe(tmp_path / "same")
    one = build(find_one(effe), Options(out=tmp_path / "made.pex")).path.read_bytes()
    assert first_difference(one, one) == "nothing"
    assert first_difference(one, one[:-1]) == "the directory of the zip"
    assert first_difference(one, b"x" + one[1:]) == "the shell header"
