"""`effe-tool image` and `effe-tool base` as a user has them: what is made, what is printed, each fault."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from effetool.image.layout import base_image, save, write_archive
from effetool.image.store import Store
from tests.image.conftest import bare_base

EFFE = """\
INFO = {{"name": "{name}", "version": "1.0", "doc": "It's {name}, $HOME"}}
def run(context, error, response, request):
    response.write("hi")
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with base.tar, and two built effes in out/."""
    root = tmp_path_factory.mktemp("made")
    store = Store(root / "store")
    built = base_image(store, bare_base(store, "amd64"))
    save(root / "base.tar", lambda file: write_archive(store, built, ["base:1"], file))
    (root / "effes").mkdir()
    for name in ("one", "two"):
        (root / "effes" / f"{name}.py").write_text(EFFE.format(name=name))
    command = [sys.executable, "-m", "effetool", "build", "effes", "-q"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, env={**os.environ, **cache_of(root)})
    assert done.returncode == 0, done.stderr
    return root


def cache_of(made: Path) -> dict[str, str]:
    """What builds share."""
    return {"XDG_CACHE_HOME": str(made / "cache")}


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """The working directory, with base.tar and one-1.0.pex."""
    for path in (made / "base.tar", made / "out/one-1.0.pex"):
        shutil.copy(path, tmp_path)
    return tmp_path


def tags(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        return json.load(file)[0]["RepoTags"]


@pytest.mark.slow
@pytest.mark.parametrize("word", ["image", "docker", "d"])
def test_stdout_is_the_file_and_stderr_what_to_type_next(effe_tool: Run, here: Path, word: str) -> None:
    """Named by INFO; the .pex of the working directory when none is named."""
    done = effe_tool(word, "--base", "base.tar")
    assert (done.returncode, done.stdout) == (0, "one-1.0.oci.tar\n")
    assert done.stderr.splitlines()[-2:] == [
        "next:  podman load -i one-1.0.oci.tar", "       podman run -p 8080:8080 one:1.0",
    ]  # fmt: skip
    assert tags(here / "one-1.0.oci.tar") == ["one:1.0"]


@pytest.mark.slow
def test_what_to_type_next_gives_what_the_effe_needs(effe_tool: Run, here: Path, made: Path) -> None:
    """It would not start without; a secret's value is not for a command line."""
    needs = '"env": {"A": "1", "B": None}, "secrets": ["KEY"], "version"'
    (here / "needs.py").write_text(EFFE.format(name="needs").replace('"version"', needs))
    done = effe_tool("image", "needs.py", "--base", "base.tar", env=cache_of(made))
    told = "       podman run -p 8080:8080 -e B=VALUE -e KEY needs:1.0  with KEY from the environment"
    assert done.stderr.splitlines()[-1] == told


def test_the_document_has_what_a_script_needs(effe_tool: Run, here: Path) -> None:
    """--json: tag, digest, sizes and the file, nothing else on stdout and nothing on stderr."""
    done = effe_tool("image", "one-1.0.pex", "--base", "base.tar", "--json", "-t", "team/one:2", "-o", "x.tar")
    document = json.loads(done.stdout)
    assert done.stderr == ""
    assert (document["tag"], document["output"]) == ("team/one:2", "x.tar")
    assert document["digest"].startswith("sha256:") and document["own"] < document["size"]
    assert tags(here / "x.tar") == ["team/one:2"]


def test_an_effe_is_built_first(effe_tool: Run, here: Path, made: Path) -> None:
    """A source is as good as its .pex."""
    (here / "three.py").write_text(EFFE.format(name="three"))
    done = effe_tool("image", "three.py", "--base", "base.tar", "-q", env=cache_of(made))
    assert (done.returncode, done.stdout) == (0, "three-1.0.oci.tar\n")
    assert (here / "three-1.0.pex").exists()


def test_what_its_build_warns_of_is_said(effe_tool: Run, here: Path, made: Path) -> None:
    """On stderr, and in the document; as `build` does."""
    (here / "four.py").write_text(EFFE.format(name="four") + "def chart():\n    import numpy\n")
    done = effe_tool("image", "four.py", "--base", "base.tar", env=cache_of(made))
    assert done.returncode == 0 and "warning[E141]: numpy is imported here" in done.stderr
    document = json.loads(effe_tool("image", "four.py", "--base", "base.tar", "--json", env=cache_of(made)).stdout)
    assert [warning["code"] for warning in document["warnings"]] == ["E141"]


def test_a_directory_is_one_image_each(effe_tool: Run, here: Path, made: Path) -> None:
    """One that fails stops no other; the exit code tells."""
    shutil.copytree(made / "out", here / "out")
    (here / "out/bad.pex").write_bytes(b"nonsense")
    done = effe_tool("image", "out", "--base", "base.tar", "-o", "images")
    assert done.returncode == 1
    assert done.stdout == "images/one-1.0.oci.tar\nimages/two-1.0.oci.tar\n"
    assert "out/bad.pex: error[E131]: " in done.stderr
    assert done.stderr.endswith("1 of 3 failed\n")
    document = json.loads(effe_tool("image", "out", "--base", "base.tar", "-o", "images", "--json").stdout)
    assert [image["tag"] for image in document["images"]] == ["one:1.0", "two:1.0"]
    assert [error["code"] for error in document["errors"]] == ["E131"]
    (here / "file").write_text("")
    done = effe_tool("image", "out", "--base", "base.tar", "-o", "file")
    assert (done.returncode, done.stdout) == (1, "") and "error[E136]: file is no directory" in done.stderr


def test_an_output_that_ends_in_a_slash_is_a_directory(effe_tool: Run, here: Path) -> None:
    """One that is not there yet is made; a file of that name stays."""
    done = effe_tool("image", "one-1.0.pex", "--base", "base.tar", "-q", "-o", "new/deep/")
    assert (done.returncode, done.stdout) == (0, "new/deep/one-1.0.oci.tar\n")
    (here / "file").write_text("")
    done = effe_tool("image", "one-1.0.pex", "--base", "base.tar", "-o", "file/")
    assert done.returncode == 1 and "error[E136]" in done.stderr and (here / "file").read_text() == ""


def test_in_a_directory_that_cannot_be_written_the_pex_goes_elsewhere(here: Path, made: Path) -> None:
    """Only the image was asked for; its --output is the one place that is written."""
    (here / "five.py").write_text(EFFE.format(name="five"))
    (here / "there").mkdir()
    here.chmod(0o555)
    # root may write everywhere, unless it gives up this capability
    drop = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    words = ["image", "five.py", "--base", "base.tar", "-q", "-o", "there/x.tar"]
    done = subprocess.run(
        [*drop, sys.executable, "-m", "effetool", *words],
        cwd=here,
        env={**os.environ, **cache_of(made)},
        capture_output=True,
        text=True,
    )
    here.chmod(0o755)
    assert (done.returncode, done.stdout, done.stderr) == (0, "there/x.tar\n", "")
    assert tags(here / "there/x.tar") == ["five:1.0"]
    assert not (here / "five-1.0.pex").exists()


def test_a_directory_of_effes_is_built_and_made(effe_tool: Run, here: Path, made: Path) -> None:
    """As `build` would: out/ mirrors it."""
    shutil.copytree(made / "effes", here / "effes")
    done = effe_tool("image", "effes", "--base", "base.tar", "-q", "-o", "images", env=cache_of(made))
    assert (done.returncode, done.stdout) == (0, "images/one-1.0.oci.tar\nimages/two-1.0.oci.tar\n")
    assert (here / "out/two-1.0.pex").exists()


def test_the_containerfile_can_be_read_and_its_context_kept(effe_tool: Run, here: Path) -> None:
    """--print shows what --engine builds; a quote and a dollar in a label are text."""
    done = effe_tool("image", "one-1.0.pex", "--base", "base.tar", "--print", "-o", "context")
    assert done.returncode == 0
    assert done.stdout == (here / "context/Containerfile").read_text()
    lines = done.stdout.splitlines()
    assert 'LABEL org.opencontainers.image.description="It\'s one, \\$HOME"' in lines
    assert [line for line in lines if line.startswith("COPY")] == ["COPY runtime/ /", "COPY code/ /"]
    assert "STOPSIGNAL SIGTERM" in lines and "USER 65532:65532" in lines
    assert (here / "context/code/app/one.py").read_text() == EFFE.format(name="one")


@pytest.fixture
def empty(tmp_path: Path) -> dict[str, str]:
    """A PATH with nothing on it."""
    (tmp_path / "empty").mkdir()
    return {"PATH": str(tmp_path / "empty")}


FAULTS: dict[str, tuple[list[str], int, str, str]] = {
    "no engine to load into": (
        ["--load"], 1, "E401",
        "install podman; --output FILE writes the image and --push REF sends it without an engine",
    ),
    "no engine of that name": (["--engine", "kubectl"], 1, "E401", "--engine podman or --engine docker"),
    "an engine that is not installed": (["--engine", "docker"], 1, "E401", "install podman; "),
    "no such base": (["--base", "./none.tar"], 1, "E403", "check the path"),
    "a base that is none": (["--base", "one-1.0.pex"], 1, "E403", "podman save --format oci-archive"),
    "a malformed base": (["--base", "Python"], 1, "E404", "write it as python"),
    "a malformed target": (["--push", "https://example.org/x"], 1, "E404", "registry.example/team/hello:1.0"),
    "nobody there": (["--push", "127.0.0.1:1/x"], 1, "E405", "check the reference and the network"),
    "a platform the base lacks": (["--platform", "linux/arm64"], 1, "E406", "--platform linux/amd64"),
    "another system": (["--platform", "windows/amd64"], 2, "E001", "--platform linux/amd64,linux/arm64"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_code_and_its_fix(effe_tool: Run, here: Path, empty: dict[str, str], name: str) -> None:
    """One error with a fix, the right exit code, nothing on stdout, nothing left behind."""
    words, code, error, fix = FAULTS[name]
    before = {path.name for path in here.iterdir()}
    base = [] if "--base" in words else ["--base", "base.tar"]
    done = effe_tool("image", "one-1.0.pex", *base, *words, env=empty)
    assert (done.returncode, done.stdout) == (code, "")
    assert f"error[{error}]: " in done.stderr
    assert fix in done.stderr.rpartition("fix: ")[2]
    assert "Traceback" not in done.stderr
    assert {path.name for path in here.iterdir()} - before <= {"home"}


def test_no_pex_is_said(effe_tool: Run, tmp_path: Path) -> None:
    """A file of something else, and a directory with nothing in it."""
    (tmp_path / "text.pex").write_text("text")
    done = effe_tool("image", "text.pex")
    assert (done.returncode, "error[E131]" in done.stderr) == (1, True)
    (tmp_path / "nothing").mkdir()
    done = effe_tool("image", "nothing")
    assert (done.returncode, "error[E150]: no effe in nothing" in done.stderr) == (1, True)


def test_two_artefacts_are_not_one_image(effe_tool: Run, here: Path) -> None:
    """Refused before anything is written."""
    (here / "out").mkdir()
    for name in ("a.pex", "b.pex"):
        shutil.copy(here / "one-1.0.pex", here / "out" / name)
    done = effe_tool("image", "out", "--base", "base.tar")
    assert done.returncode == 1
    assert "error[E130]: out/a.pex and out/b.pex would both be one:1.0" in done.stderr
    assert list(here.glob("*.tar")) == [here / "base.tar"]


def test_one_name_for_several_is_a_usage_error(effe_tool: Run, here: Path, made: Path) -> None:
    """--tag, --print and --push without a `/` at its end name one image."""
    shutil.copytree(made / "out", here / "out")
    for words in (["-t", "x"], ["--print"], ["--push", "127.0.0.1:1/x"]):
        done = effe_tool("image", "out", *words, "--base", "base.tar")
        assert (done.returncode, "error[E151]" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "words", [["-t", "A B"], ["-t", "x", "-t", "Team/x"], ["--push", "bad ref!"], ["--push", "-/"]]
)
def test_a_name_that_is_none_is_refused_first(effe_tool: Run, here: Path, words: list[str]) -> None:
    """A registry or an engine would refuse it after all the work, or a file keep it."""
    done = effe_tool("image", "one-1.0.pex", *words, "--base", "base.tar")
    assert (done.returncode, "error[E404]: not an image reference" in done.stderr) == (1, True)
    assert "built" not in done.stderr and not list(here.glob("*.oci.tar"))


def test_a_cache_that_cannot_be_written_is_said(effe_tool: Run, here: Path) -> None:
    """XDG_CACHE_HOME may be somewhere that is no directory."""
    (here / "file").touch()
    done = effe_tool("image", "one-1.0.pex", "--base", "base.tar", env={"XDG_CACHE_HOME": str(here / "file")})
    assert (done.returncode, "error[E407]: cannot keep blobs in " in done.stderr) == (1, True)
    assert "fix: XDG_CACHE_HOME=DIR effe-tool image" in done.stderr


@pytest.mark.parametrize("words", [["base"], ["image", "one-1.0.pex", "--base", ""]])
def test_a_small_base_needs_debian(effe_tool: Run, here: Path, empty: dict[str, str], words: list[str]) -> None:
    """`base` says what to use instead; `image` without --base takes Docker Hub's, which is asked for."""
    if words[0] == "base":
        done = effe_tool(*words, env=empty)
        assert (done.returncode, "error[E408]: no apt-get and dpkg-deb here" in done.stderr) == (1, True)
        assert "fix: effe-tool image --base docker.io/library/python:3.13-slim" in done.stderr
    else:
        # A proxy where nobody listens stands for a network without Docker Hub.
        done = effe_tool(*words, env={**empty, "https_proxy": "http://127.0.0.1:1"})
        assert done.returncode == 1
        assert "error[E405]: docker.io does not answer" in done.stderr


def test_ctrl_c_leaves_nothing_half_made(here: Path, environment: dict[str, str]) -> None:
    """The tar appears whole or not at all."""
    path = here / "fifo.tar"
    os.mkfifo(path)  # whoever opens it waits: the base is read for ever
    command = [sys.executable, "-m", "effetool", "image", "one-1.0.pex", "--base", "fifo.tar"]
    process = subprocess.Popen(command, cwd=here, env=environment, stderr=subprocess.PIPE, text=True)
    with path.open("wb"):  # it has begun to read when this opens
        process.send_signal(2)
        _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in words
    assert not list(here.glob("*.oci.tar")) and not list(here.glob(".*new*"))
