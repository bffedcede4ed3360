"""The command line as a whole: usage errors, exit codes, streams, colours, signals, and what it imports."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from effetool import __version__
from effetool.cli.commands import COMMANDS
from effetool.cli.deploy import TARGETS

USAGE = {
    ("nwe",): "error[E001]: no such command: nwe\n  fix: did you mean effe-tool new?\n",
    ("xyzzy",): "error[E001]: no such command: xyzzy\n  fix: effe-tool --help lists them\n",
    ("nope",): "error[E001]: no such command: nope\n  fix: effe-tool --help lists them\n",
    ("compil",): "error[E001]: no such command: compil\n  fix: did you mean effe-tool compile?\n",
    ("help",): "error[E001]: no such command: help\n  fix: did you mean effe-tool --help?\n",
    ("init",): "error[E001]: no such command: init\n  fix: did you mean effe-tool new?\n",
    ("--jason",): "error[E001]: no such option: --jason\n  fix: effe-tool --help\n",
    ("new", "--frce", "a"): "error[E001]: no such option: --frce\n  fix: did you mean --force?\n",
    ("new", "-Z"): "error[E001]: no such option: -Z\n  fix: effe-tool new --help\n",
    ("new", "a", "b", "c"): "error[E001]: more arguments than new takes: b c\n  fix: effe-tool new --help\n",
    ("-q", "info"): "error[E001]: no such option: -q\n  fix: flags stand after the command: effe-tool info -q\n",
    ("-q", "new", "x"): "error[E001]: no such option: -q\n  fix: flags stand after the command: effe-tool new x -q\n",
    ("build", "-j", "x"): "error[E001]: '--jobs' / '-j' takes a number, not 'x'\n  fix: effe-tool build --help\n",
    ("new", "--template"): "error[E001]: option '--template' requires an argument\n  fix: effe-tool new --help\n",
    ("deploy",): "error[E001]: missing command\n  fix: effe-tool deploy --help\n",
    ("deploy", "proxy"): "error[E001]: no such command: deploy proxy\n  fix: did you mean effe-tool deploy haproxy?\n",
    ("deploy", "xyzzy"): "error[E001]: no such command: deploy xyzzy\n  fix: effe-tool deploy --help lists them\n",
    ("deploy", "haproxy", "--insta"): "error[E001]: no such option: --insta\n  fix: did you mean --instances?\n",
    ("dev", "-prot", "8"): "error[E001]: no such option: -prot\n  fix: did you mean -port?\n",
    ("dev", "-pxyz"): "error[E001]: '--port' / '-p' / '-port' takes a number, not 'xyz'\n  fix: effe-tool dev --help\n",
    (
        "run",
        "--json",
        "nope",
    ): "error[E001]: there is no flag -json; -help lists them all\n  fix: effe-tool run PATH -help\n",
    ("run", "-port", "1", "a b"): (
        "error[E001]: the path stands before the flags of the effe\n  fix: effe-tool run 'a b' -port 1\n"
    ),
    ("new", "x", "-t", ""): "error[E202]: no template ''\n  fix: effe-tool new --list shows all\n",
    ("build", "-o", "a.pex", "--dirout", "o"): (
        "error[E001]: --out names the whole path, and --dirout a directory: give one of them\n  fix: --out o/a.pex\n"
    ),
    ("build", "--lock", "--locked"): (
        "error[E001]: --lock and --locked contradict each other\n"
        "  fix: --lock writes the lock, --locked holds the build to it\n"
    ),
    ("new", "--force=3", "x"): "error[E001]: option '--force' does not take a value\n  fix: effe-tool new --help\n",
}


@pytest.mark.parametrize("arguments", USAGE)
def test_wrong_usage(arguments: tuple[str, ...], effe_tool) -> None:
    """Exit 2, one line that says what is wrong and one that says what to type; stdout is empty."""
    done = effe_tool(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", USAGE[arguments])


def test_a_path_is_no_command(effe_tool, tmp_path: Path) -> None:
    """An effe typed where a command belongs: the command that runs it."""
    (tmp_path / "hello").mkdir()
    done = effe_tool("hello")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error[E001]: no such command: hello\n  fix: effe-tool run hello, if it is an effe\n"


@pytest.mark.parametrize("arguments", [("nwe", "--json"), ("new", "--frce", "--json"), ("new", "a", "b", "--json")])
def test_wrong_usage_as_json(arguments: tuple[str, ...], effe_tool) -> None:
    """--json holds for what typer refuses too."""
    done = effe_tool(*arguments)
    assert (done.returncode, done.stderr) == (2, "")
    error = json.loads(done.stdout)["error"]
    assert sorted(error) == ["code", "column", "file", "fix", "line", "message"]
    assert error["code"] == "E001"


def test_run_takes_the_effe_here(effe_tool, tmp_path: Path) -> None:
    """No path means the working directory, before flags of the effe too."""
    (tmp_path / "logic.py").write_text('INFO = {"name": "here"}\ndef run(context, error, response, request): ...\n')
    done = effe_tool("run", "-info")
    assert (done.returncode, done.stdout) == (0, '{"name": "here"}\n'), done.stderr


def test_no_arguments_is_help_on_stderr(effe_tool) -> None:
    """Nothing was done: exit 2, and a pipe gets nothing."""
    done = effe_tool()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == effe_tool("--help").stdout


def test_help_lists_every_command(effe_tool) -> None:
    """In the table's order, without aliases, on stdout."""
    done = effe_tool("-h")
    assert (done.returncode, done.stderr) == (0, "")
    listed = done.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "] == list(COMMANDS)


@pytest.mark.parametrize(
    "command", [*(name for name in COMMANDS if name not in ("run", "deploy")), *(f"deploy {name}" for name in TARGETS)]
)
def test_every_command_takes_the_common_flags_after_the_word(command: str, effe_tool) -> None:
    """-q -v --json --traceback and both spellings of help."""
    done = effe_tool(*command.split(), "-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == effe_tool(*command.split(), "--help").stdout
    for flag in ("-q, --quiet", "-v, --verbose", "--json", "--traceback", "-h, --help"):
        assert f"  {flag} " in done.stdout, flag


def test_aliases_are_the_command(effe_tool) -> None:
    """The original's short names."""
    for name, aliases in COMMANDS.items():
        for alias in aliases:
            shown = effe_tool(alias, "--help").stdout
            assert shown.replace(f"effe-tool {alias}", f"effe-tool {name}") == effe_tool(name, "--help").stdout


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag: str, effe_tool) -> None:
    """One line on stdout."""
    done = effe_tool(flag)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"effe-tool {__version__}\n", "")


def imported(environment: dict[str, str], cwd: Path, *arguments: str) -> set[str]:
    """Return the top-level names of all modules that a command imports, in a process of its own."""
    report = cwd / "modules"
    code = (
        "import atexit, pathlib, sys\n"
        f"atexit.register(lambda: pathlib.Path({str(report)!r}).write_text('\\n'.join(sys.modules)))\n"
        f"sys.argv[1:] = {list(arguments)!r}\n"
        "from effetool.__main__ import main\nsys.exit(main())"
    )
    subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, timeout=60, check=True)
    names = report.read_text().split()
    return {*names, *(name.partition(".")[0] for name in names)}


def test_version_imports_next_to_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    """The quickest question: not even typer."""
    found = imported(environment, tmp_path, "--version")
    assert found.isdisjoint({"typer", "rich", "jinja2", "pex", "pydantic", "effetool.cli"})


@pytest.mark.parametrize("arguments", [("info", "effe.py"), ("explain", "E101"), ("new", "--list")])
def test_a_command_imports_what_it_needs(
    arguments: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    """None of the heavy libraries, no client of the network, no other command."""
    (tmp_path / "effe.py").write_text('INFO = {"name": "a", "version": "1"}\n')
    found = imported(environment, tmp_path, *arguments)
    assert found.isdisjoint({"rich", "jinja2", "pex", "pip", "pydantic", "http.client", "ssl", "asyncio"})
    commands = {name.rpartition(".")[2] for name in found if name.startswith("effetool.cli.")} & {*COMMANDS}
    assert commands == {arguments[0]}


def test_a_fresh_build_imports_next_to_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    """The build that is typed most: neither typer nor what makes artefacts, when the artefact is there."""
    environment = {**environment, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    (tmp_path / "effe.py").write_text(
        'INFO = {"name": "a", "version": "1"}\ndef run(context, error, response, request): ...\n'
    )
    first = imported(environment, tmp_path, "build", "effe.py")
    assert "effetool.builder.assemble" in first and "typer" not in first
    again = imported(environment, tmp_path, "build", "effe.py")
    heavy = {"typer", "rich", "pydantic", "subprocess", "tempfile", "zipfile", "logging", "effetool.builder.assemble"}
    assert again.isdisjoint(heavy)


def test_new_imports_jinja2_and_no_network(environment: dict[str, str], tmp_path: Path) -> None:
    """Rendering needs jinja2; nothing needs rich, pex or a client of the network."""
    found = imported(environment, tmp_path, "new", "hello")
    assert "jinja2" in found
    assert found.isdisjoint({"rich", "pex", "pip", "http.client", "ssl", "urllib.request"})


@pytest.mark.parametrize("arguments", [("new", "hello"), ("new", "--list"), ("info", "effe.py"), ("explain",)])
def test_no_socket_is_opened(arguments: tuple[str, ...], environment: dict[str, str], tmp_path: Path) -> None:
    """`new` and `info` never touch the network: the interpreter's own audit sees every socket."""
    (tmp_path / "effe.py").write_text('INFO = {"name": "a", "version": "1"}\n')
    code = (
        "import sys\n"
        "def audit(event, args):\n"
        "    if event.startswith(('socket.', 'urllib.', 'http.', 'ftplib.')): print(event, file=sys.stderr)\n"
        "sys.addaudithook(audit)\n"
        "import socket; socket.gethostname()\n"  # the audit does see: one event is sure
        f"sys.argv[1:] = {list(arguments)!r}\n"
        "from effetool.__main__ import main\nsys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    events = [line for line in done.stderr.splitlines() if line.startswith(("socket.", "urllib.", "http."))]
    assert (done.returncode, events) == (0, ["socket.gethostname"])


def test_colours_are_for_terminals(effe_tool, environment: dict[str, str], tmp_path: Path) -> None:
    """A pipe gets none unless FORCE_COLOR; a terminal some unless NO_COLOR or TERM=dumb; NO_COLOR beats FORCE_COLOR."""

    def on_terminal(**env: str) -> bytes:
        leader, follower = pty.openpty()
        try:
            subprocess.run(
                [sys.executable, "-m", "effetool", "info", "nope"],
                cwd=tmp_path,
                env={**environment, **env},
                stderr=follower,
                stdin=follower,
                stdout=subprocess.DEVNULL,
                timeout=60,
            )
        finally:
            os.close(follower)
        shown = b""
        try:
            while chunk := os.read(leader, 65536):
                shown += chunk
        except OSError:  # EIO: the other end is closed, and all was read
            pass
        os.close(leader)
        return shown

    assert "\x1b[" not in effe_tool("info", "nope").stderr
    assert "\x1b[1;31merror[E150]\x1b[0m" in effe_tool("info", "nope", env={"FORCE_COLOR": "1"}).stderr
    assert "\x1b[" not in effe_tool("info", "nope", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stderr
    assert b"\x1b[1;31merror[E150]\x1b[0m" in on_terminal()
    assert b"error[E150]" in on_terminal(NO_COLOR="1")
    assert b"\x1b[" not in on_terminal(NO_COLOR="1")
    assert b"\x1b[" not in on_terminal(TERM="dumb")


def test_a_closed_pipe_is_no_traceback(environment: dict[str, str], tmp_path: Path) -> None:
    """`effe-tool explain | head -0`: the reader is gone, the tool ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "effetool", "explain"],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=tmp_path,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full: a device of Linux")
@pytest.mark.parametrize("word", ["explain", "--help", "--version"])
def test_a_full_disk_is_no_traceback(word: str, environment: dict[str, str], tmp_path: Path) -> None:
    """The system's word, exit 1."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "effetool", word],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=tmp_path,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == b"error[E002]: No space left on device\n  fix: set that right, then run it again\n"


SLOWEST = pytest.param("build --rebuild", marks=pytest.mark.slow)


@pytest.mark.parametrize("words", ["--help", "--version", "info", SLOWEST, "explain E101"])
def test_closed_streams_are_no_traceback(words: str, environment: dict[str, str], tmp_path: Path) -> None:
    """`>&-`, and all three closed: what is said goes nowhere, and into no file that the command opens."""
    (tmp_path / "logic.py").write_text(
        'INFO = {"name": "a", "version": "1"}\ndef run(context, error, response, request): ...\n'
    )
    for closed in (">&-", "<&- >&- 2>&-"):
        command = f"exec '{sys.executable}' -m effetool {words} {closed}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, env=environment, cwd=tmp_path, timeout=60)
        assert done.returncode == 0 and b"Traceback" not in done.stderr
    if words.startswith("build"):
        assert subprocess.run([tmp_path / "a-1.pex", "-version"], capture_output=True, check=True).stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupt_ends_it(number: signal.Signals, code: int, environment: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C is 130, kill is 143, a closed terminal 129; none shows a traceback."""
    script = (
        "import signal, sys; from effetool import cli; from effetool.templating import scaffold\n"
        "def new(*given): print('ready', flush=True); signal.pause()\n"
        "scaffold.new = new\n"
        "sys.exit(cli.main(['new', 'hello']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (code, "")


@pytest.mark.parametrize("module", ["effetool.cli", "effetool.cli.console", "typer", "effetool.templating.scaffold"])
def test_an_interrupt_while_modules_are_imported(module: str, environment: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C in the first moment: 130 and no traceback, whatever is imported just then."""
    script = (
        "import os, signal, sys\n"
        "class Typed:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Typed())\n"
        "from effetool.__main__ import main\n"
        "sys.argv = ['effe-tool', 'new', 'hello']\n"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=environment, cwd=tmp_path, text=True, timeout=60
    )
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (130, "", [])


def test_nohup_keeps_its_promise(environment: dict[str, str], tmp_path: Path) -> None:
    """SIGHUP that was ignored stays ignored."""
    script = (
        "import os, signal, sys; from effetool import cli; from effetool.templating import scaffold\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "def new(*given): os.kill(os.getpid(), signal.SIGHUP); sys.exit(7)\n"
        "scaffold.new = new\n"
        "sys.exit(cli.main(['new', 'hello']))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, timeout=60)
    assert done.returncode == 7


def test_a_directory_that_went_away(tmp_path: Path) -> None:
    """The working directory was deleted: an error, no traceback."""
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, sys; os.rmdir(os.getcwd()); from effetool.cli import main; sys.exit(main(['new', '.']))",
        ],
        cwd=gone,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error[E002]: No such file or directory\n")


def test_traceback_brings_it_back(effe_tool) -> None:
    """--traceback shows where in the tool the error was raised; without it there is none."""
    done = effe_tool("info", "nope", "--traceback")
    assert done.returncode == 1
    assert done.stderr.startswith("error[E150]: no such file or directory: nope\n")
    assert "Traceback (most recent call last):" in done.stderr
    assert "Traceback" not in effe_tool("info", "nope").stderr


@pytest.mark.parametrize(("group", "commands"), [([], COMMANDS), (["deploy"], TARGETS)])
def test_what_a_command_does_is_told_whole(group, commands):
    """In the list of commands on a terminal of 80 columns none is cut off."""
    variables = {**os.environ, "COLUMNS": "80"}
    told = subprocess.run(
        [sys.executable, "-m", "effetool", *group, "--help"], capture_output=True, text=True, env=variables, check=True
    )
    listed = told.stdout.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.strip()] == [*commands]
    assert "..." not in listed
