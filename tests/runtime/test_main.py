"""Starting an effe, as a process (effetool/runtime/__main__.py)."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.conftest import pythons

ROOT = Path(__file__).parents[2]
HELLO = """
INFO = {"name": "hello", "version": "1.0", "doc": "Say hello"}
def run(context, error, response, request):
    response.write("hello")
"""
RUN = "def run(context, error, response, request): pass\n"
NEVER_RUN = 'INFO = {"name": "hello", "version": "1.0"}\nraise SystemExit("the module was run")\n'


@pytest.fixture
def effe(tmp_path):
    """Run the runtime on a source with arguments, to its end."""

    def run(source, *arguments, environ=None, python=sys.executable):
        if source is not None:
            (tmp_path / "logic.py").write_text(source)
        variables = {k: v for k, v in os.environ.items() if not k.startswith("EFFE_") and k != "PORT"}
        variables |= {"PYTHONPATH": str(ROOT), "EFFE_LOG": "text", **(environ or {})}
        command = [python, "-m", "effetool.runtime", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=variables, timeout=60)

    return run


def test_info_prints_info_without_running_the_module(effe):
    """A build, a deployment and a curious user read it; none of them wants the author's side effects."""
    done = effe(NEVER_RUN, "-info")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"name": "hello", "version": "1.0"}


def test_info_prints_a_string_as_it_is(effe):
    """Verbatim: its layout is the author's."""
    done = effe('INFO = """{ "name":  "x" }"""\n', "-info")
    assert done.stdout == '{ "name":  "x" }\n'


def test_version_and_help_do_not_run_the_module(effe):
    """And go to stdout: they were asked for."""
    assert effe(NEVER_RUN, "-version").stdout.startswith("hello 1.0 (effe-tool ")
    helped = effe(None, "-help")
    assert helped.returncode == 0 and "-header-timeout D" in helped.stdout and helped.stderr == ""


def test_info_imports_nothing_of_the_server(effe, tmp_path):
    """It takes little more than the interpreter's own start."""
    (tmp_path / "logic.py").write_text(HELLO)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from effetool.runtime.__main__ import main\nmain(['-info'])\n"
        "print(sorted({'http', 'socket', 'threading', 'selectors', 'json', 're', 'effetool.runtime.server.server',"
        " 'effetool.runtime.contract.request', 'typing', 'dataclasses', 'argparse', 'logging', 'asyncio'}"
        " & set(sys.modules)))"
    )
    # The checkout's INFO needs json and ast (and ast needs re); a .pex has it embedded.
    package = tmp_path / "effetool"
    package.symlink_to(ROOT / "effetool")
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True)
    assert set(eval(done.stdout.splitlines()[1])) <= {"json", "re"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-prot", "1"], "effe: there is no flag -prot: did you mean -port?; -help lists them all\n"),
        (["-port", "x"], "effe: -port x: this takes a port from 0 (any free one) to 65535, such as -port 8080\n"),
    ],
)
def test_a_bad_flag_is_one_line_and_exit_2(effe, arguments, line):
    """Wrong usage is told apart from a failure."""
    done = effe(HELLO, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("-help >/dev/full", 1, "effe: stdout: No space left on device\n"),
        ("-version >&-", 1, "effe: stdout is closed\n"),
        ("-port x 2>/dev/full", 2, ""),
    ],
)
def test_a_stream_that_takes_nothing_is_no_traceback(tmp_path, command, code, said):
    """A disk that is full, a closed descriptor."""
    (tmp_path / "logic.py").write_text(HELLO)
    done = subprocess.run(
        f"{sys.executable} -m effetool.runtime {command}", shell=True, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "def init():\n    {}['url']\n" + RUN,
            "init() failed: KeyError: 'url'\n  {path}:2, in init\n    {}['url']\n",
        ),
        (
            "import no_module\n",
            "cannot be imported: ModuleNotFoundError: No module named 'no_module'\n  {path}:1, in <module>\n",
        ),
        ("def run(c, e, p, q)\n", "logic.py:1: "),
        ("def run(a): pass\n", "run() takes 1 arguments here: def run(context, error, response, request)"),
        ("x = 1\n", "has no run()"),
        ("async def init(): raise ValueError('no')\n" + RUN, "init() failed: ValueError: no\n  {path}:1, in init\n"),
        ("import sys\nsys.exit(0)\n", "cannot be imported: SystemExit: 0\n  {path}:2, in <module>\n"),
    ],
)
def test_an_effe_that_cannot_start_names_the_authors_line(effe, tmp_path, source, said):
    """No traceback of ours, the place as an editor opens it, exit 1."""
    done = effe(source, "-port", "0")
    assert done.returncode == 1
    assert said.replace("{path}", str(tmp_path / "logic.py")) in done.stderr
    assert "Traceback" not in done.stderr and "effetool/runtime" not in done.stderr


def test_what_is_no_effe_is_named(effe):
    """A path that is wrong, and an INFO that cannot be read."""
    assert "no effe at ./logic.py: No such file" in effe(None, "-port", "0").stderr
    assert "no effe at nothing.py" in effe(None, "nothing.py").stderr
    assert "logic.py:1: INFO is not JSON" in effe("INFO = '{x}'\n", "-info").stderr
    assert "logic.py:1: INFO is computed" in effe("INFO = dict(a=1)\n", "-info").stderr


def test_a_busy_port_is_exit_1_and_names_its_owner(effe):
    """Before the author's code runs: a slow init does not hide it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = effe(NEVER_RUN, "-host", "127.0.0.1", "-port", str(port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"effe: port {port} is taken by ") and f"-port {port + 1}" in done.stderr


def test_a_failed_start_is_one_record_in_json(effe):
    """A container's log collector reads lines."""
    done = effe("def init(): {}['url']\ndef run(c, e, p, q): pass\n", "-port", "0", environ={"EFFE_LOG": "json"})
    (line,) = done.stderr.splitlines()
    record = json.loads(line)
    assert record["level"] == "critical" and record["message"] == "init() failed" and "url" in record["traceback"]


def test_port_0_says_which_and_answers_there(serve):
    """The ready line comes when it truly answers."""
    running = serve(HELLO)
    assert running.get("/any/path?x") == (200, "hello")
    assert running.stop() == 0
    messages = [record["message"] for record in running.records]
    assert messages == ["hello 1.0 is ready", "stopping", "stopped"]


def test_healthcheck_asks_the_running_effe(serve, effe):
    """The same file and flags as a client: exit 0 when it answers, 1 when not."""
    running = serve(HELLO, "-admin", "127.0.0.1:0")
    where = ["-host", "127.0.0.1", "-port", str(running.port)]
    assert effe(None, "-healthcheck", *where).returncode == 0
    assert effe(None, "-healthcheck", "-admin", f"127.0.0.1:{running.admin}").returncode == 0
    running.stop()
    done = effe(None, "-healthcheck", *where)
    assert done.returncode == 1 and done.stderr.startswith("effe: not ready: ")


def test_call_sends_what_a_schedule_sends(serve, effe):
    """POST / without a body; a refusal and an error are its exit code."""
    running = serve(
        HELLO.replace(
            "response.write", "response.status = 500 if request.method != 'POST' else 200\n    response.write"
        ).replace('"hello")', "request.method + request.path)"),
        "-access-log",
    )
    where = ["-host", "127.0.0.1", "-port", str(running.port)]
    done = effe(None, "-call", *where)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    record = running.record("request")
    assert (record["method"], record["target"], record["status"]) == ("POST", "/", 200)
    running.stop()
    done = effe(None, "-call", *where)
    assert done.returncode == 1 and done.stderr.startswith("effe: ")


@pytest.mark.slow
def test_every_python_serves_without_site_packages(serve):
    """From 3.9 on, under -I -S: nothing but the standard library is there."""
    found = pythons()
    assert found, "no Python that is promised on this machine"
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom effetool.runtime.__main__ import main\nsys.exit(main())"
    )
    for version, python in found.items():
        running = serve(HELLO, command=[python, "-I", "-S", "-c", code, "logic.py"])
        assert running.get() == (200, "hello"), version
        assert running.stop() == 0
