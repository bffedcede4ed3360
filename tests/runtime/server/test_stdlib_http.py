"""effetool.runtime.server.stdlib_http: http.server without what it pulls in, on every supported Python."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from effetool.builder.interpreters import find_pythons

ROOT = Path(__file__).parents[3]
PYTHONS = find_pythons()
HEAD = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"


def run(python: Path, program: str) -> str:
    done = subprocess.run(
        [python, "-I", "-S", "-c", HEAD + program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=sorted(PYTHONS), ids="3.{}".format)
def python(request: pytest.FixtureRequest) -> Path:
    return PYTHONS[request.param]


def test_the_deferred_modules_are_not_imported_and_no_stand_in_stays(python: Path) -> None:
    program = """
from effetool.runtime.server import stdlib_http as httpbase
for name in (*httpbase.DEFERRED, "ssl", "email.parser", "bz2"):
    assert name not in sys.modules, name
import http.server
assert httpbase.HTTPServer is http.server.HTTPServer
assert httpbase.BaseHTTPRequestHandler is http.server.BaseHTTPRequestHandler
"""
    run(python, program)


def test_modules_imported_afterwards_are_the_real_ones(python: Path) -> None:
    program = """
from effetool.runtime.server import stdlib_http as httpbase
import copy, http.client, email, email.utils, ssl, html, mimetypes, shutil, datetime, urllib.parse
for name in httpbase.DEFERRED:
    assert type(sys.modules[name]) is type(sys) and sys.modules[name].__spec__.name == name, name
assert http.client is sys.modules["http.client"] and email.utils is sys.modules["email.utils"]
assert httpbase.BaseHTTPRequestHandler.MessageClass is http.client.HTTPMessage
assert "MessageClass" in vars(httpbase.BaseHTTPRequestHandler)
assert vars(httpbase.BaseHTTPRequestHandler)["MessageClass"] is http.client.HTTPMessage
"""
    run(python, program)


def test_modules_imported_before_are_left_alone(python: Path) -> None:
    program = """
import http.client, email.utils, shutil, http.server
before = {name: sys.modules[name] for name in ("http.client", "email", "email.utils", "shutil", "http.server")}
from effetool.runtime.server import stdlib_http as httpbase
assert {name: sys.modules[name] for name in before} == before
assert http.server.http.client.HTTPMessage is httpbase.BaseHTTPRequestHandler.MessageClass
"""
    run(python, program)


def test_http_client_is_there_for_code_that_imports_http_server_alone(python: Path) -> None:
    program = """
from effetool.runtime.server import stdlib_http as httpbase
import http.server
print(http.client.HTTPConnection.__module__)
try:
    http.nothing
except AttributeError as error:
    print(error)
"""
    assert run(python, program) == "http.client\nmodule 'http' has no attribute 'nothing'\n"


def test_threads_that_ask_at_once_wait_for_the_whole_module(python: Path, tmp_path: Path) -> None:
    """One thread is held in the middle of the import of http.client; the other must not get what is there by then."""
    program = """
from effetool.runtime.server import stdlib_http as httpbase
import builtins, http, threading
began, go_on = threading.Event(), threading.Event()
real = builtins.__import__
def slow(name, *rest, **more):
    if name == "email.parser" and not began.is_set():
        began.set()
        go_on.wait(30)
    return real(name, *rest, **more)
builtins.__import__ = slow
seen = []
def ask():
    try:
        seen.append(http.client.parse_headers.__name__)
    except Exception as error:
        seen.append(repr(error))
first = threading.Thread(target=ask)
first.start()
began.wait(30)
second = threading.Thread(target=ask)
second.start()
second.join(0.3)  # it waits now, or has failed
go_on.set()
first.join(); second.join()
print(seen)
"""
    assert run(python, program) == "['parse_headers', 'parse_headers']\n"


def test_no_other_module_of_the_runtime_takes_a_module_out_of_sys_modules() -> None:
    """An import statement waits for a thread that is half through the same import; a look into sys.modules does not."""
    readers = set()
    for path in (ROOT / "effetool" / "runtime").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "modules" and ast.unparse(node.value) == "sys":
                readers.add(path.name)
    # source_loader.py puts in what it makes, in the main thread, before anything is served.
    assert readers == {"stdlib_http.py", "source_loader.py"}


def test_all_of_http_server_still_works(python: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    program = f"""
from effetool.runtime.server import stdlib_http as httpbase
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
class Quiet(SimpleHTTPRequestHandler):
    def __init__(self, *given): super().__init__(*given, directory={str(tmp_path)!r})
    def log_message(self, *given): pass
with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    from http.client import HTTPConnection
    for path in ("/a.txt", "/", "/none"):
        connection = HTTPConnection(*server.server_address, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        print(answer.status, answer.headers.get_content_type(), b"a.txt" in answer.read())
        connection.close()
    server.shutdown()
"""
    assert run(python, program) == "200 text/plain False\n200 text/html True\n404 text/html False\n"


def test_it_takes_no_site_packages() -> None:
    run(Path(sys.executable), "import effetool.runtime.server.stdlib_http; assert 'typing' not in sys.modules")
