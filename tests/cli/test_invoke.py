"""`effe-tool invoke`: one request, its answer on stdout."""

import http.server
import json
import threading

import pytest

pytestmark = pytest.mark.slow

ECHO = """
INFO = {"name": "echo", "version": "1.0"}
print("printed by the effe")
def run(context, error, response, request):
    if request.path == "/bad":
        raise ValueError("no")
    if request.path == "/late":
        response.write("begun")
        response.flush()
        raise ValueError("too late")
    if request.path == "/404":
        response.status = 404
    response.headers["X-Type"] = request.headers.get("content-type", "none")
    response.headers["X-Asked"] = request.headers.get("x-asked", "none")
    response.write(f"{request.method} {request.target} ".encode() + request.body.read())
"""


@pytest.fixture
def echo(tmp_path):
    (tmp_path / "logic.py").write_text(ECHO)


def test_body_on_stdout_and_the_rest_on_stderr(echo, effe_tool):
    """stdout is the body and nothing else, not even what the effe prints; status and phase times are on stderr."""
    done = effe_tool("invoke")
    assert (done.returncode, done.stdout) == (0, "GET / ")
    assert "printed by the effe" in done.stderr
    words = done.stderr.splitlines()[-1].split()
    assert words[:4] == ["200", "OK", "6", "B"]
    assert [word for word in words[4:] if word.isalpha() and word != "ms"] == ["import", "init", "start", "run"]


@pytest.mark.parametrize(
    ("arguments", "body", "kind"),
    [
        (["POST", "/a?b=1"], "POST /a?b=1 ", "none"),
        (["-d", "text"], "POST / text", "text/plain; charset=utf-8"),
        (["-d", '{"a": 1}'], 'POST / {"a": 1}', "application/json"),
        (["/x", "-d", "@body.html"], "POST /x <p>", "text/html"),
        (["PUT", "/x", "-d", "-"], "PUT /x from stdin", "text/plain; charset=utf-8"),
        ([".", "/x", "-H", "Content-Type: a/b", "-H", "X-Asked: yes", "-d", "1"], "POST /x 1", "a/b"),
    ],
)
def test_what_is_sent(echo, effe_tool, tmp_path, arguments, body, kind):
    """Method, path, fields, and a body given as text, as a file or on stdin; its type is guessed unless given."""
    (tmp_path / "body.html").write_text("<p>")
    done = effe_tool("invoke", *arguments, "-i", stdin=None, input="from stdin")
    head, _, got = done.stdout.partition("\n\n")
    assert got == body
    assert head.startswith("HTTP/1.1 200 OK\n")
    assert f"X-Type: {kind}\n" in head
    assert ("X-Asked: yes\n" in head) == ("-H" in arguments)


def test_fail_exits_1(echo, effe_tool):
    """--fail makes a status of 400 and more a failure; without it the status is only told."""
    assert effe_tool("invoke", "/404").returncode == 0
    done = effe_tool("invoke", "/404", "--fail")
    assert (done.returncode, done.stdout) == (1, "GET /404 ")


def test_a_run_that_raises_is_drawn(echo, effe_tool):
    """The answer is 500, and stderr has the author's line."""
    done = effe_tool("invoke", "/bad")
    assert "error[E308]: ValueError: no" in done.stderr
    assert "--> logic.py:6:" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "E308"


def test_an_answer_that_is_cut_says_why(echo, effe_tool):
    """A run that raises behind its first byte: the author's line, once, from a source; the error from a built file."""
    done = effe_tool("invoke", "/late")
    assert (done.returncode, done.stdout) == (1, "begun")
    assert done.stderr.count("error[E308]: ValueError: too late\n --> logic.py:") == 1
    assert "error[E310]: the answer was cut" in done.stderr
    assert effe_tool("build", "-q").returncode == 0
    done = effe_tool("invoke", "echo-1.0.pex", "/late")
    assert (done.returncode, done.stdout) == (1, "begun")
    assert "error[E308]: ValueError: too late" in done.stderr


def test_an_effe_that_does_not_load(effe_tool, tmp_path):
    """Its error is drawn and the exit status 1; nothing is on stdout."""
    (tmp_path / "logic.py").write_text(ECHO + "import nothing_like_this\n")
    done = effe_tool("invoke")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error[E305]: ModuleNotFoundError" in done.stderr


def test_json_is_one_document(echo, effe_tool):
    """--json holds status, headers, body and times."""
    done = effe_tool("invoke", "/x", "--json")
    document = json.loads(done.stdout)
    assert (document["status"], document["body"]) == (200, "GET /x ")
    assert set(document["seconds"]) == {"import", "init", "start", "run"}


def test_saved_requests(echo, effe_tool, tmp_path):
    """A .http file is sent whole, or the request named behind #; its effe is the directory above events/."""
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "two.http").write_text("GET /one\n### second\nPOST /two\nX-Asked: yes\n\nbody\n")
    assert effe_tool("invoke", "events/two.http").stdout == "GET /one POST /two body"
    assert effe_tool("invoke", "events/two.http#second").stdout == "POST /two body"
    done = effe_tool("invoke", "events/two.http#third")
    assert (done.returncode, "there are: second" in done.stderr) == (2, True)


def test_url_asks_a_server(effe_tool):
    """--url sends to what runs there, below its path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        done = effe_tool("invoke", "--url", f"http://127.0.0.1:{server.server_port}/base/", "/x?y")
        assert (done.returncode, done.stdout) == (0, "/base/x?y")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    done = effe_tool("invoke", "--url", f"http://127.0.0.1:{server.server_port}")
    assert (done.returncode, "error[E310]: no answer" in done.stderr) == (1, True)


def test_a_built_file(echo, effe_tool, tmp_path):
    """A .pex is started, asked and stopped."""
    assert effe_tool("build", "-q").returncode == 0
    done = effe_tool("invoke", "echo-1.0.pex", "/x", "-d", "hi")
    assert (done.returncode, done.stdout) == (0, "POST /x hi")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((".", "POST", "no-path"), "is not a path of a URL"),
        ((".", "get", "/x"), "fix: effe-tool invoke . GET /x"),
        (("-H", "no field"), "no header field"),
        (("-H", "A: b\r\nC: d"), "no header field"),
        (("-d", "@none"), "cannot read none"),
        (("-d", "abc", "-H", "content-length: 10"), "content-length is 10, and the body has 3 bytes"),
        (("--url", "ftp://x"), "no URL of a server"),
        (("none.http",), "cannot read none.http"),
    ],
)
def test_wrong_usage(echo, effe_tool, arguments, words):
    """What cannot be sent is exit 2 with a fix, before anything runs."""
    done = effe_tool("invoke", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "fix:" in done.stderr


def test_declared_variables(effe_tool, tmp_path):
    """A missing one is named with its cure; --env-file gives it, INFO its default; a secret is not printed."""
    declared = '"env": {"LANGUAGE": "en", "REGION": None}, "secrets": ["API_KEY"]'
    (tmp_path / "logic.py").write_text(
        f'import os\nINFO = {{"name": "echo", "version": "1.0", {declared}}}\n'
        "def run(context, error, response, request):\n"
        "    if request.path != '/': raise ValueError(os.environ['API_KEY'])\n"
        "    print(os.environ['LANGUAGE'], os.environ['REGION'], len(os.environ['API_KEY']), file=response)\n"
    )
    done = effe_tool("invoke")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error[E311]: INFO declares variables that are not given: REGION, API_KEY (a secret)\n"
        "  fix: --env-file FILE, or REGION=VALUE before the command, or REGION_FILE=PATH, "
        "or the file /run/secrets/REGION\n"
    )
    (tmp_path / "given").write_text("REGION=eu\nAPI_KEY=hunter22\n")
    assert effe_tool("invoke", "--env-file", "given").stdout == "en eu 8\n"
    failed = effe_tool("invoke", "/raise", "--env-file", "given")
    assert "ValueError: ***" in failed.stderr
    assert "hunter22" not in failed.stdout + failed.stderr
