"""`effe-tool build` as a user has it: the three lines, each fault as a whole terminal, a tree of effes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

RUN = "def run(context, error, response, request):\n    response.write('hi')\n"
INFO = 'INFO = {"name": "one", "version": "1.0"}\n'

FAULTS = {
    "E101": (
        INFO + "def run(context, error, response, request)\n    pass\n",
        "error[E101]: expected ':'\n --> effe.py:2:43\n  |\n2 | def run(context, error, response, request)\n  |"
        + " " * 43
        + "^\n  fix: ",
    ),
    "E114": (
        'INFO = {"name": "one", "version": 1.0}\n' + RUN,
        "error[E114]: INFO: version is 1.0, not a string\n --> effe.py:1:35\n",
    ),
    "E115": (
        'INFO = {"name": "../one", "version": "1.0"}\n' + RUN,
        'error[E115]: INFO: name "../one" cannot name a file, an image and a service',
    ),
    "E120": (
        INFO + "def Run(context, error, response, request):\n    pass\n",
        "error[E120]: no run: found `Run`, did you mean `run`?\n --> effe.py:2:5\n  |\n"
        "2 | def Run(context, error, response, request):\n  |     ^\n"
        "  fix: rename `Run` to `run`: def run(context, error, response, request):\n",
    ),
    "E121": (
        INFO + "def run(response, request):\n    pass\n",
        "error[E121]: run takes (response, request), it is called with (context, error, response, request)\n"
        " --> effe.py:2:5\n  |\n2 | def run(response, request):\n  |     ^\n"
        "  fix: write def run(context, error, response, request):\n",
    ),
    "E140": (
        '# /// script\n# dependencies = ["no-such-distribution-of-effe"]\n# ///\n' + INFO + RUN,
        "error[E140]: ",
    ),
    "E141": (
        "import numpy\n" + INFO + RUN,
        "error[E141]: numpy is imported but not declared\n --> effe.py:1:8\n  |\n1 | import numpy\n  |        ^\n",
    ),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A cache of the module's own: nothing of the machine's is taken or left."""
    return {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


def ask(pex: Path, cwd: Path, *flags: str) -> tuple[str, int]:
    """Serve the file, ask it once, end it; return the answer and the exit code."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([pex, "-port", str(port), *flags], cwd=cwd, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                    text = answer.read().decode()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        return text, process.wait(60)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_the_three_lines(effe_tool, tmp_path, cache):
    """new, build and run, literally, in an empty directory; then the same from inside the effe."""
    assert effe_tool("new", "hello", env=cache).returncode == 0
    built = effe_tool("build", env=cache)
    assert (built.returncode, built.stdout) == (0, "./hello-1.0.pex\n")
    text, code = ask(tmp_path / "hello-1.0.pex", tmp_path)
    assert re.fullmatch(r"Hello from Effe: \d+\n", text) and code == 0
    said = subprocess.run([tmp_path / "hello-1.0.pex", "-info"], capture_output=True, text=True, timeout=60)
    assert json.loads(said.stdout)["name"] == "hello"
    inside = effe_tool("build", env=cache, cwd=tmp_path / "hello")
    assert (inside.returncode, inside.stdout) == (0, "./hello-1.0.pex\n")
    assert (tmp_path / "hello/hello-1.0.pex").read_bytes() == (tmp_path / "hello-1.0.pex").read_bytes()
    fresh = effe_tool("build", env=cache)
    assert "fresh" in fresh.stderr and fresh.stdout == "./hello-1.0.pex\n"


@pytest.mark.slow
def test_one_file_and_the_original_short_names(effe_tool, tmp_path, cache):
    """`n`, `c` and `compile`; hello.py; -q leaves the path alone on stdout, --json one document."""
    assert effe_tool("n", "hello.py", env=cache).returncode == 0
    quiet = effe_tool("c", "-q", "hello.py", env=cache)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "./hello-1.0.pex\n", "")
    told = effe_tool("compile", "hello.py", "--json", "--out", "other", env=cache)
    document = json.loads(told.stdout)
    assert (document["path"], document["name"], document["version"]) == ("other", "hello", "1.0")
    text, code = ask(tmp_path / "other", tmp_path)
    assert text.startswith("Hello from Effe: ") and code == 0


@pytest.mark.slow
def test_the_file_is_a_real_pex(effe_tool, tmp_path, cache):
    """PEX-INFO is there, the author's modules and the runtime are, and nothing of the tool is."""
    (tmp_path / "effe.py").write_text(INFO + RUN)
    assert effe_tool("build", "effe.py", env=cache).returncode == 0
    with zipfile.ZipFile(tmp_path / "one-1.0.pex") as archive:
        names = set(archive.namelist())
        info = json.loads(archive.read("PEX-INFO"))
    assert info["entry_point"] == "effetool.runtime.__main__:main"
    assert {"effe.py", "effetool/__init__.py", "effetool/runtime/server/server.py", "effetool/embedded.py"} <= names
    assert not [name for name in names if name.startswith(("effetool/cli", "effetool/builder"))]
    tools = subprocess.run(
        [tmp_path / "one-1.0.pex", "info"],
        env={**os.environ, **cache, "PEX_TOOLS": "1", "PEX_ROOT": str(tmp_path / "pex")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(tools.stdout)["entry_point"] == "effetool.runtime.__main__:main"


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_is_told_with_place_caret_and_fix(effe_tool, tmp_path, cache, code):
    """Exit 1, the code, the place, a fix; no traceback, and nothing written."""
    source, told = FAULTS[code]
    (tmp_path / "effe.py").write_text(source)
    built = effe_tool("build", "effe.py", env=cache)
    assert built.returncode == 1 and built.stdout == ""
    assert told in built.stderr and "\n  fix: " in built.stderr and "Traceback" not in built.stderr
    assert list(tmp_path.glob("*.pex")) == []
    document = json.loads(effe_tool("build", "effe.py", "--json", env=cache).stdout)
    assert document["error"]["code"] == code and document["error"]["fix"]


def test_a_path_that_is_no_effe(effe_tool, tmp_path, cache):
    """E150, with what would be one."""
    (tmp_path / "notes.txt").write_text("")
    for path in ("notes.txt", "nowhere", "."):
        built = effe_tool("build", path, env=cache)
        assert (built.returncode, built.stdout) == (1, "") and "error[E150]" in built.stderr


@pytest.mark.slow
def test_without_a_name_a_hash_names_the_file(effe_tool, tmp_path, cache):
    """A warning and a hash, the same for the same inputs; with --strict an error."""
    (tmp_path / "effe.py").write_text('INFO = {"doc": "nameless"}\n' + RUN)
    built = effe_tool("build", "effe.py", env=cache)
    assert built.returncode == 0 and "warning[E114]: INFO has no name" in built.stderr
    assert re.fullmatch(r"\./[0-9a-f]{16}\.pex\n", built.stdout)
    strict = effe_tool("build", "effe.py", "--strict", env=cache)
    assert strict.returncode == 1 and "error[E114]: INFO has no name" in strict.stderr


@pytest.mark.slow
def test_a_directory_of_effes_is_mirrored_and_goes_on(effe_tool, tmp_path, cache):
    """Each effe below, folders mirrored under out/; a failure does not stop the others, and exits 1."""
    effes = tmp_path / "effes"
    (effes / "sub").mkdir(parents=True)
    (effes / "a.py").write_text(INFO.replace("one", "a") + RUN)
    (effes / "sub/b.py").write_text(INFO.replace("one", "b") + RUN)
    (effes / "bad.py").write_text(INFO.replace("one", "bad"))
    (effes / "module.py").write_text("x = 1\n")
    built = effe_tool("build", "effes", env=cache)
    assert built.returncode == 1
    assert built.stdout == "out/a-1.0.pex\nout/sub/b-1.0.pex\n"
    assert "effes/bad.py: error[E120]" in built.stderr and "1 of 3 failed" in built.stderr
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.glob("out/**/*.*")) == [
        "out/a-1.0.pex",
        "out/sub/b-1.0.pex",
    ]


def test_two_effes_with_one_output_build_nothing(effe_tool, tmp_path, cache):
    """E130 before anything is written."""
    (tmp_path / "effes").mkdir()
    for name in ("a.py", "b.py"):
        (tmp_path / "effes" / name).write_text(INFO + RUN)
    built = effe_tool("build", "effes", env=cache)
    assert built.returncode == 1 and "error[E130]" in built.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_module_is_not_run_by_a_build(effe_tool, tmp_path, cache):
    """What the author's module does when imported must not happen while it is built."""
    (tmp_path / "effe.py").write_text(f"open('ran', 'w').close()\n{INFO}{RUN}")
    assert effe_tool("build", "effe.py", env=cache).returncode == 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_plain_command_line_and_one_that_typer_reads_do_the_same(effe_tool, tmp_path, cache):
    """`build` alone is read without typer; with --no-such or any other flag typer reads it."""
    (tmp_path / "effe.py").write_text(INFO + RUN)
    assert effe_tool("build", "effe.py", env=cache).returncode == 0
    for flags in ((), ("-q",), ("-v",), ("--json",)):
        plain = effe_tool("build", "effe.py", *flags, env=cache)
        read = effe_tool("build", "effe.py", *flags, "--dirout", ".", env=cache)
        seconds = re.compile(r"[0-9.]+ s\b")
        assert plain.stdout == read.stdout and plain.returncode == read.returncode == 0
        assert seconds.sub("", plain.stderr) == seconds.sub("", read.stderr)
    (tmp_path / "effe.py").write_text(INFO)
    plain, read = (effe_tool("build", "effe.py", *flags, env=cache) for flags in ((), ("--strict",)))
    assert (plain.returncode, plain.stderr) == (read.returncode, read.stderr) and "E120" in plain.stderr


def test_an_import_that_may_never_run_is_a_warning(effe_tool, tmp_path, cache):
    """In a function that is not of the contract nobody knows whether it runs: the build says so, and goes on."""
    (tmp_path / "effe.py").write_text(f"{INFO}def chart():\n    import numpy\n\n{RUN}")
    built = effe_tool("build", "effe.py", env=cache)
    assert built.returncode == 0 and "warning[E141]: numpy is imported here and not declared" in built.stderr
    assert " --> effe.py:3:12\n" in built.stderr and "declare numpy" in built.stderr


def test_the_document_has_the_warnings(effe_tool, tmp_path, cache):
    """A pipeline reads --json, which writes nothing to stderr: of one effe and of several, each written as an error."""
    effes = tmp_path / "effes"
    effes.mkdir()
    (effes / "a.py").write_text(f"{INFO}def chart():\n    import numpy\n\n{RUN}")
    one = json.loads(effe_tool("build", "effes/a.py", "--json", env=cache).stdout)
    many = json.loads(effe_tool("build", "effes", "--json", env=cache).stdout)
    for document in (one, *many["artifacts"]):
        (warning,) = document["warnings"]
        assert (warning["code"], warning["file"], warning["line"]) == ("E141", "effes/a.py", 3) and warning["fix"]


@pytest.mark.slow
def test_a_budget_for_size_and_start(effe_tool, tmp_path, cache):
    """--max-size in MB, --max-start in ms: missed, the build fails and leaves nothing; met, it says nothing of it."""
    (tmp_path / "effe.py").write_text(INFO + RUN)
    for flag, limit in (("--max-size", "0.01"), ("--max-start", "0.01")):
        missed = effe_tool("build", "effe.py", flag, limit, env=cache)
        assert f"{flag} allows {limit} {'MB' if 'size' in flag else 'ms'}\n" in missed.stderr
        assert missed.returncode == 1 and f"{flag} allows" in missed.stderr and "error[E139]" in missed.stderr
        assert not list(tmp_path.glob("*.pex"))
    met = effe_tool("build", "effe.py", "--max-size", "50", "--max-start", "60000", env=cache)
    assert (met.returncode, met.stdout) == (0, "./one-1.0.pex\n")


def test_a_computed_info_is_read_only_when_asked(effe_tool, tmp_path, cache):
    """--import-info runs the module for its INFO; without it E111 says so, and nothing ran."""
    (tmp_path / "effe.py").write_text(
        f"open('ran', 'a').close()\nINFO = dict(name='one', version='1.' + str(2 - 2))\n{RUN}"
    )
    refused = effe_tool("build", "effe.py", env=cache)
    assert refused.returncode == 1 and "error[E111]" in refused.stderr and "--import-info" in refused.stderr
    assert not (tmp_path / "ran").exists()
    built = effe_tool("build", "effe.py", "--import-info", env=cache)
    assert (built.returncode, built.stdout) == (0, "./one-1.0.pex\n") and (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_computed_info_may_need_what_is_declared(effe_tool, tmp_path, cache):
    """--import-info runs the module with its dependencies; invoke and run take the file; what it lacks is named."""
    code = f"import tomli_w\nINFO = dict(name=tomli_w.__name__.replace('_', '-'), version='1.0')\n{RUN}"
    block = '# /// script\n# requires-python = ">=3.9"\n# dependencies = ["tomli-w==1.2.0"]\n# ///\n'
    (tmp_path / "effe.py").write_text(block + code)
    built = effe_tool("build", "effe.py", "--import-info", env=cache)
    assert (built.returncode, built.stdout) == (0, "./tomli-w-1.0.pex\n"), built.stderr
    assert effe_tool("invoke", "tomli-w-1.0.pex", env=cache).returncode == 0
    assert effe_tool("run", "tomli-w-1.0.pex", "-info", env=cache).stdout == '{"name": "tomli-w", "version": "1.0"}\n'
    (tmp_path / "effe.py").write_text("import missing_one.two\n" + code)
    failed = effe_tool("build", "effe.py", "--import-info", env=cache)
    assert failed.returncode == 1 and "fix: declare the distribution that missing_one is from" in failed.stderr
