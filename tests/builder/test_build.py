"""effetool.builder.build, pack, boot, loader, reproduce: a real PEX, built by pex and started by real Pythons."""

from __future__ import annotations

import fcntl
import json
import marshal
import os
import shutil
import socket
import stat
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from effetool.builder import Options, Step, build, build_many
from effetool.builder.build import prepare
from effetool.builder.environment import environment_of
from effetool.builder.interpreters import find_pythons
from effetool.builder.package.pex_base import pex_version
from effetool.builder.progress import quiet
from effetool.effe.artifact import Artifact, read_artifact
from effetool.effe.project import find_all, find_one
from effetool.errors import BuildError, EffeToolError, UsageError
from tests.parts import need
from tests.served import serve

LOGIC = """# /// script
# requires-python = ">=3.9"
# dependencies = []
# ///
import os, sys, pkgutil, json

INFO = {"name": "probe", "version": "1.0", "doc": "Tell what is seen inside"}
open(os.environ["RAN"], "w").close() if "RAN" in os.environ else None

def broken():
    raise ValueError("here")  # the line of the fault

def run(context, error, response, request):
    import inspect, traceback, lib.more
    try:
        broken()
    except ValueError:
        trace = traceback.format_exc()
    response.json({
        "file": __spec__.origin, "trace": trace, "data": pkgutil.get_data(__name__, "data.txt").decode(),
        "more": lib.more.NAME,
        "source": inspect.getsource(broken), "argv0": sys.argv[0], "version": list(sys.version_info[:2]),
        "pex": os.environ["PEX"],
        "comm": open("/proc/self/comm").read().strip() if os.path.exists("/proc/self/comm") else None,
        "site": "site" in sys.modules,
    })
"""
PYTHONS = find_pythons()
TIMEOUT = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pack")


@pytest.fixture(scope="module")
def effe(folder: Path) -> Path:
    root = folder / "probe"
    (root / "lib").mkdir(parents=True)
    (root / "logic.py").write_text(LOGIC)
    (root / "lib/more.py").write_text("NAME = __name__\n")
    (root / "data.txt").write_text("datum")
    return root


@pytest.fixture(scope="module")
def artifact(effe: Path, folder: Path) -> Artifact:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAN", str(folder / "ran"))
        return build(find_one(effe), Options(dirout=folder / "out"))


def run(command: list[str | Path], **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def alone(python: Path, folder: Path) -> Path:
    """A folder of programs with this one Python and what a shell needs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / python.name).symlink_to(python)
    return folder


def test_it_is_named_by_info_and_runs_no_code_of_the_author(artifact: Artifact, folder: Path) -> None:
    assert artifact.path == folder / "out/probe-1.0.pex"
    assert artifact.path.stat().st_mode & stat.S_IXUSR
    assert not (folder / "ran").exists()
    assert [path.name for path in (folder / "out").iterdir()] == ["probe-1.0.pex"]


def test_it_answers_info_and_is_read_without_being_run(artifact: Artifact) -> None:
    assert json.loads(run([artifact.path, "-info"]).stdout) == artifact.info.data
    found = read_artifact(artifact.path)
    assert (found.digest, found.size, found.info.data) == (artifact.digest, artifact.size, artifact.info.data)


@pytest.mark.slow
@pytest.mark.parametrize("minor", sorted(PYTHONS), ids="3.{}".format)
def test_it_serves_on_every_python_as_an_author_expects(artifact: Artifact, minor: int, tmp_path: Path) -> None:
    # The header takes the first folder of PATH that has a fit Python.
    path = alone(PYTHONS[minor], tmp_path / "bin")
    command: list[str | Path] = ["/usr/bin/env", f"PATH={path}:/usr/bin:/bin", artifact.path]
    with serve(command, tmp_path, tmp_path / "log", {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}) as server:
        seen = server.request("GET", "/").body
    told = json.loads(seen)
    assert told["version"] == [3, minor]
    assert [told["file"]] == [str(file) for file in tmp_path.glob("effe/*/own/logic.py")]  # beside its data
    assert "# the line of the fault" in told["trace"] and told["source"].startswith("def broken")
    assert (told["data"], told["more"], told["argv0"], told["pex"]) == (
        "datum",
        "lib.more",
        str(artifact.path),
        str(artifact.path),
    )
    assert told["comm"] in ("probe-1.0.pex", None)
    assert not told["site"]


def test_a_copy_that_was_cut_off_says_so(artifact: Artifact, tmp_path: Path) -> None:
    whole = artifact.path.read_bytes()
    for size in (5000, 100_000, len(whole) - 1):
        (tmp_path / "cut.pex").write_bytes(whole[:size])
        done = run(["/bin/sh", tmp_path / "cut.pex", "-info"])
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"{tmp_path}/cut.pex: this file is incomplete: copy or build it again\n"


def test_of_a_file_that_is_replaced_while_it_runs_the_old_one_is_read(tmp_path: Path) -> None:
    effe = tmp_path / "old"
    (effe / "pack").mkdir(parents=True)
    (effe / "pack/__init__.py").write_text("")
    (effe / "pack/word.txt").write_text("old")
    (effe / "pack/late.py").write_text("import pkgutil\nword = pkgutil.get_data('pack', 'word.txt').decode()\n")
    (effe / "logic.py").write_text(
        'INFO = {"name": "old", "version": "1"}\n'
        "def run(context, error, response, request):\n"
        "    import pkgutil, traceback\n"
        "    assert pkgutil.get_data('pack', 'word.txt')\n"
        "    if request.path != '/':\n"
        "        import pack.late\n"
        "        try: pack.nothing\n"
        "        except AttributeError: response.write(pack.late.word + traceback.format_exc())\n"
    )
    made = build(find_one(effe), Options(dirout=tmp_path))
    with serve([made.path], tmp_path, tmp_path / "log") as server:
        assert server.request("GET", "/").status == 200
        (effe / "pack/word.txt").write_text("new" * 100)
        (effe / "logic.py").write_text("# another\n" * 9 + (effe / "logic.py").read_text())
        build(find_one(effe), Options(dirout=tmp_path))
        said = server.request("GET", "/late").text
    assert said.startswith("oldTraceback") and "    try: pack.nothing\n" in said


def test_a_damaged_copy_says_so_and_leaves_nothing_unpacked(artifact: Artifact, tmp_path: Path) -> None:
    """One line for a flipped byte in the loader, in what it is told, in the runtime, the author's code and data."""
    effe = tmp_path / "reader"
    effe.mkdir()
    (effe / "logic.py").write_text(
        'INFO = {"name": "reader", "version": "1"}\nopen(__file__)\ndef run(context, error, response, request): ...\n'
    )
    (effe / "large.bin").write_bytes(os.urandom(9000))  # stored: no inflating finds the damage
    reader = build(find_one(effe), Options(dirout=tmp_path))
    path = alone(PYTHONS[sys.version_info[1]], tmp_path / "bin")
    name = f"__effe__/cpython-3{sys.version_info[1]}.code"
    with zipfile.ZipFile(artifact.path) as archive:
        section = archive.read(name)
    loader = 8 + int.from_bytes(section[4:8], "little")
    modules = loader + 4 + int.from_bytes(section[loader : loader + 4], "little")
    index = marshal.loads(section[loader + 4 : modules])["index"]
    places = [8, loader + 9, *(modules + index[module][1] + 20 for module in ("effetool.runtime.flags", "logic"))]
    for which, entry, place in [*((artifact, name, place) for place in places), (reader, "large.bin", 5000)]:
        with zipfile.ZipFile(which.path) as archive:
            found = archive.getinfo(entry)
        raw = bytearray(which.path.read_bytes())
        raw[found.header_offset + 30 + len(entry) + place] ^= 0x40
        (tmp_path / "bad.pex").write_bytes(raw)
        command = ["/bin/sh", tmp_path / "bad.pex", "-port", "0", "-log", "text"]
        done = run(command, PATH=f"{path}:/usr/bin:/bin", HOME=str(tmp_path))
        said = f"{tmp_path}/bad.pex: this file is damaged: copy or build it again\n"
        assert (done.returncode, done.stderr.count("\n")) == (1, 1) and done.stderr.endswith(said), (entry, place, done)
    assert not [*tmp_path.glob(".cache/effe/*.new-*"), *tmp_path.glob(".cache/effe/*/own/large.bin")]


def test_it_tells_of_its_making_without_running_the_author(artifact: Artifact, folder: Path) -> None:
    told = json.loads(run([artifact.path, "-info", "-v"], RAN=str(folder / "ran by -info")).stdout)
    assert told["info"] == artifact.info.data and not (folder / "ran by -info").exists()
    assert told["build"]["source"] == artifact.facts["source"] and told["lock"] is None
    assert told["sbom"]["bomFormat"] == "CycloneDX"


def test_nothing_is_written_and_no_home_is_needed(artifact: Artifact, tmp_path: Path) -> None:
    done = run([artifact.path, "-info"], TMPDIR=str(tmp_path))
    assert done.returncode == 0 and not any(tmp_path.iterdir())


def test_the_python_that_is_named_runs_it_and_which_ran_is_told(artifact: Artifact, tmp_path: Path) -> None:
    """`EFFE_PYTHON` is a path or a name on PATH; `-info -v` tells the Python, whether its code was there, and why."""

    def python(**variables: str) -> dict[str, object]:
        done = run([artifact.path, "-info", "-v"], **variables)
        assert done.stderr == ""
        told = json.loads(done.stdout)["python"]
        assert isinstance(told, dict)
        return told

    alone(PYTHONS[sys.version_info[1]], tmp_path / "only")
    told = python()
    assert told["compiled"] is True and told["why"] == "the first found that this file has compiled code for"
    for minor, path in PYTHONS.items():
        told = python(EFFE_PYTHON=str(path))
        assert str(told["version"]).startswith(f"3.{minor}.") and told["why"] == "EFFE_PYTHON names it"
        assert told["compiled"] is True and Path(str(told["executable"])).samefile(path)
    (tmp_path / "mine").symlink_to(PYTHONS[sys.version_info[1]])
    told = python(EFFE_PYTHON="mine", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert told["executable"] == f"{tmp_path}/mine" and told["gil"] is True
    told = python(PATH=str(tmp_path / "only"))  # the last folder of PATH counts, and so do the usual ones
    assert Path(str(told["executable"])).parent == tmp_path / "only" and told["compiled"] is True
    told = python(PEX_SCRIPT="")  # any PEX_ variable that chooses is pex's
    assert told["compiled"] is False and "PEX_" in str(told["why"])


def test_a_python_that_is_named_and_does_not_do_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    """None is taken in its place."""
    done = run([artifact.path, "-info"], EFFE_PYTHON=str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"EFFE_PYTHON={tmp_path}/none is not a Python that starts\n")
    effe = tmp_path / "new"
    effe.mkdir()
    newest = max(PYTHONS)
    (effe / "logic.py").write_text(
        f'# /// script\n# requires-python = "==3.{newest}.*"\n# dependencies = []\n# ///\n'
        'INFO = {"name": "new", "version": "1"}\ndef run(context, error, response, request): ...\n'
    )
    made = build(find_one(effe), Options(dirout=tmp_path))
    older = PYTHONS[min(PYTHONS)]
    done = run([made.path, "-info"], EFFE_PYTHON=str(older))
    assert done.returncode == 1 and done.stdout == ""
    assert f"EFFE_PYTHON={older} is cpython 3.{min(PYTHONS)}." in done.stderr
    assert "which this effe does not run on" in done.stderr


def test_another_implementation_of_python_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    """PyPy, named or the only one there is; not by a traceback of what it lacks."""
    need("pypy3")
    done = run([artifact.path, "-info"], EFFE_PYTHON="pypy3")
    assert (done.returncode, done.stdout) == (1, "")
    assert "EFFE_PYTHON=pypy3 is pypy 3." in done.stderr and "which this effe does not run on" in done.stderr
    checkout = run(["pypy3", "-m", "effetool.runtime", "logic.py"], PYTHONPATH=str(Path(__file__).parents[2]))
    assert checkout.returncode == 1 and "an effe runs on CPython, and " in checkout.stderr
    tool = run(["pypy3", "-m", "effetool", "--help"], PYTHONPATH=str(Path(__file__).parents[2]))
    assert tool.returncode == 1 and tool.stderr.startswith("error: effe-tool runs on CPython, and ")


@pytest.mark.parametrize("minor", [minor for minor in sorted(PYTHONS) if minor > 12], ids="3.{}".format)
def test_what_the_environment_says_of_the_global_lock_reaches_python(artifact: Artifact, minor: int) -> None:
    """`-I` ignores PYTHON_GIL. A Python with the lock refuses to do without, as it does when it is started by hand."""
    python = PYTHONS[minor]
    by_hand = run([python, "-c", ""], PYTHON_GIL="0")
    done = run([artifact.path, "-info"], EFFE_PYTHON=str(python), PYTHON_GIL="0")
    assert (done.returncode, done.stderr) == (by_hand.returncode, by_hand.stderr)
    assert run([artifact.path, "-info"], EFFE_PYTHON=str(python), PYTHON_GIL="1").returncode == 0


@pytest.mark.parametrize("minor", sorted(PYTHONS), ids="3.{}".format)
def test_the_start_gives_no_warning(artifact: Artifact, minor: int) -> None:
    """Python in development mode, with warnings as errors."""
    strict = {"EFFE_SITE": "1", "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error", "EFFE_PYTHON": str(PYTHONS[minor])}
    for action in ("-info", "-version", "-help"):
        done = run([artifact.path, action], **strict)
        assert (done.returncode, done.stderr) == (0, "")


def test_python_finds_its_site_hooks_only_when_asked(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.stderr.write('hooked')")
    hooks = {"PYTHONPATH": str(tmp_path)}
    assert run([artifact.path, "-info"], **hooks).stderr == ""
    assert "hooked" in run([artifact.path, "-info"], EFFE_SITE="1", **hooks).stderr


@pytest.mark.parametrize("minor", sorted(PYTHONS), ids="3.{}".format)
def test_data_opened_by_file_is_unpacked_once(folder: Path, minor: int, tmp_path: Path) -> None:
    root = folder / "reader"
    root.mkdir(exist_ok=True)
    (root / "logic.py").write_text(
        "INFO = {'name': 'reader', 'version': '1'}\nimport pathlib\n"
        "def run(context, error, response, request):\n"
        "    response.write(pathlib.Path(__file__).with_name('data.txt').read_text())\n"
    )
    (root / "data.txt").write_text("datum")
    made = build(find_one(root), Options(dirout=folder / "reader-out"))
    path, cache = alone(PYTHONS[minor], tmp_path / "bin"), tmp_path / "cache"
    command: list[str | Path] = ["/usr/bin/env", f"PATH={path}:/usr/bin:/bin", f"XDG_CACHE_HOME={cache}", made.path]
    kept = []
    for _ in range(2):
        with serve(command, tmp_path, tmp_path / "log") as server:
            assert server.request("GET", "/").text == "datum"
        kept.append(sorted((entry.name, entry.stat().st_mtime_ns) for entry in (cache / "effe").iterdir()))
    assert kept[0] == kept[1] and len(kept[0]) == 2  # the folder and the lock
    assert all(stat.S_IMODE(entry.stat().st_mode) & 0o077 == 0 for entry in (cache / "effe").iterdir())
    nowhere: list[str | Path] = [*command[:2], "XDG_CACHE_HOME=/dev/null/x", "TMPDIR=/dev/null/y", made.path]
    with serve(nowhere, tmp_path, tmp_path / "log"):
        pass
    assert f"{made.path}: no place to unpack to (" in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_it_is_a_real_pex(artifact: Artifact, tmp_path: Path) -> None:
    environ = {"PEX_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}
    info = run([artifact.path, "info"], PEX_TOOLS="1", **environ)
    assert info.returncode == 0, info.stderr
    assert json.loads(info.stdout)["entry_point"] == "effetool.runtime.__main__:main"
    shell = run([artifact.path, "-c", "import logic; print(logic.INFO['name'])"], PEX_INTERPRETER="1", **environ)
    assert shell.stdout.strip() == "probe", shell.stderr
    module = run([artifact.path], PEX_MODULE="lib.more", **environ)
    assert module.returncode == 0, module.stderr
    plain = run([sys.executable, artifact.path, "-info"], **environ)
    assert json.loads(plain.stdout) == artifact.info.data, plain.stderr


def test_it_says_so_where_there_is_no_python(artifact: Artifact, tmp_path: Path) -> None:
    if any(
        Path(folder, f"python3.{minor}").exists()
        for folder in ("/usr/bin", "/bin", "/usr/local/bin")
        for minor in range(9, 20)
    ):
        done = run(["/bin/sh", artifact.path, "-info"], HOME=str(tmp_path))
        assert done.returncode == 0  # found although PATH does not name it
    else:
        done = subprocess.run(
            ["/bin/sh", artifact.path], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "needs CPython >=3.9" in done.stderr) == (1, True)


def test_a_second_build_is_fresh_and_a_damaged_one_is_made_anew(effe: Path, artifact: Artifact, folder: Path) -> None:
    copy = folder / "fresh"
    made = build(find_one(effe), Options(dirout=copy))
    assert made.digest == artifact.digest
    steps: list[Step] = []
    assert build(find_one(effe), Options(dirout=copy), steps.append).fresh
    assert [step.stage for step in steps][-1] == "fresh"
    with made.path.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"effe-tool")
    again = build(find_one(effe), Options(dirout=copy))
    assert not again.fresh and again.digest == artifact.digest


@pytest.mark.slow
def test_check_builds_twice_and_finds_the_same_bytes(effe: Path, artifact: Artifact, folder: Path) -> None:
    steps: list[Step] = []
    made = build(find_one(effe), Options(dirout=folder / "checked", check=True), steps.append)
    assert made.digest == artifact.digest
    assert "built twice, the same bytes" in [step.detail for step in steps]


def test_another_path_and_other_times_give_the_same_bytes(effe: Path, artifact: Artifact, tmp_path: Path) -> None:
    shutil.copytree(effe, tmp_path / "elsewhere", copy_function=shutil.copy)
    for path in (tmp_path / "elsewhere").rglob("*"):
        os.utime(path, (1, 1))
    assert build(find_one(tmp_path / "elsewhere"), Options(dirout=tmp_path / "out")).digest == artifact.digest


def test_changed_code_changes_the_hashes_that_pex_keeps_things_by(
    artifact: Artifact, effe: Path, tmp_path: Path
) -> None:
    shutil.copytree(effe, tmp_path / "probe")
    (tmp_path / "probe/data.txt").write_text("other")
    other = build(find_one(tmp_path / "probe"), Options(dirout=tmp_path / "out"))
    told = []
    for path in (artifact.path, other.path):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            info = json.loads(archive.read("PEX-INFO"))
            assert info["pex_hash"] in archive.read("__main__.py").decode()
            told.append((info["pex_hash"], info["code_hash"]))
    assert told[0][0] != told[1][0] and told[0][1] != told[1][1]


@pytest.mark.parametrize(("options", "code"), [(Options(max_size=1000), "E139"), (Options(max_start=0.001), "E139")])
def test_a_budget_that_is_missed_leaves_nothing(effe: Path, tmp_path: Path, options: Options, code: str) -> None:
    with pytest.raises(BuildError) as caught:
        build(find_one(effe), options, folder=tmp_path)
    assert caught.value.code == code and not any(tmp_path.iterdir())


@pytest.mark.parametrize("options", [Options(max_size=1000), Options(max_start=0.001)])
def test_a_budget_holds_for_what_is_fresh(effe: Path, folder: Path, options: Options) -> None:
    """A gate in CI must not open because the artefact was built a step before."""
    made = build(find_one(effe), Options(dirout=folder / "gate"))
    steps: list[Step] = []
    with pytest.raises(BuildError) as caught:
        build(find_one(effe), options, steps.append, folder=folder / "gate")
    assert (caught.value.code, steps[-1].stage) == ("E139", "fresh")
    assert made.path.exists()
    assert build(find_one(effe), Options(max_size=made.size, max_start=60_000), folder=folder / "gate").fresh


def test_an_output_that_is_a_directory_is_refused(effe: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        build(find_one(effe), Options(out=tmp_path))
    assert caught.value.code == "E136"


def test_an_output_below_a_file_is_refused_before_anything_is_made(effe: Path, tmp_path: Path) -> None:
    """As `--dirout /dev/null`: mkdir would say that the file exists."""
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file/below"):
        steps: list[Step] = []
        with pytest.raises(BuildError, match="file is no directory") as caught:
            build(find_one(effe), Options(dirout=folder), steps.append)
        assert caught.value.code == "E136" and "base" not in [step.stage for step in steps]


@pytest.mark.parametrize("name", ["logic.py", "data.txt", "lib/../link"])
def test_an_output_that_is_a_source_is_left_as_it_is(effe: Path, tmp_path: Path, name: str) -> None:
    root = shutil.copytree(effe, tmp_path / "effe")
    (tmp_path / "effe/link").symlink_to("lib/more.py")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with pytest.raises(BuildError) as caught:
        build(find_one(root), Options(out=root / name))
    assert caught.value.code == "E136"
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_an_output_that_leads_nowhere_is_replaced_and_one_too_long_refused(effe: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert not build(find_one(effe), Options(out=tmp_path / "loop")).path.is_symlink()
    with pytest.raises(BuildError, match="too long"):
        build(find_one(effe), Options(out=tmp_path / ("x" * 300)))


def test_an_output_that_is_no_file_is_left_as_it_is(effe: Path, tmp_path: Path) -> None:
    """Root could rename over a device: a pipe and a socket stand for it here, and a link to one."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, what in (("pipe", "a named pipe"), ("link", "a named pipe"), ("socket", "a socket")):
            with pytest.raises(BuildError, match=f"{name} is {what}") as caught:
                build(find_one(effe), Options(out=tmp_path / name))
            assert caught.value.code == "E136" and caught.value.fix
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode) and (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "socket"]


def test_a_cache_that_cannot_be_used_is_said(effe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each build takes seconds more, and nobody knows why."""
    assert "E162" not in [one.code for one in prepare(find_one(effe), Options(), quiet).warnings]
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    warning = prepare(find_one(effe), Options(), quiet).warnings[-1]
    assert (warning.code, warning.message.partition(" ")[0]) == ("E162", f"{tmp_path}/file/effe-tool")


def test_a_platform_there_is_not_is_refused_without_dependencies_too(effe: Path) -> None:
    with pytest.raises(UsageError, match="banana"):
        prepare(find_one(effe), Options(platforms=("banana",)), quiet)
    assert prepare(find_one(effe), Options(platforms=("linux-arm64",)), quiet)


def test_what_was_built_never_goes_in_again(effe: Path, artifact: Artifact, tmp_path: Path) -> None:
    """Whatever `--out` calls it."""
    shutil.copytree(effe, tmp_path / "probe")
    for name in ("bb", "-", "lib/probe.bin"):
        assert build(find_one(tmp_path / "probe"), Options(out=tmp_path / "probe" / name)).digest == artifact.digest


def test_a_closed_terminal_leaves_nothing_half_made(effe: Path, artifact: Artifact, tmp_path: Path) -> None:
    """SIGHUP while the new file is verified: it is taken away."""
    script = (
        "import os, signal, sys; from effetool import cli; from effetool.builder.verify import smoke as verify\n"
        "def ask_info(path, text, **_): print(path.name, flush=True); os.kill(os.getpid(), signal.SIGHUP)\n"
        "verify.ask_info = ask_info\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "build", effe, "-q"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(".probe-1.0.pex-"), done
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (129, "", [])


def test_many_are_built_with_their_folders_and_a_failure_stops_no_other(tmp_path: Path) -> None:
    text = "INFO = {{'name': '{}', 'version': '1'}}\ndef run(context, error, response, request): ...\n"
    (tmp_path / "effes/deep").mkdir(parents=True)
    (tmp_path / "effes/one.py").write_text(text.format("one"))
    (tmp_path / "effes/deep/two.py").write_text(text.format("two"))
    (tmp_path / "effes/bad.py").write_text("INFO = {}\nrun = \n")
    top = tmp_path / "effes"
    results = build_many(find_all(top), Options(dirout=tmp_path / "out"), top=top)
    assert [result.error.code if result.error else None for result in results] == ["E101", None, None]
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert made == ["deep/two-1.pex", "one-1.pex"]


def test_two_effes_with_one_output_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(
            "INFO = {'name': 'same', 'version': '1'}\ndef run(context, error, response, request): ...\n"
        )
    with pytest.raises(BuildError) as caught:
        build_many(find_all(tmp_path), Options(dirout=tmp_path / "out"))
    assert caught.value.code == "E130" and not (tmp_path / "out").exists()


def bare(root: Path, block: str = "", **files: str) -> Path:
    """An effe without dependencies."""
    root.mkdir(exist_ok=True)
    lines = "".join(f"# {line}\n" for line in ("/// script", block, "///")) if block else ""
    (root / "logic.py").write_text(f'{lines}INFO = {{"name": "a", "version": "1"}}\ndef run(c, e, r, q): ...\n')
    for name, text in files.items():
        (root / name.replace("_", ".")).write_text(text)
    return root


PROJECT = '[project]\nname = "x"\nversion = "1"\nrequires-python = '


@pytest.mark.parametrize(
    ("block", "files", "asked", "serves"),
    [
        ('requires-python = ">=3.11"', {}, ">=3.9", ">=3.11"),
        ('requires-python = ">=3.9, <3.13"', {}, None, ">=3.9,<3.13"),
        ('requires-python = ">=3.9"', {}, "3.11", "==3.11.*"),
        ("", {"pyproject_toml": f'{PROJECT}">=3.10"'}, None, ">=3.10"),
        ("", {"pyproject_toml": f'{PROJECT}">=3.10"'}, "<3.12", ">=3.10,<3.12"),
        ("", {}, "3.10", "==3.10.*"),
        ("", {}, None, ">=3.9"),
    ],
)
def test_requires_python_counts_without_dependencies_too(
    tmp_path: Path, block: str, files: dict[str, str], asked: str | None, serves: str
) -> None:
    found = prepare(find_one(bare(tmp_path, block, **files)), Options(python=asked), quiet)
    assert set(found.contents.python.split(",")) == set(serves.split(","))
    assert found.resolution is None


@pytest.mark.parametrize(
    ("block", "files", "asked", "code", "line"),
    [
        ('requires-python = "three"', {}, None, "E142", 2),
        ('requires-python = "3.11"', {}, None, "E142", 2),
        ('requires-python = "<3"', {}, None, "E143", 2),
        ('requires-python = ">=3.11"', {}, "3.10", "E143", 2),
        ("", {"pyproject_toml": f'{PROJECT}"three"'}, None, "E142", 4),
        ('requires-python = ">=3.9"', {}, "three", "E143", None),
    ],
)
def test_a_wrong_requires_python_has_a_place(
    tmp_path: Path, block: str, files: dict[str, str], asked: str | None, code: str, line: int | None
) -> None:
    with pytest.raises(EffeToolError) as caught:
        prepare(find_one(bare(tmp_path, block, **files)), Options(python=asked), quiet)
    place = caught.value.place
    assert (caught.value.code, place and place.line) == (code, line)
    if line:
        with pytest.raises(EffeToolError) if code == "E142" or "<3" in block else nullcontext():
            environment_of(find_one(tmp_path), print)


def test_a_pex_whose_version_cannot_be_read_is_told_from_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pex").mkdir()
    (tmp_path / "pex/__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for module in [name for name in sys.modules if name == "pex" or name.startswith("pex.")]:
        monkeypatch.delitem(sys.modules, module)
    pex_version.cache_clear()
    try:
        for text, said in ((None, "No such file"), ("", "it names none")):
            if text is not None:
                (tmp_path / "pex/version.py").write_text(text)
            with pytest.raises(BuildError) as caught:
                pex_version()
            assert said in caught.value.message and "version.py" in caught.value.message
    finally:
        pex_version.cache_clear()


def test_what_a_killed_build_left_is_removed_and_what_a_live_one_writes_stays(effe: Path, tmp_path: Path) -> None:
    left, live, young, other = (
        tmp_path / f".probe-1.0.pex-{name}.new" for name in ("0" * 16, "1" * 16, "2" * 16, "notes of mine")
    )
    for path in (left, live, young, other):
        path.write_text("half")
        if path != young:
            os.utime(path, (1e9, 1e9))
    with live.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        made = build(find_one(effe), Options(dirout=tmp_path, fresh=False))
    assert sorted(tmp_path.glob(".*")) == sorted([live, young, other]) and made.path.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_what_is_no_file_in_the_cache_is_not_waited_for(effe: Path, tmp_path: Path, cache: Path, make) -> None:
    before = build(find_one(effe), Options(dirout=tmp_path)).digest
    for path in [path for path in cache.glob("*/*") if path.is_file() and path.parent.name != "pex"]:
        path.unlink()
        make(path)
    assert build(find_one(effe), Options(dirout=tmp_path)).digest == before


def test_a_pipe_is_no_artefact(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pex")
    with pytest.raises(BuildError, match=r"it is a named pipe"):
        read_artifact(tmp_path / "pipe.pex")
