"""The loop: what a save does, a good one and a broken one."""

import os
import re
import socket
import threading

import pytest

from .conftest import HELLO, PATIENCE

pytestmark = pytest.mark.slow


def save_by_rename(path, text):
    """Save as vim and many editors do: the old file away, a new one in its place."""
    path.rename(path.with_name(path.name + "~"))
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.rename(path)


@pytest.mark.parametrize("name", ["logic.py", "hello.py"])
def test_a_save_is_served(dev, tmp_path, name):
    """The next request after `reloaded` is answered by what was saved; one line for each request."""
    running = dev(name=name)
    assert running.get() == (200, "one")
    (tmp_path / name).write_text(HELLO.replace("one", "two"))
    running.wait("reloaded")
    assert running.get("/path?x=1") == (200, "two")
    line = running.wait("GET /path?x=1")
    assert line.split() == ["200", "GET", "/path?x=1", line.split()[3], "ms", "context", "-", "3", "B"]
    assert running.stop() == 130
    assert running.wait("stopped")


def test_two_saves_within_a_second_of_one_size(dev, tmp_path):
    """A save that looks like the last one to .pyc files (same size, same second) is served."""
    running = dev()
    for number, word in enumerate(("two", "six", "ten"), 1):
        (tmp_path / "logic.py").write_text(HELLO.replace("one", word))
        running.wait("reloaded", number)
        assert running.get() == (200, word)


def test_editors_that_rename(dev, tmp_path):
    """A file that is away for a moment is not deleted: no error is shown in between."""
    running = dev()
    save_by_rename(tmp_path / "logic.py", HELLO.replace("one", "two"))
    running.wait("reloaded")
    assert running.get() == (200, "two")
    assert running.count("error") == 0


def test_what_it_imports_and_opens_is_watched(dev, tmp_path):
    """A module beside it, a package in it and a file that start reads; a file it writes itself is not."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "__init__.py").write_text("")
    (tmp_path / "words" / "greeting.py").write_text("WORD = 'one'")
    (tmp_path / "mark.txt").write_text("!")
    running = dev("""
INFO = {"name": "hello", "version": "1.0"}
from words.greeting import WORD
def start():
    with open("log.txt", "a") as log:
        log.write("started")
    open("log.txt").close()
    with open("mark.txt") as file:
        return file.read()
def run(context, error, response, request):
    response.write(WORD + context)
""")
    assert running.get() == (200, "one!")
    (tmp_path / "words" / "greeting.py").write_text("WORD = 'two'")
    running.wait("reloaded  greeting.py")
    assert running.get() == (200, "two!")
    (tmp_path / "mark.txt").write_text("?")
    running.wait("reloaded  mark.txt")
    assert running.get() == (200, "two?")
    assert running.count("reloaded") == 2
    assert (tmp_path / "log.txt").read_text() == "started" * 3


def test_ten_thousand_other_files(dev, tmp_path):
    """Files that nobody opens cost nothing and reload nothing."""
    for folder in range(10):
        (tmp_path / f"d{folder}").mkdir()
        for number in range(1000):
            (tmp_path / f"d{folder}" / f"{number}.py").touch()
    running = dev()
    before = os.times().children_user
    (tmp_path / "d3" / "7.py").write_text("x = 1")
    (tmp_path / "other.py").write_text("x = 1")
    (tmp_path / "logic.py").write_text(HELLO.replace("one", "two"))
    running.wait("reloaded  logic.py")
    assert running.get() == (200, "two")
    assert running.count("reloaded") == 1
    assert os.times().children_user >= before


def test_a_broken_save_is_served_as_its_error(dev, tmp_path):
    """Terminal and client see one text: code, message, place, caret; the next good save is back by itself."""
    running = dev()
    (tmp_path / "logic.py").write_text(HELLO + "def broken(:\n")
    running.wait("until the next good save")
    fault = running.fault()
    assert (fault["code"], fault["line"], fault["column"]) == ("E101", 5, 12)
    assert fault["text"] == "def broken(:"
    assert running.wait(" --> ") == " --> logic.py:5:12"
    assert running.wait("5 | def broken(:")
    (tmp_path / "logic.py").write_text(HELLO.replace("one", "two"))
    running.wait("reloaded")
    assert running.get() == (200, "two")


@pytest.mark.parametrize(
    ("source", "code", "message", "line", "text"),
    [
        ("import nothing_like_this", "E305", "ModuleNotFoundError: No module named 'nothing_like_this'", 5, None),
        ("import json\njson.loads('{')", "E305", "JSONDecodeError: Expecting property name", 6, "json.loads('{')"),
        ("def init():\n    1 / 0", "E306", "init: ZeroDivisionError: division by zero", 6, "    1 / 0"),
        ("import sys\nsys.exit(3)", "E305", "SystemExit: 3", 6, "sys.exit(3)"),
        ("import os\nos._exit(3)", "E309", "the effe's process ended while it was loaded: exit status 3", None, None),
        ("run = 5", "E122", "run is 5, not a function", 5, "run = 5"),
    ],
)
def test_each_way_of_being_broken(dev, tmp_path, source, code, message, line, text):
    """Whatever keeps an effe from loading is answered at once, at the author's own line."""
    running = dev(HELLO + source + "\n")
    fault = running.fault()
    assert fault["code"] == code
    assert message in fault["message"]
    assert fault["line"] == line
    if text:
        assert fault["text"] == text
    (tmp_path / "logic.py").write_text(HELLO)
    running.wait("reloaded")
    assert running.get() == (200, "one")


def test_a_missing_module_that_appears(dev, tmp_path):
    """Writing the module that was missing is a save too."""
    running = dev(HELLO + "import helper\n")
    assert "helper" in running.fault()["message"]
    (tmp_path / "helper.py").write_text("")
    running.wait("reloaded  helper.py")
    assert running.get() == (200, "one")


def test_a_run_that_raises_shows_where(dev):
    """The author's innermost line, below it no library; the effe goes on."""
    running = dev("""
INFO = {"name": "hello", "version": "1.0"}
import json
def parse(text):
    return json.loads(text)
def run(context, error, response, request):
    if request.path == "/returned":
        return ValueError("as a value")
    if request.path == "/bad":
        parse("{")
    response.write("fine")
""")
    status, text, response = running.ask("GET", "/bad", headers={"Accept": "text/html"})
    assert status == 500
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "JSONDecodeError" in text
    assert "logic.py:5:12" in text
    assert running.wait(" --> ") == " --> logic.py:5:12"
    assert running.get("/returned") == (200, "")
    assert running.wait("run returned ValueError: as a value")
    assert running.get() == (200, "fine")
    assert not [line for line in running.lines if line and ("Traceback" in line or "decoder.py" in line)]


def test_a_run_that_returns_its_body_is_told(dev, tmp_path):
    """Who returns what other frameworks take reads in the answer, too, what to write instead."""
    running = dev(HELLO.replace("one", "two") + "def run(context, error, response, request):\n    return {'a': 1}\n")
    fault = running.fault()
    assert (fault["code"], fault["line"], fault["fix"]) == ("E308", 5, "response.json(…) instead of return …")
    assert "run() returned dict; write the body to `response` instead" in fault["message"]
    assert running.wait(" --> ") == " --> logic.py:5:1"
    (tmp_path / "logic.py").write_text(HELLO)
    running.wait("reloaded")
    assert running.get() == (200, "one")


def test_start_that_fails_reaches_run(dev):
    """The terminal shows where start failed; the request is run's to answer."""
    running = dev("""
INFO = {"name": "hello", "version": "1.0"}
def start():
    raise OSError("no database")
def run(context, error, response, request):
    response.status = 503
    response.write(str(error))
""")
    assert running.get() == (503, "no database")
    assert running.wait("error[E307]: OSError: no database")


def test_async_effe(dev, tmp_path):
    """`async def` reloads as a plain function does."""
    source = """
INFO = {"name": "hello", "version": "1.0"}
import asyncio
async def start():
    return "one"
async def run(context, error, response, request):
    await asyncio.sleep(0)
    if request.path == "/bad":
        raise ValueError("no")
    response.write(context)
"""
    running = dev(source)
    assert running.get() == (200, "one")
    status, text, _ = running.ask("GET", "/bad")
    assert (status, "logic.py" in text) == (500, True)
    (tmp_path / "logic.py").write_text(source.replace("one", "two"))
    running.wait("reloaded")
    assert running.get() == (200, "two")


def test_no_request_is_lost_and_contexts_are_stopped(dev, tmp_path):
    """Under load, saves lose nothing: each answer is whole and one of the two versions; old contexts are stopped."""
    source = """
INFO = {"name": "hello", "version": "1.0"}
def start():
    return "one"
def run(context, error, response, request):
    response.write(context)
def stop(context):
    with open("stopped", "a") as file:
        file.write(context + " ")
"""
    running = dev(source)
    answers, failures, ended = [], [], threading.Event()

    def load():
        while not ended.is_set():
            try:
                answers.append(running.get())
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 6):
        (tmp_path / "logic.py").write_text(source.replace("one", f"v{number}"))
        running.wait("reloaded", number)
    ended.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {status for status, _ in answers} == {200}
    assert {text for _, text in answers} <= {"one", "v1", "v2", "v3", "v4", "v5"}
    assert running.get() == (200, "v5")
    assert running.stop() == 130
    assert sorted((tmp_path / "stopped").read_text().split()) == ["one", "v1", "v2", "v3", "v4", "v5"]


def test_a_running_request_ends_with_what_it_began_with(dev, tmp_path):
    """The old child finishes what is under way, while the new one already serves."""
    source = """
INFO = {"name": "hello", "version": "1.0"}
import os, time
def run(context, error, response, request):
    if request.path == "/slow":
        response.write("begun")
        response.flush()
        while not os.path.exists("go"):
            time.sleep(0.01)
    response.write("one")
"""
    running = dev(source)
    import http.client

    slow = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    slow.request("GET", "/slow")
    response = slow.getresponse()
    assert response.read(5) == b"begun"
    (tmp_path / "logic.py").write_text(source.replace("one", "two"))
    running.wait("reloaded")
    assert running.get() == (200, "two")
    (tmp_path / "go").touch()
    assert response.read() == b"one"
    slow.close()


def test_an_effe_that_crashes_while_it_serves(dev, tmp_path):
    """The process is gone: requests get the reason at once, and the next save serves again."""
    source = HELLO.replace(
        'response.write("one")',
        'import os\n    if request.path == "/die": os.kill(os.getpid(), 9)\n    response.write("one")',
    )
    running = dev(source)
    with pytest.raises(OSError):
        running.get("/die")
    running.wait("until the next good save")
    assert "ended while it served: signal SIGKILL" in running.fault()["message"]
    (tmp_path / "logic.py").write_text(HELLO)
    running.wait("reloaded")
    assert running.get() == (200, "one")


@pytest.mark.parametrize("where", ["module", "init"])
def test_a_save_that_hangs_is_spoken_of_and_overtaken(dev, tmp_path, where):
    """The version before goes on, the wait is said, and the next save does not wait for it."""
    running = dev()
    loop = "while 1: pass\n"
    (tmp_path / "logic.py").write_text(HELLO + (loop if where == "module" else f"def init():\n    {loop}"))
    line = running.wait("the version before is served")
    assert re.fullmatch(r"still loading logic.py, \d+ s: the version before is served; a save starts anew", line)
    assert running.get() == (200, "one")
    (tmp_path / "logic.py").write_text(HELLO.replace("one", "two"))
    running.wait("reloaded")
    assert running.get() == (200, "two")


def test_a_save_does_not_wait_for_an_installation(dev, tmp_path):
    """An index that is silent: the version before goes on, the wait is said, a save without it is served."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        environ = {"PIP_INDEX_URL": url, "UV_DEFAULT_INDEX": url, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        environ |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "NO_PROXY": "127.0.0.1"}
        running = dev(environ=environ)
        declared = '# /// script\n# dependencies = ["effe-nowhere"]\n# ///\n'
        (tmp_path / "logic.py").write_text(declared + HELLO)
        running.wait("still installing what is declared in logic.py")
        assert running.get() == (200, "one")
        (tmp_path / "logic.py").write_text(HELLO.replace("one", "two"))
        running.wait("reloaded")
        assert running.get() == (200, "two")


def test_info_without_a_version_is_said_once(dev, tmp_path):
    """A build would name the file by a hash: that is a warning here too, and no INFO at all is the error."""
    running = dev(HELLO.replace(', "version": "1.0"', ""))
    running.wait("warning[E114]: INFO has no version")
    assert running.get() == (200, "one")
    (tmp_path / "logic.py").write_text(HELLO.replace("INFO", "info"))
    running.wait("until the next good save")
    assert running.fault()["code"] == "E110"
    assert running.count("E114") == 1


def test_env_file(dev, tmp_path):
    """Its variables reach the effe, a change of it is a save, and what the environment has wins."""
    (tmp_path / ".env").write_text("WORD=one\nHOME=/elsewhere\n")
    running = dev(
        'import os\nINFO = {"name": "hello", "version": "1.0"}\nWORD = os.environ["WORD"] + os.environ["HOME"]\n'
        "def run(context, error, response, request):\n    response.write(WORD)\n",
        "-port",
        "0",
        "--env-file",
        ".env",
        environ={"HOME": "/home"},
    )
    assert running.get() == (200, "one/home")
    (tmp_path / ".env").write_text("WORD=two\n")
    running.wait("reloaded  .env")
    assert running.get() == (200, "two/home")
    (tmp_path / ".env").write_text("WORD two\n")
    running.wait("until the next good save")
    fault = running.fault()
    assert (fault["code"], fault["line"]) == ("E304", 1)


def test_what_cannot_be_recorded_is_answered_all_the_same(dev, tmp_path):
    """A name that is a file is refused at once; a directory that becomes one is a note, and the request is served."""
    (tmp_path / "events").touch()
    refused = dev(HELLO, "-port", "0", "--record", "events", ready=False)
    assert refused.process.wait(PATIENCE) == 2 and refused.wait("error[E001]: events is not a directory")
    running = dev(HELLO, "-port", "0", "--record", "later")
    (tmp_path / "later").touch()
    assert running.get() == (200, "one")
    running.wait("not recorded: ")


def test_record(dev, tmp_path):
    """--record writes each request as a file, without its secrets."""
    running = dev(HELLO, "-port", "0", "--record", "events")
    running.ask("POST", "/a/b?x=1", body='{"a": 1}', headers={"Content-Type": "application/json", "Cookie": "secret"})
    text = (tmp_path / "events" / "post-a-b-1.http").read_text()
    assert text.startswith("# Cookie was sent and is not kept here\nPOST /a/b?x=1 HTTP/1.1\n")
    assert text.endswith('Content-Type: application/json\n\n{"a": 1}\n')
    assert "secret" not in text


def test_a_terminals_debugger_holds_the_reload(dev, tmp_path):
    """breakpoint() opens pdb on the author's line; a save waits until it is left, then is served."""
    import pty

    source = HELLO.replace('    response.write("one")', '    word = "one"\n    breakpoint()\n    response.write(word)')
    main, side = pty.openpty()
    # Its prompt goes to stdout.
    running = dev(source, stdin=side, environ={"TERM": "dumb"})
    os.close(side)
    answer = []
    thread = threading.Thread(target=lambda: answer.append(running.get()))
    thread.start()
    shown = ""
    while "(Pdb)" not in shown:
        shown += running.process.stdout.read(1)
    assert "logic.py(6)run()" in shown or "logic.py(5)run()" in shown
    (tmp_path / "logic.py").write_text(HELLO.replace("one", "two"))
    running.wait("saved; served once the debugger is done")
    assert running.count("reloaded") == 0
    os.write(main, b"word = 'changed'\nc\n")
    running.wait("reloaded")
    thread.join(60)
    assert answer == [(200, "changed")]
    assert running.get() == (200, "two")
    os.close(main)


def test_a_variable_that_is_not_given(dev, tmp_path):
    """It is an error like any other: shown, answered with, and gone when the env file has it."""
    (tmp_path / "given").write_text("")
    source = HELLO.replace('"1.0"', '"1.0", "secrets": ["API_KEY"]').replace('"one"', '"one" + " %s" % len(KEY)')
    running = dev("import os\nKEY = os.environ['API_KEY']\n" + source, "--env-file", "given", "-port", "0", ready=False)
    running.wait("error[E311]: INFO declares variables that are not given: API_KEY (a secret)")
    running.ready()
    assert running.get()[0] == 500
    (tmp_path / "given").write_text("API_KEY=0123456789\n")
    running.wait("reloaded  given")
    assert running.get() == (200, "one 10")
    assert running.get("/?key=0123456789") == (200, "one 10")
    running.wait("GET /?key=***")
    assert running.count("0123456789") == 0
