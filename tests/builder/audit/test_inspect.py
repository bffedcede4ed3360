"""What an artefact says of itself: read, compared, timed, and free of what is nobody's business."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from effetool.builder import Options, build
from effetool.builder.audit.compare import compare
from effetool.builder.audit.inspect import inspect
from effetool.builder.package.sbom import SBOM
from effetool.builder.resolve import backends
from effetool.builder.verify.import_time import measure_imports, parse_imports
from effetool.effe.artifact import LEAST, RATIO, read_artifact
from effetool.effe.project import find_one
from effetool.errors import BuildError

from ..shelf import make_effe, make_wheel, serve_shelf

SECRET = "s3cr3t-t0ken"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """The same effe with two versions of a dependency, from an index that wants a password; then the first by pip."""
    folder = tmp_path_factory.mktemp("built")
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        del os.environ[name]
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    os.environ["NO_PROXY"] = "127.0.0.1"
    shelf = folder / "shelf"
    try:
        with serve_shelf(shelf, "robot", SECRET) as running:
            configuration = folder / "pip.conf"
            url = running.url.replace("//", f"//robot:{SECRET}@")
            configuration.write_text(f"[global]\nindex-url = {url}/simple\n")
            os.environ["PIP_CONFIG_FILE"] = str(configuration)
            artefacts = []
            for version in ("1.0", "2.0"):
                make_wheel(shelf, "alpha", version, requires=["beta"])
                make_wheel(shelf, "beta")
                project = make_effe(folder / f"effe{version}", f"alpha=={version}", imports="import alpha")
                out = folder / f"{version}.pex"
                artefacts.append(build(project, Options(out=out)).path)
            os.environ["XDG_CACHE_HOME"] = str(folder / "another cache")
            with pytest.MonkeyPatch.context() as without:
                without.setattr(backends, "find_uv", lambda: None)
                project = find_one(folder / "effe1.0")
                artefacts.append(build(project, Options(out=folder / "pip.pex")).path)
            (folder / "address").write_text(running.url.removeprefix("http://"))
            yield artefacts
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.slow
def test_no_credentials_and_no_index_in_the_artefact(built: list[Path]) -> None:
    """Not one byte of user, token or address, in any entry, unpacked."""
    for path in built:
        with zipfile.ZipFile(path) as archive:
            entries = [archive.read(name) for name in archive.namelist()]
        address = (path.parent / "address").read_bytes()
        for needle in (SECRET.encode(), b"robot:", address, os.environ["PIP_CONFIG_FILE"].encode()):
            assert needle not in path.read_bytes()
            assert not any(needle in data for data in entries), needle


@pytest.mark.slow
def test_both_resolvers_give_the_same_artefact(built: list[Path]) -> None:
    """uv or pip, empty cache or not: the same bytes, which import what was declared."""
    assert built[0].read_bytes() == built[2].read_bytes()
    asked = [sys.executable, str(built[2]), "-c", "import alpha, beta; print(alpha.version, beta.version)"]
    done = subprocess.run(asked, env={**os.environ, "PEX_INTERPRETER": "1"}, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("1.0 1.0\n", 0), done.stderr


@pytest.mark.slow
def test_inspection_tells_what_is_in_it(built: list[Path]) -> None:
    """Dependencies with digests, lock, bill, Python, sizes: all of it agrees, no code is run."""
    found = inspect(built[0])
    assert [(one["name"], one["version"]) for one in found.distributions] == [("alpha", "1.0"), ("beta", "1.0")]
    assert found.lock is not None and all(one["sha256"] in found.lock for one in found.distributions)
    components = found.sbom and found.sbom["components"]
    assert isinstance(components, list) and len(components) == 3
    assert found.requires_python == ">=3.9" and set(found.files) == {"logic.py"}
    assert {part.name for part in found.parts} >= {"logic", "runtime", "alpha 1.0", "beta 1.0", "pex", "records"}
    assert sum(part.packed for part in found.parts) < found.artifact.size
    assert json.loads(json.dumps(found.as_dict()))["sha256"] == found.artifact.digest


@pytest.mark.slow
def test_two_artefacts_are_compared(built: list[Path]) -> None:
    """The dependency and the file that declares it differ, nothing else; an artefact is identical to itself."""
    found = compare(built[0], built[1])
    assert [(one.kind, one.name) for one in found.differences] == [("file", "logic.py"), ("dependency", "alpha")]
    assert found.differences[1].before is not None and found.differences[1].before.startswith("1.0 (sha256 ")
    same = compare(built[0], built[0])
    assert same.identical and not same.differences


def test_what_is_no_artefact_is_refused(tmp_path: Path) -> None:
    """E131, for a file, a zip and nothing at all."""
    (tmp_path / "text").write_text("x")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("a", "b")
    for name in ("text", "zip", "missing"):
        with pytest.raises(BuildError) as caught:
            inspect(tmp_path / name)
        assert caught.value.code == "E131"


@pytest.mark.slow
def test_what_is_cut_off_or_damaged_is_refused(built: list[Path], tmp_path: Path) -> None:
    """E131 with what is lacking, and with the name of the damaged file; INFO is read from what is whole."""
    whole = bytearray(built[0].read_bytes())
    path = tmp_path / "copy.pex"
    for size in (5000, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(BuildError, match=f"incomplete: {size} of {len(whole)} bytes"):
            read_artifact(path)
    with zipfile.ZipFile(built[0]) as archive:
        entry = archive.getinfo("effetool/runtime/server/server.py")
    whole[entry.header_offset + 200] ^= 4
    path.write_bytes(whole)
    assert read_artifact(path).info.name
    with pytest.raises(BuildError, match=r"damaged in effetool/runtime/server/server\.py: "):
        inspect(path)


@pytest.mark.slow
def test_what_is_larger_than_it_could_be_is_refused(built: list[Path], tmp_path: Path) -> None:
    """A megabyte of zeros that was a gigabyte is not inflated: neither a record nor another file."""
    large = LEAST + RATIO * built[0].stat().st_size  # the more Pythons it is compiled for, the larger it is
    for name, size in (("data.bin", large), (SBOM, 17 << 20)):
        path = shutil.copy(built[0], tmp_path / "bomb.pex")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a second file of that name
            with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as file:
                for _ in range(size >> 20):
                    file.write(bytes(1 << 20))
        with pytest.raises(BuildError) as caught:
            inspect(path)
        assert caught.value.code == "E131"


def test_import_times_become_a_tree() -> None:
    """A module comes after what it imported."""
    text = """\
import time: self [us] | cumulative | imported package
import time:        10 |         10 |   b
import time:         5 |          5 |     d
import time:        20 |         25 |   c
import time:       100 |        135 | a
noise
import time:         7 |          7 | e
"""
    tree = parse_imports(text.splitlines())
    assert [(one.name, one.whole, [child.name for child in one.children]) for one in tree] == [
        ("a", 135, ["b", "c"]),
        ("e", 7, []),
    ]
    assert tree[0].children[1].children[0].name == "d"


@pytest.mark.slow
def test_the_start_of_an_artefact_is_told(tmp_path: Path) -> None:
    """Started for real: the server and what it needs are in the tree."""
    artefact = build(make_effe(tmp_path / "effe"), Options(out=tmp_path / "hello.pex"))
    names = {one.name for one in measure_imports(artefact.path)}
    assert any(name.startswith("effetool.runtime") for name in names)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("at", "value"), [(10, 12), (10, 14), (8, 1), (8, 0x20)], ids=["bz2", "lzma", "secret", "patch"]
)
def test_an_entry_that_no_build_writes_is_refused(built: list[Path], tmp_path: Path, at: int, value: int) -> None:
    """Compressed by what fails in its own way, or encrypted: E131 before anything of it is read."""
    raw = bytearray(built[0].read_bytes())
    raw[raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"PEX-INFO")) + at] = value
    (tmp_path / "odd.pex").write_bytes(raw)
    with pytest.raises(BuildError, match="no build writes") as caught:
        read_artifact(tmp_path / "odd.pex")
    assert caught.value.code == "E131"
