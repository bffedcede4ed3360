"""effetool.builder.audit.rebuild: an artefact is made again from what it says, and every byte is compared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from effetool.builder import Options, build
from effetool.builder.audit.rebuild import replay
from effetool.effe.artifact import Artifact, read_artifact
from effetool.effe.project import find_one
from effetool.errors import BuildError, DependencyError

from ..shelf import Shelf, make_effe, make_wheel

LOGIC = """# /// script
# requires-python = ">=3.9"
# dependencies = []
# ///
INFO = {"name": "twice", "version": "1.0"}
def run(context, error, response, request):
    response.write("once")
"""


@pytest.fixture(scope="module")
def effe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("replay") / "twice"
    (root / "data").mkdir(parents=True)
    (root / "logic.py").write_text(LOGIC)
    (root / "data/tool.sh").write_text("#!/bin/sh\n")
    (root / "data/tool.sh").chmod(0o755)
    return root


@pytest.fixture(scope="module")
def artifact(effe: Path) -> Artifact:
    return build(find_one(effe), Options(dirout=effe.parent))


def changed(artifact: Artifact, folder: Path, name: str) -> Path:
    """A copy with one byte of one entry's data flipped."""
    raw = bytearray(artifact.path.read_bytes())
    with zipfile.ZipFile(artifact.path) as archive:
        at = archive.getinfo(name).header_offset + 30 + len(name) + 20
    raw[at] ^= 0xFF
    copy = folder / "changed.pex"
    copy.write_bytes(raw)
    return copy


def rewritten(artifact: Artifact, folder: Path, **facts: object) -> Path:
    """A zip whose build record says something else."""
    copy = folder / "rewritten.pex"
    with zipfile.ZipFile(artifact.path) as old, zipfile.ZipFile(copy, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "__effe__/build.json":
                data = json.dumps({**json.loads(data), **facts}).encode()
            new.writestr(entry, data)
    return copy


def test_it_is_the_same_from_the_files_inside_and_from_its_source(artifact: Artifact, effe: Path) -> None:
    assert replay(artifact.path).identical
    assert replay(artifact.path, effe).identical


@pytest.mark.parametrize("name", ["__effe__/loader.py", "effetool/runtime/server/server.py", "__effe__/sbom.cdx.json"])
def test_one_byte_is_enough_and_its_part_is_named(artifact: Artifact, tmp_path: Path, name: str) -> None:
    assert replay(changed(artifact, tmp_path, name)).difference == name


def test_code_that_is_not_what_the_source_inside_gives_is_found(artifact: Artifact, tmp_path: Path) -> None:
    compiled = [
        f"__effe__/cpython-{one.replace('.', '')}.code" for one in read_artifact(artifact.path).facts["compiled"]
    ]  # type: ignore[attr-defined]
    for name in compiled:
        assert replay(changed(artifact, tmp_path, name)).difference == name


def test_the_header_counts_and_so_does_what_is_appended(artifact: Artifact, tmp_path: Path) -> None:
    copy = tmp_path / "header.pex"
    copy.write_bytes(artifact.path.read_bytes().replace(b"set -f", b"set -x", 1))
    assert replay(copy).difference == "the shell header"
    copy.write_bytes(artifact.path.read_bytes() + b"\n")
    assert replay(copy).difference == "the directory of the zip"


def test_a_changed_source_is_told_file_by_file(artifact: Artifact, effe: Path, tmp_path: Path) -> None:
    other = tmp_path / "twice"
    shutil.copytree(effe, other)
    (other / "logic.py").write_text(LOGIC.replace("once", "other"))
    found = replay(artifact.path, other)
    assert not found.identical
    assert [(one.kind, one.name) for one in found.differences if one.kind == "file"] == [("file", "logic.py")]
    (other / "logic.py").write_text(LOGIC)
    (other / "data/tool.sh").chmod(0o644)
    assert not replay(artifact.path, other).identical


@pytest.mark.slow
def test_the_commit_it_names_is_held_against_the_files(effe: Path, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    shutil.copytree(effe, root)
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True, timeout=60)
    made = build(find_one(root), Options(out=tmp_path / "made.pex"))
    assert made.facts["commit"]
    found = replay(made.path, root)
    assert (found.identical, found.commit) == (True, True)
    # A later commit of something else changes nothing.
    (root / "README.md").write_text("read me")
    for words in (["add", "."], ["commit", "-qm", "second"]):
        subprocess.run([*git, *words], check=True, timeout=60)
    assert replay(made.path, root).commit is True
    assert (replay(made.path).identical, replay(made.path).commit) == (True, None)


@pytest.mark.parametrize("facts", [{"tool": "0.0.1"}, {"pex": "1.0"}, {"python": "3.8"}, {"compiled": ["3.39"]}])
def test_what_other_versions_made_is_refused_by_name(artifact: Artifact, tmp_path: Path, facts: dict) -> None:
    with pytest.raises(BuildError) as caught:
        replay(rewritten(artifact, tmp_path, **facts))
    (value,) = facts.values()
    assert caught.value.code == "E133" and (value if isinstance(value, str) else value[0]) in caught.value.message
    assert caught.value.fix and caught.value.fix.startswith(("uvx ", "uv "))


@pytest.mark.parametrize("facts", [{"module": "\0"}, {"module": "../logic"}, {"module": 1}, {"commit": "\ud800"}])
def test_a_record_that_no_build_writes_is_refused(artifact: Artifact, tmp_path: Path, facts: dict) -> None:
    with pytest.raises(BuildError) as caught:
        replay(rewritten(artifact, tmp_path, **facts))
    assert caught.value.code == "E131"


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", "a\\b", ""])
def test_a_name_that_leads_outside_is_refused(artifact: Artifact, tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError) as caught:
        replay(rewritten(artifact, tmp_path, files={name: "0" * 64}))
    assert caught.value.code == "E131" and not (tmp_path.parent / "outside").exists()


def test_a_file_that_unpacks_to_too_much_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "bomb.pex"
    shutil.copyfile(rewritten(artifact, tmp_path, files={"bomb": "0" * 64}), path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(64 << 20))
    with pytest.raises(BuildError) as caught:
        replay(path)
    assert caught.value.code == "E131" and "bomb" in caught.value.message


@pytest.mark.slow
def test_dependencies_come_from_its_lock(tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(shelf.folder, "alpha", "1.0", requires=["beta"])
    make_wheel(shelf.folder, "beta", "1.0")
    effe = make_effe(tmp_path / "effe", "alpha", imports="import alpha")
    made = build(effe, Options(out=tmp_path / "made.pex"))
    # A newer one since then: the lock inside still names the older, also when the cache is empty.
    make_wheel(shelf.folder, "alpha", "2.0", requires=["beta"])
    make_wheel(shelf.folder, "beta", "3.0")
    assert replay(made.path, offline=True).identical
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with pytest.raises(DependencyError) as caught:
        replay(made.path, offline=True)
    assert caught.value.code == "E145"
    assert replay(made.path).identical


@pytest.mark.slow
def test_a_declaration_outside_needs_the_source(tmp_path: Path, shelf: Shelf) -> None:
    make_wheel(shelf.folder, "alpha", "1.0")
    root = tmp_path / "effe"
    root.mkdir()
    (root / "logic.py").write_text("import alpha\n" + LOGIC.partition("# ///\n")[2])
    (root / "requirements.txt").write_text("alpha\n")
    made = build(find_one(root), Options(out=tmp_path / "made.pex"))
    with pytest.raises(BuildError) as caught:
        replay(made.path)
    assert caught.value.code == "E133" and "--source" in (caught.value.fix or "")
    assert replay(made.path, root).identical


def test_a_requires_python_outside_of_the_artefact_needs_the_source(tmp_path: Path) -> None:
    (tmp_path / "logic.py").write_text(LOGIC[LOGIC.index("INFO") :])
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nrequires-python = ">=3.11"\n')
    made = build(find_one(tmp_path), Options(dirout=tmp_path / "out"))
    with pytest.raises(BuildError) as caught:
        replay(made.path)
    assert caught.value.code == "E133" and "--source" in str(caught.value.fix)
    assert replay(made.path, tmp_path).identical


@pytest.mark.parametrize("locked", [True, False])
def test_no_code_that_a_stranger_names_is_run(artifact: Artifact, tmp_path: Path, cache: Path, locked: bool) -> None:
    """Neither to resolve what is declared nor to build a wheel from the source that the lock inside names."""
    evil = tmp_path / "evil-1.0"
    evil.mkdir()
    (evil / "setup.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom setuptools import setup\nsetup(name='evil')\n"
    )
    lock = (
        'lock-version = "1.0"\ncreated-by = "x"\n[tool.effe-tool]\nrequirements = ["evil"]\n'
        f'[[packages]]\nname = "evil"\nversion = "1.0"\ndirectory = {{ path = "{evil}" }}\n'
    )
    declared = "evil" if locked else f"evil @ {evil.as_uri()}"
    block = f'# /// script\n# requires-python = ">=3.9"\n# dependencies = ["{declared}"]\n# ///\n'
    facts = {"distributions": [{"name": "evil"}] if locked else [], "python": f"3.{sys.version_info[1]}"}
    first = rewritten(artifact, tmp_path, **facts)
    path = tmp_path / "evil.pex"
    with zipfile.ZipFile(first) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(
                name, block.encode() + old.read(name).split(b"# ///\n")[-1] if name == "logic.py" else old.read(name)
            )
        if locked:
            new.writestr("__effe__/pylock.toml", lock)
    with pytest.raises(DependencyError) as caught:
        replay(path)
    assert caught.value.code == ("E145" if locked else "E144") and not (tmp_path / "ran").exists()
