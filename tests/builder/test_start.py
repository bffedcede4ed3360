"""How a .pex starts where it is not made easy: no home, nothing writable, another user, many at once, a kill."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from effetool.builder import Options, build
from effetool.effe.artifact import Artifact
from effetool.effe.project import find_one
from tests.served import serve

from .shelf import make_wheel, serve_shelf

NOBODY = 65534
TIMEOUT = 120
MODULES = 300  # in the wheel that is unpacked: enough for a kill to come in between
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts, and becomes another user")
PROGRAMS = f"{Path(getattr(sys, '_base_executable', sys.executable)).resolve().parent}:/usr/bin:/bin"
BLOCK = """# /// script
# requires-python = ">=3.9"
# dependencies = [{}]
# ///
INFO = {{"name": "probe", "version": "1.0"}}
"""
# An effe with data is unpacked; this one has modules alone.
PLAIN = """
import importlib.resources, os, sys, traceback
import pack
def fault():
    return {}["missing"]  # the line of the fault
def run(context, error, response, request):
    try:
        fault()
    except KeyError:
        trace = traceback.format_exc()
    if request.path == "/raise":
        fault()
    response.json({
        "file": globals()["__file__"], "trace": trace, "argv0": sys.argv[0],
        "comm": open("/proc/self/comm").read().strip(),
        "resource": (importlib.resources.files("pack") / "words.py").read_text(),
        "arenas": os.environ["MALLOC_ARENA_MAX"], "packaged": vars(pack)["__file__"],
        "names": sorted(p.name for p in importlib.resources.files("pack").iterdir()),
    })
"""
DEPENDENT = """
import alpha
def run(context, error, response, request):
    response.write(alpha.WHERE)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's are the user's alone."""
    path = Path(tempfile.mkdtemp(prefix="effe-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def plain(folder: Path) -> Artifact:
    """An effe without dependencies, of modules alone."""
    root = folder / "probe"
    (root / "pack").mkdir(parents=True)
    (root / "logic.py").write_text(BLOCK.format("") + PLAIN)
    (root / "pack/__init__.py").write_text("")
    (root / "pack/words.py").write_text("words")
    return build(find_one(root), Options(dirout=folder))


@pytest.fixture(scope="module")
def built(folder: Path) -> Iterator[dict[str, Artifact]]:
    """An effe with a pure-Python dependency of many modules, and one with a wheel for this machine alone."""
    shelf, found = folder / "shelf", {}
    files = {f"alpha/m{number}.py": f"N = {number}\n" for number in range(MODULES)}
    files["alpha/__init__.py"] = "WHERE = __file__\n"
    with pytest.MonkeyPatch.context() as patch, serve_shelf(shelf) as running:
        for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
            patch.delenv(name)
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.setenv("PIP_INDEX_URL", f"{running.url}/simple")
        patch.setenv("NO_PROXY", "127.0.0.1")
        here = f"cp{sys.version_info[0]}{sys.version_info[1]}"
        for name, tag in (("pure", "py3-none-any"), ("native", f"{here}-{here}-linux_{os.uname().machine}")):
            # An index that is asked for alpha gives the one wheel that lies there.
            wheel = make_wheel(shelf, "alpha", tag=tag, files=files)
            (folder / name).mkdir()
            (folder / name / "logic.py").write_text(BLOCK.format(f'"alpha @ {wheel.as_uri()}"') + DEPENDENT)
            found[name] = build(find_one(folder / name), Options(out=folder / f"{name}.pex"))
        yield found


def inside(artifact: Artifact) -> str:
    """Where the module of the dependency is when it is imported from the file itself."""
    (wheel,) = artifact.facts["distributions"]  # type: ignore[misc]
    return f"{artifact.path}/.deps/{wheel['file']}/alpha/__init__.py"  # type: ignore[index]


def alone(**variables: str | Path) -> list[str | Path]:
    """A command that sets these variables and no other."""
    return ["/usr/bin/env", "-i", f"PATH={PROGRAMS}", *(f"{name}={value}" for name, value in variables.items())]


def ask(command: list[str | Path], folder: Path, target: str = "/") -> str:
    with serve([*command, "-host", "127.0.0.1"], folder, folder / "log") as server:
        return server.request("GET", target).text


def test_an_author_sees_what_is_expected(plain: Artifact, tmp_path: Path) -> None:
    told = json.loads(ask([*alone(HOME=tmp_path), plain.path], tmp_path))
    assert told["file"] == f"{plain.path}/logic.py" and told["packaged"] == f"{plain.path}/pack/__init__.py"
    assert "# the line of the fault" in told["trace"] and f'File "{plain.path}/logic.py", line ' in told["trace"]
    assert (told["argv0"], told["comm"]) == (str(plain.path), plain.path.name)
    assert told["resource"] == "words" and "words.py" in told["names"]
    ask([*alone(HOME=tmp_path), plain.path], tmp_path, "/raise")
    assert "# the line of the fault" in (tmp_path / "log").read_text()


def test_nothing_is_written_anywhere_that_could_be(plain: Artifact, tmp_path: Path) -> None:
    for name in ("home", "cache", "tmp"):
        (tmp_path / name).mkdir()
    before = sorted(path.name for path in plain.path.parent.iterdir())
    variables = alone(HOME=tmp_path / "home", XDG_CACHE_HOME=tmp_path / "cache", TMPDIR=tmp_path / "tmp")
    ask([*variables, plain.path], tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "cache",
        "home",
        "log",
        "tmp",
    ]
    assert sorted(path.name for path in plain.path.parent.iterdir()) == before


@pytest.mark.parametrize(("given", "has"), [({}, "1"), ({"MALLOC_ARENA_MAX": "4"}, "4")])
def test_one_arena_unless_told_otherwise(plain: Artifact, tmp_path: Path, given: dict[str, str], has: str) -> None:
    assert json.loads(ask([*alone(**given), plain.path], tmp_path))["arenas"] == has


def test_it_starts_without_a_home(plain: Artifact, tmp_path: Path) -> None:
    assert "words" in ask([*alone(), plain.path], tmp_path)


@ROOT_ONLY
def test_it_starts_as_a_user_without_anything(plain: Artifact, tmp_path: Path) -> None:
    command: list[str | Path] = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    assert "words" in ask([*command, *alone(HOME="/nonexistent"), plain.path], tmp_path)


READ_ONLY = """
mount --make-rprivate / && mount -o remount,ro,bind / || exit 3
for place in /tmp /var/tmp /dev/shm /run /home; do mount -t tmpfs -o ro none $place; done
for place in /tmp /var/tmp /home / /root; do touch $place/x 2>/dev/null && exit 4; done
exec "$@"
"""


@ROOT_ONLY
@pytest.mark.parametrize("which", ["plain", "pure"])
def test_it_starts_where_nothing_can_be_written(
    plain: Artifact, built: dict[str, Artifact], which: str, tmp_path: Path
) -> None:
    """Root, /tmp and home read-only: pure Python is imported from the file itself."""
    artifact = {"plain": plain, **built}[which]
    elsewhere = Path("/mnt") / f"effe-{os.getpid()}.pex"  # /tmp is covered
    shutil.copy(artifact.path, elsewhere)
    try:
        command: list[str | Path] = ["unshare", "-m", "/bin/sh", "-c", READ_ONLY, "sh", *alone(HOME="/home"), elsewhere]
        text = ask(command, tmp_path)
    finally:
        elsewhere.unlink()
    assert "words" in text if which == "plain" else text == inside(artifact).replace(str(artifact.path), str(elsewhere))


@ROOT_ONLY
def test_a_full_disk_stops_native_code_alone(built: dict[str, Artifact], tmp_path: Path) -> None:
    """Pure Python is imported from the file; what must be a file is missed by name, and nothing half-made is left."""
    small = tmp_path / "small"
    small.mkdir()
    variables = alone(XDG_CACHE_HOME=small, TMPDIR=small, HOME=small)
    mount = f"mount -t tmpfs -o size=96k none {small} || exit 3; "
    shell: list[str | Path] = ["unshare", "-m", "/bin/sh", "-c", mount + 'exec "$@"', "sh", *variables]
    assert ask([*shell, built["pure"].path], tmp_path) == inside(built["pure"])
    shell[4] = mount + f'"$@"; code=$?; find {small} -name "*.new-*"; exit $code'
    done = subprocess.run(
        [*shell, built["native"].path, "-port", "0"], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (done.returncode, done.stdout) == (1, "") and "no place to unpack to (" in done.stderr, done.stderr
    assert "set XDG_CACHE_HOME to a directory" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("spoil", ["another user's", "open to others", "a link", "the folder open to others"])
def test_a_folder_that_another_could_have_written_is_not_trusted(
    built: dict[str, Artifact], tmp_path: Path, spoil: str
) -> None:
    cache, command = (
        tmp_path / "cache",
        [*alone(XDG_CACHE_HOME=tmp_path / "cache", TMPDIR=tmp_path), built["pure"].path],
    )
    assert ask(command, tmp_path).startswith(f"{cache}/effe/")
    (made,) = (path for path in (cache / "effe").iterdir() if path.is_dir())
    planted = made / "deps/alpha/__init__.py"
    planted.write_text("WHERE = 'planted'\n")
    for compiled in planted.parent.glob("__pycache__/__init__*"):
        compiled.unlink()
    assert ask(command, tmp_path) == "planted"  # the user's own folder is the user's own affair
    if spoil == "another user's":
        if os.geteuid() != 0:
            pytest.skip("only root gives a file away")
        os.chown(cache / "effe", NOBODY, NOBODY)
    elif spoil == "open to others":
        (cache / "effe").chmod(0o777)
    elif spoil == "the folder open to others":
        made.chmod(0o770)
    else:
        (cache / "effe").rename(tmp_path / "there")
        (cache / "effe").symlink_to(tmp_path / "there")
    answer = ask(command, tmp_path)
    assert answer != "planted" and answer.startswith(f"{tmp_path}/effe-{os.getuid()}/")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["pure", "native"])
def test_killed_while_it_unpacks_the_next_start_heals(built: dict[str, Artifact], tmp_path: Path, which: str) -> None:
    """SIGKILL at several moments of the unpacking: what is left is never used."""
    base = tmp_path / "cache/effe"
    command = [*alone(XDG_CACHE_HOME=tmp_path / "cache", TMPDIR=tmp_path), built[which].path]
    caught = 0
    for least in (1, 100):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        process = subprocess.Popen([*command, "-port", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            entries = list(base.iterdir()) if base.exists() else []
            if any(entry.is_dir() and ".new-" not in entry.name for entry in entries):
                break
            half = next((entry for entry in entries if ".new-" in entry.name), None)
            with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
                if half is not None and sum(1 for _ in (half / "deps/alpha").iterdir()) >= least:
                    break
        process.send_signal(signal.SIGKILL)
        process.wait()
        caught += any(".new-" in entry.name for entry in base.iterdir())
        assert ask(command, tmp_path).startswith(f"{base}/")
        (whole,) = (entry for entry in base.iterdir() if entry.is_dir() and ".new-" not in entry.name)
        assert len(list((whole / "deps/alpha").glob("*.py"))) == MODULES + 1
    assert caught, "no kill came in between: MODULES is too small"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["plain", "native"])
def test_sixteen_at_once(plain: Artifact, built: dict[str, Artifact], tmp_path: Path, which: str) -> None:
    """All first starts at the same moment: each answers, and one of them has unpacked."""
    artifact = {"plain": plain, **built}[which]
    command = [*alone(XDG_CACHE_HOME=tmp_path / "cache", TMPDIR=tmp_path), artifact.path]
    with contextlib.ExitStack() as stack:
        logs = [tmp_path / f"log{number}" for number in range(16)]
        streams = [stack.enter_context(log.open("wb")) for log in logs]
        processes = [
            subprocess.Popen([*command, "-port", "0", "-host", "127.0.0.1"], stdout=stream, stderr=stream)
            for stream in streams
        ]
        stack.callback(lambda: [(process.kill(), process.wait()) for process in processes])
        deadline = time.monotonic() + TIMEOUT
        while not all("http://127.0.0.1:" in log.read_text() or "127.0.0.1:" in log.read_text() for log in logs):
            assert all(process.poll() is None for process in processes) and time.monotonic() < deadline
            time.sleep(0.05)
        for process in processes:
            process.terminate()
        assert [process.wait(TIMEOUT) for process in processes] == [0] * 16
    if which == "native":
        assert len([entry for entry in (tmp_path / "cache/effe").iterdir() if entry.is_dir()]) == 1
    else:
        assert not (tmp_path / "cache").exists()


def test_from_a_folder_that_is_gone_a_relative_path_is_one_line(plain: Artifact, tmp_path: Path) -> None:
    """`..` leads out of it, though it has no path any more; the full path starts as ever."""
    gone = tmp_path / "gone"
    gone.mkdir()
    shutil.copy(plain.path, tmp_path / "probe.pex")
    script = 'rmdir ../gone; "$0" -version'
    for called in ("../probe.pex", str(tmp_path / "probe.pex")):
        gone.mkdir(exist_ok=True)
        done = subprocess.run(["sh", "-c", script, called], cwd=gone, capture_output=True, text=True, timeout=TIMEOUT)
        if called[0] == "/":
            assert done.returncode == 0, done.stderr
        else:
            said = [line for line in done.stderr.splitlines() if not line.startswith("sh: ")]  # what the shell says
            assert (done.returncode, done.stdout, len(said)) == (1, "", 1), done.stderr
            assert said[0].startswith("../probe.pex: the working directory: ") and "its full path" in said[0]


@pytest.mark.slow
def test_where_no_python_fits_it_says_which_would(folder: Path, tmp_path: Path) -> None:
    """A Python of another version is there: pex's own boot names what is needed and what was found."""
    effe = tmp_path / "effe.py"
    effe.write_text(BLOCK.format("").replace(">=3.9", ">=3.30") + "def run(context, error, response, request): ...\n")
    made = build(find_one(effe), Options(out=tmp_path / "new.pex"))
    done = subprocess.run(
        [*alone(HOME=tmp_path, PEX_ROOT=tmp_path / "pex"), made.path, "-info"],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and "CPython>=3.30" in done.stderr and "Traceback" not in done.stderr
    done = subprocess.run(
        ["/usr/bin/env", "-i", f"PATH={tmp_path}", "/bin/sh", made.path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "needs CPython >=3.30" in done.stderr


@pytest.mark.slow
def test_another_pex_takes_it_in(plain: Artifact, tmp_path: Path) -> None:
    """`pex --requirements-pex`, and pex's own tools from outside."""
    variables = {**os.environ, "PEX_ROOT": str(tmp_path / "root")}
    pex = [sys.executable, "-m", "pex"]
    other = tmp_path / "other.pex"
    done = subprocess.run(
        [*pex, "--requirements-pex", plain.path, "-o", other],
        env=variables, capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [other, "-c", "import json; print('runs')"], env=variables, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.stdout == "runs\n", done.stderr
    tools = [str(Path(sys.executable).with_name("pex-tools")), plain.path, "info"]
    told = subprocess.run(tools, env=variables, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert json.loads(told.stdout)["entry_point"] == "effetool.runtime.__main__:main", told.stderr
