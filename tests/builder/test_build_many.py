"""effetool.builder.build_many, and builds that meet: many at once, two at once, interrupted, over a spoilt cache."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from effetool.builder import Options, build, build_many
from effetool.builder.package.files import plan
from effetool.effe.artifact import read_artifact
from effetool.effe.project import find_all, find_one
from effetool.errors import BuildError, DependencyError
from tests.served import serve

from .shelf import Shelf, make_effe, make_wheel

# For this Python alone, so that it compiles for no other.
TEXT = """# /// script
# requires-python = "==3.MINOR.*"
# ///
INFO = {{"name": "{}", "version": "1.0"}}
def run(context, error, response, request): ...
""".replace("MINOR", str(sys.version_info[1]))
TIMEOUT = 120


def make_tree(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"e{number}.py").write_text(TEXT.format(f"e{number}"))
    return folder


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "effetool", "build", *map(str, words)]


@pytest.mark.slow
def test_a_second_run_of_a_tree_is_all_fresh(tmp_path: Path, cache: Path) -> None:
    tree = make_tree(tmp_path / "effes", 6)
    options = Options(dirout=tmp_path / "out")
    told: list[str] = []
    first = build_many(find_all(tree), options, done=lambda result: told.append(result.project.module))
    assert sorted(told) == sorted(project.module for project in find_all(tree))
    again = build_many(find_all(tree), options)
    assert [result.artifact.fresh for result in first if result.artifact] == [False] * 6
    assert [result.artifact.fresh for result in again if result.artifact] == [True] * 6
    assert [
        a.artifact.digest == b.artifact.digest for a, b in zip(first, again, strict=True) if a.artifact and b.artifact
    ]


@pytest.mark.slow
def test_dependencies_that_many_share_are_resolved_and_fetched_once(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four effes ask the index for what one alone asks for."""
    make_wheel(shelf.folder, "alpha")
    asked = []
    for count in (1, 4):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache of {count}"))
        for number in range(count):
            root = tmp_path / f"effes{count}" / f"e{number}"
            make_effe(root, "alpha", imports="import alpha")
            (root / "logic.py").write_text((root / "logic.py").read_text().replace("hello", f"e{number}"))
        shelf.asked.clear()
        results = build_many(find_all(tmp_path / f"effes{count}"), Options(dirout=tmp_path / f"out{count}", jobs=4))
        assert [result.error for result in results] == [None] * count
        asked.append(sorted(shelf.asked))
    assert asked[0] == asked[1] and asked[0]


@pytest.mark.slow
def test_two_builds_of_one_effe_at_once_both_succeed(tmp_path: Path) -> None:
    effe = tmp_path / "one.py"
    effe.write_text(TEXT.format("one"))
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    processes = [
        subprocess.Popen(command("-q", "one.py"), cwd=tmp_path, env=variables, stderr=subprocess.PIPE) for _ in range(4)
    ]
    said = [process.communicate(timeout=TIMEOUT)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "one-1.0.pex", "one.py"]
    assert read_artifact(tmp_path / "one-1.0.pex").info.data["name"] == "one"


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_half_made(tmp_path: Path, sent: signal.Signals) -> None:
    """When some are there and some are not: what is there is whole, and there is nothing else."""
    tree = make_tree(tmp_path / "effes", 20)
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    out = tmp_path / "out"
    process = subprocess.Popen(
        command("-q", tree, "--dirout", out, "--rebuild"), env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + TIMEOUT
    while not list(out.glob("*.pex")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + sent, said
    assert b"Traceback" not in said
    made = list(out.iterdir())
    assert 0 < len(made) <= 20 and all(path.suffix == ".pex" and not path.name.startswith(".") for path in made)
    assert all(read_artifact(path).size for path in made)
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.slow
def test_on_a_terminal_progress_is_shown(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "effes", 3)
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TERM": "xterm", "COLUMNS": "100"}
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command(tree, "--dirout", tmp_path / "out"), env=variables, stdout=subprocess.DEVNULL, stderr=follower
    )
    os.close(follower)
    seen = b""
    with contextlib.suppress(OSError):  # EIO: nobody writes to it any more
        while piece := os.read(leader, 4096):
            seen += piece
    os.close(leader)
    assert process.wait(TIMEOUT) == 0
    assert b"3/3" in seen and "━".encode() in seen


@pytest.mark.slow
def test_a_spoilt_cache_is_made_anew(tmp_path: Path, cache: Path) -> None:
    """A flipped byte, a cut file, an empty one: every entry counts as missing, and the bytes are the same."""
    effe = tmp_path / "one.py"
    effe.write_text(TEXT.format("one"))
    made = build(find_one(effe), Options(out=tmp_path / "first.pex"))
    for spoil in (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), lambda raw: raw[: len(raw) // 2], lambda raw: b""):
        spoilt = [path for kind in ("base", "code", "made") for path in (cache / kind).iterdir()]
        assert len(spoilt) >= 3
        for path in spoilt:
            path.write_bytes(spoil(path.read_bytes()))
        again = build(find_one(effe), Options(out=tmp_path / "first.pex"))
        assert again.digest == made.digest and not again.fresh


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_a_cache_of_another_user_is_not_used(tmp_path: Path, cache: Path) -> None:
    effe = tmp_path / "one.py"
    effe.write_text(TEXT.format("one"))
    cache.mkdir(parents=True)
    os.chown(cache, 65534, 65534)
    build(find_one(effe), Options(out=tmp_path / "made.pex"))
    assert not list(cache.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="the folder must be another's")
def test_a_file_that_may_not_be_read_is_named() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "logic.py").write_text(TEXT.format("one"))
        (root / "secret.txt").write_text("x")
        (root / "secret.txt").chmod(0)
        project = find_one(root)
        os.seteuid(65534)
        try:
            with pytest.raises(BuildError) as caught:
                plan(project)
        finally:
            os.seteuid(0)
    assert caught.value.code == "E131" and caught.value.fix == f"chmod u+r {root / 'secret.txt'}"


def test_a_block_given_twice_is_refused(tmp_path: Path) -> None:
    """PEP 723: which of two would count is nobody's guess."""
    effe = tmp_path / "one.py"
    effe.write_text(TEXT.format("one") + '# /// script\n# dependencies = ["requests"]\n# ///\n')
    with pytest.raises(DependencyError) as caught:
        build(find_one(effe), Options(out=tmp_path / "made.pex"))
    assert (caught.value.code, caught.value.place and caught.value.place.line) == ("E142", 6)
    assert not (tmp_path / "made.pex").exists()


@pytest.mark.slow
def test_a_large_file_is_streamed(tmp_path: Path, cache: Path) -> None:
    """Memory does not follow the size of a data file, and the file comes out as it went in."""
    root = tmp_path / "one"
    root.mkdir()
    (root / "logic.py").write_text(TEXT.format("one"))
    with (root / "large.bin").open("wb") as file:
        file.truncate(400 << 20)
        file.seek(200 << 20)
        file.write(b"in the middle")
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, capture_output=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command("-q", root, "--out", tmp_path / "made.pex")],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}, capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert int(done.stdout) < 200 << 10, "KiB"
    import zipfile

    with zipfile.ZipFile(tmp_path / "made.pex") as archive, archive.open("large.bin") as file:
        file.seek(200 << 20)
        assert file.read(13) == b"in the middle"
    assert json.loads(subprocess.run([tmp_path / "made.pex", "-info"], capture_output=True).stdout)["name"] == "one"


@pytest.mark.slow
def test_a_large_file_is_unpacked_piece_by_piece(tmp_path: Path, cache: Path) -> None:
    """An effe that opens its data by `__file__`: its first start does not hold what it writes."""
    root = tmp_path / "one"
    root.mkdir()
    # VmHWM is this program's own; ru_maxrss begins with that of the process which started it.
    run = """    import pathlib, re
    with pathlib.Path(__file__).with_name("large.bin").open("rb") as file:
        file.seek(200 << 20)
        status = pathlib.Path("/proc/self/status").read_text()
        response.json([file.read(13).decode(), int(re.search("VmHWM:[^0-9]*([0-9]+) kB", status)[1])])
"""
    (root / "logic.py").write_text(TEXT.format("one").replace(" ...\n", f"\n{run}"))
    with (root / "large.bin").open("wb") as file:
        file.truncate(400 << 20)
        file.seek(200 << 20)
        file.write(b"in the middle")
    made = build(find_one(root), Options(out=tmp_path / "made.pex"))
    with serve([made.path], tmp_path, tmp_path / "log") as server:
        read, memory = json.loads(server.request("GET", "/").text)
    assert read == "in the middle" and memory < 100 << 10, "KiB"
    assert [entry.stat().st_size for entry in cache.parent.glob("effe/*/own/large.bin")] == [400 << 20]


@pytest.mark.slow
def test_a_file_that_changes_while_it_is_packed_fails_the_build(tmp_path: Path, cache: Path) -> None:
    """A large file is read twice: once for its digest, once into the artefact."""
    root = tmp_path / "one"
    root.mkdir()
    (root / "logic.py").write_text(TEXT.format("one"))
    (root / "large.bin").write_bytes(bytes(5 << 20))

    def change(step: object) -> None:
        with (root / "large.bin").open("r+b") as file:
            file.write(b"changed")

    with pytest.raises(BuildError) as caught:
        build(find_one(root), Options(out=tmp_path / "made.pex"), change)
    assert caught.value.code == "E131" and "changed while it was packed" in caught.value.message
    assert not (tmp_path / "made.pex").exists()
