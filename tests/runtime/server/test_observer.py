"""An observer hears of every run and of every answer, and writes the answer of a run that failed."""

import ast
from pathlib import Path

import effetool
from effetool.runtime.errors import HTTPError


class Heard:
    """Writes down what it is told."""

    def __init__(self, text=None):
        self.text, self.events = text, []

    def failed(self, error, request, answer):
        self.events.append(("failed", request.path, repr(error), answer is not None))
        if answer is not None and self.text:
            answer.status = 500
            answer.write(self.text)

    def answered(self, request, response, seconds, result):
        assert 0 <= seconds < 60
        self.events.append(("answered", request.path, response._status, repr(result)))


def run(context, error, response, request):
    if request.path == "/raises":
        response.write("lost")
        raise ValueError("raised")
    if request.path == "/returns":
        response.write("kept")
        return ValueError("returned")
    if request.path == "/value":
        return "a value"
    if request.path == "/answer":
        raise HTTPError(404)
    if request.path == "/cut":
        response.flush()
        raise ValueError("late")
    response.write("well")
    return None


def ask(talk, path):
    return talk(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path.encode())


def test_an_observer_hears_of_each_run_in_order(inside):
    heard = Heard("the observer's text")
    talk = inside(run, observer=heard)
    assert ask(talk, "/").endswith(b"well")
    assert ask(talk, "/raises").endswith(b"\r\n\r\nthe observer's text")
    assert ask(talk, "/returns").endswith(b"kept")
    assert ask(talk, "/value").endswith(b"\r\n\r\nthe observer's text")
    assert ask(talk, "/answer").startswith(b"HTTP/1.1 404 ")
    ask(talk, "/cut")
    assert ask(talk, "/").endswith(b"well")
    error = "TypeError('run() returned str; write the body to `response` instead')"
    assert heard.events == [
        ("answered", "/", 200, "None"),
        ("failed", "/raises", "ValueError('raised')", True),
        ("answered", "/raises", 500, "ValueError('raised')"),
        ("failed", "/returns", "ValueError('returned')", False),
        ("answered", "/returns", 200, "ValueError('returned')"),
        ("failed", "/value", error, True),
        ("answered", "/value", 500, "'a value'"),
        ("answered", "/answer", 404, "HTTPError(404, '')"),
        ("failed", "/cut", "ValueError('late')", False),
        ("answered", "/cut", 200, "ValueError('late')"),
        ("answered", "/", 200, "None"),
    ]


def test_an_observer_that_writes_nothing_leaves_the_answer_as_it_is(inside):
    answers = [ask(talk, "/raises") for talk in (inside(run, observer=Heard()), inside(run))]
    ours, usual = ([line for line in answer.split(b"\r\n") if not line.startswith(b"Date: ")] for answer in answers)
    assert ours == usual


def test_the_tool_patches_no_class_of_the_runtime():
    """develop and testing assign no attribute of a class or module that they import of the runtime."""
    root = Path(effetool.__file__).parent
    for path in (*(root / "develop").glob("*.py"), *(root / "testing").glob("*.py")):
        tree = ast.parse(path.read_text())
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and "runtime" in (node.module or "")
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
                assert node.value.id not in imported, f"{path.name}:{node.lineno}"
