"""effetool.builder.outputs.scie: pex itself makes the executables, `tests.science` stands in for science and what it
joins."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from effetool.builder import Options, build, build_many
from effetool.builder.interpreters import NEWEST
from effetool.builder.resolve.target import this_platform
from effetool.effe.artifact import Artifact, read_file
from effetool.effe.project import find_all, find_one
from effetool.errors import BuildError, DependencyError, UsageError
from tests import science
from tests.parts import need
from tests.served import serve

from ..shelf import Shelf, make_wheel

MINOR = sys.version_info[1]
PYTHON = f"3.{MINOR}"
HERE = this_platform().name
OTHER = "linux-x86_64" if HERE == "linux-aarch64" else "linux-aarch64"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HERE not in science.TRIPLES, reason=f"there is no stand-in for {HERE}"),
]
LOGIC = """
import os, sys
INFO = {"name": "probe", "version": "1.0"}
def run(context, error, response, request):
    response.json({
        "python": sys.executable, "prefix": sys.prefix, "argv0": sys.argv[0], "pid": os.getpid(),
        "comm": open("/proc/self/comm").read().strip(), "pex": "pex" in sys.modules, "path": sys.path,
    })
"""
LAUNCHER = f"jump/download/v*/scie-jump-{HERE}"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return science.fill_mirror(tmp_path_factory.mktemp("mirror"), (MINOR,), (HERE, OTHER, "macos-aarch64"))


@pytest.fixture
def other(mirror: Path, tmp_path: Path) -> Path:
    """A copy of the mirror, to be spoilt."""
    return shutil.copytree(mirror, tmp_path / "other")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where executables of this test unpack themselves."""
    monkeypatch.setenv("SCIE_BASE", str(tmp_path / "base"))
    return tmp_path / "base"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An effe in a fresh working directory; no network, wherever this runs."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "work/probe").mkdir(parents=True)
    (tmp_path / "work/probe/logic.py").write_text(LOGIC)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def made(assets: Path | str | None, **wishes: object) -> Artifact:
    wishes = {"scie": "eager", "python": PYTHON, **wishes}
    return build(find_one(Path("probe")), Options(scie_assets=None if assets is None else str(assets), **wishes))


def names(folder: Path | str = ".") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir() if path.name != "probe")


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_effe_starts_straight_on_the_interpreter_inside(mirror: Path, base: Path, tmp_path: Path) -> None:
    artifact = made(mirror)
    (scie,) = artifact.scies
    assert (scie.path, scie.platform, scie.python, scie.fresh) == (Path("probe-1.0"), HERE, PYTHON, False)
    assert scie.size == scie.path.stat().st_size > 2_000_000
    assert names() == ["probe-1.0", "probe-1.0.pex"]
    with serve(["./probe-1.0"], Path.cwd(), tmp_path / "log") as effe:
        told = json.loads(effe.request("GET", "/").body)
    assert told["python"].startswith(str(base)) and told["prefix"].startswith(str(base))
    assert told["argv0"] == str(Path("probe-1.0").resolve()) and told["comm"] == "probe-1.0"
    assert not told["pex"], "the effe went through pex's boot"
    assert all(one.startswith(str(base)) for one in told["path"]), "nothing of this machine is on sys.path"


def test_workers_and_a_reload_start_the_executable_again(mirror: Path, base: Path, tmp_path: Path) -> None:
    made(mirror)
    log = tmp_path / "log"
    with serve(["./probe-1.0", "-workers", "1"], Path.cwd(), log) as effe:
        first = json.loads(effe.request("GET", "/").body)
        assert first["pid"] != effe.process.pid and first["python"].startswith(str(base))
        effe.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while '"reloaded"' not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        second = json.loads(effe.request("GET", "/").body)
    assert second["pid"] != first["pid"] and second["python"] == first["python"]


def test_the_machine_changes_nothing(mirror: Path, base: Path) -> None:
    made(mirror)
    environ = {
        "HOME": "/nowhere",
        "PATH": "/usr/bin:/bin",
        "SCIE_BASE": str(base),
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/x",
    }
    done = subprocess.run(["./probe-1.0", "-info"], env=environ, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"name": "probe", "version": "1.0"}


def test_one_executable_for_each_platform(mirror: Path) -> None:
    artifact = made(mirror, platforms=(OTHER, "macos-arm64"))
    assert names() == [f"probe-1.0-{OTHER}", "probe-1.0-macos-arm64", "probe-1.0.pex"]
    assert [scie.platform for scie in artifact.scies] == [OTHER, "macos-arm64"]
    pex = artifact.path.read_bytes()
    assert all(pex in scie.path.read_bytes() for scie in artifact.scies)
    made(mirror, platforms=(OTHER,), dirout=Path("one"))
    assert names("one") == ["probe-1.0", "probe-1.0.pex"]
    made(mirror, out=Path("two/server"))
    assert names("two") == ["server", "server.pex"]


def test_the_pex_is_the_same_with_and_without(mirror: Path) -> None:
    with_it = made(mirror)
    without = build(find_one(Path("probe")), Options(python=PYTHON, dirout=Path("plain")))
    assert with_it.digest == without.digest and without.scies == ()


def test_unchanged_is_fresh(mirror: Path) -> None:
    first = made(mirror)
    stamp = Path("probe-1.0").stat().st_mtime_ns
    again = made(mirror)
    assert again.fresh and again.scies[0].fresh and Path("probe-1.0").stat().st_mtime_ns == stamp
    assert not made(mirror, fresh=False).scies[0].fresh
    with Path("probe-1.0").open("ab") as file:
        file.write(b"x")
    repaired = made(mirror)
    assert not repaired.fresh and repaired.scies[0].digest == first.scies[0].digest
    Path("probe/more.py").write_text("")
    assert made(mirror).scies[0].digest != first.scies[0].digest


def test_built_in_the_effes_own_directory_it_does_not_go_in(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("probe")
    first = build(find_one(Path()), Options(scie="eager", scie_assets=str(mirror), python=PYTHON))
    assert build(find_one(Path()), Options(scie="eager", scie_assets=str(mirror), python=PYTHON)).fresh
    Path("probe-1.0").rename("server")
    assert build(find_one(Path()), Options(python=PYTHON)).digest == first.digest
    assert "server" not in zipfile.ZipFile(first.path).namelist()


def test_without_science_and_network(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    Path("probe-1.0").write_text("what was here before")
    with pytest.raises(BuildError, match="`science` is not on PATH and cannot be fetched") as caught:
        made(None)
    assert caught.value.code == "E147" and "science download" in str(caught.value.fix)
    assert names() == ["probe-1.0", "probe-1.0.pex"]
    assert Path("probe-1.0").read_text() == "what was here before"


def test_science_on_path_without_network(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "programs").mkdir()
    (mirror / "science").rename(tmp_path / "programs/science")
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:/usr/bin:/bin")
    try:
        assert made(mirror, offline=True).scies
    finally:
        (tmp_path / "programs/science").rename(mirror / "science")


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (lambda f: next(f.glob(LAUNCHER)).unlink(), "E147", "science: cannot fetch file:///"),
        (lambda f: next(f.glob(LAUNCHER)).write_text("#!/bin/sh\n"), "E147", "does not have the digest"),
        (
            lambda f: science._put(next(f.glob(LAUNCHER)), b"#!/bin/sh\necho no; exit 3\n"),
            "E137",
            "-info with INFO: no",
        ),
        (lambda f: shutil.rmtree(f / "providers"), "E147", f"distributions-{PYTHON}-install_only.json"),
        (lambda f: (f / "science").write_text("#!/bin/sh\necho 0.9.0\n"), "E147", "is version 0.9.0"),
    ],
)
def test_a_mirror_that_does_not_do(other: Path, spoil, code: str, message: str) -> None:
    spoil(other)
    with pytest.raises(BuildError) as caught:
        made(other)
    assert caught.value.code == code and message in caught.value.message and caught.value.fix
    assert names() == ["probe-1.0.pex"]


def test_check_builds_the_executable_twice(mirror: Path, other: Path) -> None:
    assert made(mirror, check=True).scies
    program = other / "science"
    program.write_text(
        f'#!/bin/sh\n"{sys.executable}" "{science.__file__}" "$@" || exit 1\n'
        'for word; do [ "$last" != --dest-dir ] || folder=$word; last=$word; done\n'
        '[ -z "$folder" ] || for f in "$folder"/*; do echo $$ >>"$f"; done\n'
        "exit 0\n"
    )
    with pytest.raises(BuildError) as caught:
        made(other, check=True, dirout=Path("out"))
    assert caught.value.code == "E138" and names("out") == ["probe-1.0.pex"]


def test_lazy_fetches_the_interpreter_once(mirror: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("curl")
    monkeypatch.setenv("PATH", f"{mirror}:{os.environ['PATH']}")
    with served(mirror) as url:
        artifact = made(url, scie="lazy")
        (scie,) = artifact.scies
        assert scie.size < artifact.size + 100_000, "the interpreter is not inside"
        assert not base.exists(), "the build does not start it: that would fetch"
        subprocess.run(["./probe-1.0", "-info"], check=True, capture_output=True)
    done = subprocess.run(["./probe-1.0", "-info"], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["name"] == "probe"


def test_wheels_for_several_targets_start_by_pexs_boot(mirror: Path, base: Path, shelf: Shelf, tmp_path: Path) -> None:
    for machine in (HERE.removeprefix("linux-"), OTHER.removeprefix("linux-")):
        tag = f"cp3{MINOR}-cp3{MINOR}-manylinux_2_17_{machine}"
        make_wheel(shelf.folder, "alpha", tag=tag, files={"alpha.py": f"machine = {machine!r}\n"})
    block = f'# /// script\n# requires-python = "=={PYTHON}.*"\n# dependencies = ["alpha"]\n# ///\n'
    Path("probe/logic.py").write_text(block + LOGIC.replace("import os, sys", "import alpha, os, sys"))
    artifact = made(mirror, python=None, platforms=(HERE, OTHER))
    assert [scie.path.name for scie in artifact.scies] == [f"probe-1.0-{HERE}", f"probe-1.0-{OTHER}"]
    with serve([f"./probe-1.0-{HERE}"], Path.cwd(), tmp_path / "log") as effe:
        told = json.loads(effe.request("GET", "/").body)
    assert told["pex"] and told["python"].startswith(str(base))
    assert told["argv0"] == str(Path(f"probe-1.0-{HERE}").resolve())


def test_a_compiled_wheel_for_this_machine_starts_straight(
    mirror: Path, base: Path, shelf: Shelf, tmp_path: Path
) -> None:
    make_wheel(shelf.folder, "alpha", tag=f"cp3{MINOR}-cp3{MINOR}-manylinux_2_17_{HERE.removeprefix('linux-')}")
    block = f'# /// script\n# requires-python = "=={PYTHON}.*"\n# dependencies = ["alpha"]\n# ///\n'
    Path("probe/logic.py").write_text(block + LOGIC.replace("import os, sys", "import alpha, os, sys"))
    made(mirror, python=None)
    with serve(["./probe-1.0"], Path.cwd(), tmp_path / "log") as effe:
        assert not json.loads(effe.request("GET", "/").body)["pex"]


def test_a_directory_of_effes(mirror: Path) -> None:
    for name in ("a", "b"):
        Path("effes", name).mkdir(parents=True)
        Path("effes", name, "logic.py").write_text(LOGIC.replace("probe", name))
    options = Options(scie="eager", scie_assets=str(mirror), python=PYTHON, jobs=2)
    results = build_many(find_all(Path("effes")), options, top=Path("effes"))
    assert [result.error for result in results] == [None, None]
    assert names("out") == ["a-1.0", "a-1.0.pex", "b-1.0", "b-1.0.pex"]


@pytest.mark.parametrize(
    ("wishes", "kind", "code"),
    [
        ({"scie": "soon"}, UsageError, "E147"),
        ({"scie": None, "scie_assets": "mirror"}, UsageError, "E147"),
        ({"scie_assets": "no-such-directory"}, UsageError, "E147"),
        ({"scie_assets": ".", "scie": "lazy"}, UsageError, "E147"),
        ({"scie_assets": "file:///", "scie": "lazy"}, UsageError, "E147"),
        ({"offline": True}, DependencyError, "E145"),
        ({"offline": True, "scie_assets": "https://mirror.example"}, DependencyError, "E145"),
        ({"platforms": ("linux-i686",)}, UsageError, "E143"),
        ({"platforms": ("linux-ppc64le-musl",)}, UsageError, "E143"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    wishes: dict[str, object], kind: type[Exception], code: str
) -> None:
    with pytest.raises(kind) as caught:
        build(find_one(Path("probe")), Options(**{"scie": "eager", "python": PYTHON, **wishes}))
    assert caught.value.code == code and caught.value.fix and names() == []


def test_a_directory_in_its_place_is_refused(mirror: Path) -> None:
    Path("probe-1.0").mkdir()
    with pytest.raises(BuildError) as caught:
        made(mirror)
    assert caught.value.code == "E136" and names() == ["probe-1.0", "probe-1.0.pex"]


def test_no_python_here_that_the_effe_takes(mirror: Path) -> None:
    with pytest.raises(BuildError, match="is installed, and none is here") as caught:
        made(mirror, python=f"3.{NEWEST + 1}")
    assert caught.value.code == "E147"


def test_the_record_is_that_of_the_pex(mirror: Path) -> None:
    artifact = made(mirror)
    record = json.loads(read_file(artifact, "__effe__/build.json") or b"")
    assert "scie" not in json.dumps(record)
    assert os.access("probe-1.0", os.X_OK) and artifact.path.read_bytes() in Path("probe-1.0").read_bytes()
