"""What a stranger sends is read in a time that grows with its size and no faster."""

import ast
import contextlib
import importlib
import io
import re
from pathlib import Path
from time import thread_time

import pytest

from effetool import runtime
from effetool.runtime.errors import HTTPError
from effetool.runtime.http import multipart, query
from effetool.runtime.http.body import Incoming
from effetool.runtime.http.parser import CHUNKED, Head, Limits, parse_head
from tests import expressions

LIMITS = Limits(32 * 1024, 8 * 1024, 100)
HEAD = LIMITS.head - 200
START = "POST / HTTP/1.1\r\n"


def head(text):
    with contextlib.suppress(HTTPError):
        parse_head(text, 0, LIMITS, Head)


def chunks(text):
    with contextlib.suppress(HTTPError):
        Incoming(CHUNKED, 1 << 20, LIMITS.head).feed(text.encode("latin-1"), 0)


def drip(text):
    """The same, but for its first line an octet at a time."""
    incoming = Incoming(CHUNKED, 1 << 20, LIMITS.head)
    rest = b""
    first, _, others = text.encode("latin-1").partition(b"\r\n")
    with contextlib.suppress(HTTPError):
        for piece in (first + b"\r\n", *[others[place : place + 1] for place in range(len(others))]):
            rest += piece
            rest = rest[incoming.feed(rest, 0) :]


def form(text):
    with contextlib.suppress(HTTPError):
        multipart.read_multipart(io.BytesIO(text.encode("latin-1")), "b")


def value(text):
    with contextlib.suppress(ValueError):
        multipart.parameters(text)


def fields(text):
    with contextlib.suppress(HTTPError):
        query.parse(text.encode("latin-1"))


# What reads it, the most octets it reads, and its worst shapes.
CASES = [
    (read, most, make)
    for read, most, makes in [
        (
            head,
            HEAD,
            [
                lambda n: START + "Host:" + " " * n + "!\r\n\r\n",
                lambda n: START + "Host:" + " " * n + "!",
                lambda n: START + "Host:" + " \t" * (n // 2) + "\x01\r\n\r\n",
                lambda n: START + "Host: h" + " " * n + "!\r\n\r\n",
                lambda n: START + "Host: " + "a" * n + "!!\r\n\r\n",
                lambda n: START + "Host: [" + ":" * n + "\r\n\r\n",
                lambda n: START + "Host: h:" + "1" * n + "x\r\n\r\n",
                lambda n: START + "Host: h\r\nContent-Length: 1\r\nExpect: x" + " " * n + "y\r\n\r\n",
                lambda n: START + "Host: h\r\nTransfer-Encoding: x" + " " * n + "y\r\n\r\n",
                lambda n: START + "Host: h\r\nContent-Length:" + " " * n + "x\r\n\r\n",
                lambda n: START + "Host: h\r\nContent-Length: 1" + " " * n + "x\r\n\r\n",
                lambda n: START + "Host: h\r\nContent-Length: " + "1" * n + "x\r\n\r\n",
                lambda n: START + "Host: h\r\nConnection:" + " " * n + "keep-alive x\r\n\r\n",
                lambda n: START + "Host: h\r\nConnection: " + "," * n + "\r\n\r\n",
                lambda n: START + "Host: h\r\n" + ("a:" + " " * (n // 90) + "\r\n") * 90 + "\x01",
                lambda n: START + "Host: h\r\na:" + " " * n,
                lambda n: "GET /" + "?" * n + "\r\n\r\n",
                lambda n: "GET /" + "%" * n + "\r\n\r\n",
                lambda n: "A" * n + "\r\n",
                lambda n: "GET http://" + "a" * (n // 4) + "# HTTP/1.1\r\nHost: h\r\n\r\n",
            ],
        ),
        (
            chunks,
            128 * 1024,
            [
                lambda n: "1\r\na\r\n" * (n // 6),
                lambda n: "1;" + " " * 900 + "\r\n",
                lambda n: "1;a" + " " * n,
                lambda n: "0\r\n" + "a:\r\n" * (n // 4),
                lambda n: "0\r\na:" + " " * n + "\x01",
            ],
        ),
        (
            drip,
            16 * 1024,
            [
                lambda n: "0\r\na:" + "x" * n,
                lambda n: "0\r\n" + "x" * n,
                lambda n: "0\r\n" + "a:\r\n" * (n // 4),
                lambda n: "1\r\n" + "a\r\n1\r\n" * (n // 6),
                lambda n: "1;" + "a" * 1000 + "\r\n" + "a\r\n1;" + "a" * min(n, 1000),
            ],
        ),
        (
            form,
            multipart.MAX_HEADER - 100,
            [
                lambda n: "--b\r\na:" + " " * n + "\x01\r\n\r\n\r\n--b--",
                lambda n: '--b\r\nContent-Disposition: form-data; name="' + "\\" * n + "\r\n\r\n\r\n--b--",
            ],
        ),
        (
            value,
            HEAD,
            [
                lambda n: "a" + ";" * n + "x",
                lambda n: "a" + " " * n + "x",
                lambda n: 'a;b="' + "\\" * n,
                lambda n: "a" + "".join(f";{number:x}=" for number in range(n // 6)),
            ],
        ),
        (
            fields,
            512 * 1024,
            [
                lambda n: "%" * n,
                lambda n: "%41x" * (n // 4),
                lambda n: "%C3%BC" * (n // 6),
                lambda n: "%41%" * (n // 4),
                lambda n: "\xff" * n,
                lambda n: "%41" * (n // 3),
                lambda n: "%4" * (n // 2),
                lambda n: "a&" * (n // 2),
                lambda n: "=" * n,
                lambda n: "+" * n,
            ],
        ),
    ]
    for make in makes
]


def cost(read, text):
    """Return seconds of processor time, the least of three."""
    spent = []
    for _ in range(3):
        begun = thread_time()
        read(text)
        spent.append(thread_time() - begun)
    return min(spent)


@pytest.mark.parametrize(("read", "most", "make"), CASES)
def test_the_time_grows_with_the_size(read, most, make):
    """Four times the octets take at most seven times as long, unless it is next to nothing; the limit, 50 ms here."""
    quarter, whole = (cost(read, make(size)) for size in (most // 4, most))
    assert whole < max(7 * quarter, 0.002), (quarter, whole)
    assert whole < 0.05, whole


# Each expression of the runtime, which meets what strangers send: what leads to a repetition, what is repeated, what
# makes the match fail at its end.
EXPRESSIONS = {
    "headers._NAME": [("", "a", " ")],
    "headers._VALUE": [("", " ", "\x01")],
    "multipart._BOUNDARY": [("", " ", "\x01"), ("", "a", "\x01")],
    "multipart._CONTROL": [("", "a", "")],
    "multipart._EXTENDED": [("utf-8'", "a", ""), ("utf-8''", "a", "%"), ("utf-8''", "%41", "%")],
    "multipart._FIELD": [("a:", " ", "\x01"), ("a", "a", " ")],
    "multipart._PARAMETER": [("", " ", "x"), (";", " ", "x"), (';a="', "\\a", ""), (";a=", "a", '"'), (";", "a", " ")],
    "multipart._VALUE": [("", " ", ";"), ("a", "a", '"')],
    "query._ESCAPES": [("", "%", ""), ("", "%4", ""), ("", "%41", "%")],
    "request._ID": [("x-request-id:", " ", "!"), ("x-request-id:a", " ", "!"), ("x-request-id:", "a", "!")],
    "parser._ABSOLUTE": [("http://", "a", "#"), ("http://a/", "?", "#")],
    "parser._BEGUN": [(START, "a:\r\n", "\x01"), (START + "a:", " ", "\x01"), ("G /", "a", "\x01")],
    "parser._CHUNK_BEGUN": [("", "0", "x"), ("1;", " ", "\x01"), ("1;a", " ", "\x01")],
    "parser._CHUNK_LINE": [("", "0", "x"), ("1;", " ", "\x01"), ("1;a", " ", "\x01")],
    "parser._CODINGS": [("\ntransfer-encoding:", " ", "x"), ("", "\ntransfer-encoding:\r", "")],
    "parser._CONNECTION": [("\nconnection:", " ", "x"), ("", "\nconnection:\r", "")],
    "parser._EXPECT": [("\nexpect:", " ", "x"), ("\nexpect:x", " ", "y")],
    "parser._FIELD_BEGUN": [("a", "a", " "), ("a:", " ", "\x01")],
    "parser._FIELD_LINE": [("a", "a", " "), ("a:", " ", "\x01")],
    "parser._FOLD": [("", "\r\n", "")],
    "parser._GOES_ON": [("", "a:\r\n", "\x01"), ("a:", " ", "\x01"), ("", "a:a\r\n", "b\n"), ("", "a", "\n")],
    "parser._HEAD": [(START, "a:\r\n", "\x01"), (START + "a:", " ", "\x01"), ("G /", "a", "\x01")],
    "parser._HOST": [("\nhost:", " ", "!"), ("\nhost:h", " ", "!")],
    "parser._IS_AUTHORITY": [("", "a", "!!"), ("[", ":", ""), ("a:", "1", "x")],
    "parser._LENGTH": [
        ("\ncontent-length:", " ", "x"), ("\ncontent-length:1", " ", "x"), ("\ncontent-length:", "1", ""),
    ],
    "parser._LINE_BEGUN": [("", "a", "\x01")],
    "parser._OTHER_VERSION": [("", "a", "\x01"), ("G ", "a", "\x01")],
    "parser._REQUEST_LINE": [("", "a", "\x01"), ("G ", "a", "\x01")],
    "parser._USUAL": [
        (START, "a:\r\n", "\x01"), (START + "Host:", " ", "!"), (START + "Host:h", " ", "!"), ("G /", "a", "\x01"),
        (START + "Host:h\r\nConnection:", " ", "x\r\n"), (START + "Content-Length:", " ", "x"), ("G /?", "?", "\x01"),
        (START + "Host:h\r\nContent-Length:1", " ", "x"), (START + "Host:h:", "1", "x"), ("A", "A", "\x01"),
    ],
}  # fmt: skip
# Expressions that are not kept under a name, by module: they split at one octet, or run on what was bounded before.
INLINE = {"multipart": ["split", "sub"]}
RUNTIME = Path(runtime.__file__).parent


def test_each_expression_of_the_runtime_has_a_worst_case():
    """A new expression is listed here, or it is not merged."""
    named, inline = set(), {}
    for path in RUNTIME.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        compiled = set()
        for node in tree.body:
            if isinstance(node, ast.Assign):
                calls = [call for call in ast.walk(node.value) if is_expression(call)]
                named.update(f"{path.stem}.{target.id}" for target in node.targets if calls)
                compiled.update(calls)
        rest = [call.func.attr for call in ast.walk(tree) if is_expression(call) and call not in compiled]
        if rest:
            inline[path.stem] = sorted(rest)
    assert named == set(EXPRESSIONS)
    assert inline == INLINE


def is_expression(node):
    """Whether it is a call of a function of `re`."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "re"


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_takes_linear_time(name):
    """By itself too, on as many octets as a head has: 1/4 of them, and all."""
    stem, _, attribute = name.partition(".")
    [path] = RUNTIME.rglob(f"{stem}.py")
    module = importlib.import_module(".".join(("effetool.runtime", *path.relative_to(RUNTIME).with_suffix("").parts)))
    match = getattr(module, attribute)
    pattern = match if isinstance(match, re.Pattern) else match.__self__
    run = {"sub": lambda text: match(lambda _: text[:0], text)}.get(getattr(match, "__name__", ""), match)
    if isinstance(match, re.Pattern):
        run = match.search if attribute == "_FOLD" else match.fullmatch
    for before, repeated, after in EXPRESSIONS[name]:
        texts = [before + repeated * (size // len(repeated)) + after for size in (HEAD // 4, HEAD)]
        if isinstance(pattern.pattern, bytes):
            texts = [text.encode("latin-1") for text in texts]
        quarter, whole = (cost(run, text) for text in texts)
        assert whole < max(7 * quarter, 0.002), (before, repeated, after, quarter, whole)
        assert whole < 0.05, (before, repeated, after, whole)


FOUND = {}
for _name, _expression, _functions in expressions.collected(RUNTIME.parent):
    FOUND.setdefault(_name.partition(":")[0], []).append((_name, _expression, _functions))


@pytest.mark.parametrize("module", FOUND)
def test_each_expression_of_the_package_takes_linear_time(module):
    """Of the tool too: requirements, names, .http and env files, templates, a registry's answers, a resolver's words.

    Its worst shapes are derived from itself, up to 16 KiB: a new expression is tested without being listed.
    """
    for name, expression, functions in FOUND[module]:
        assert expressions.slow(expression, functions) is None, name


@pytest.mark.parametrize(
    ("pattern", "function"),
    [
        (r"\A\{#-?\s*(.+?)\s*-?#\}", "match"), (r"\{\{\s*([^{}]*?)\s*\}\}", "sub"), (r"\s+--hash[= ]", "split"),
        (r"\[\s*([^\]]*)\]\s*", "match"), (r'(\w+)="((?:[^"\\]|\\.)*)"', "findall"),
        (r"(?:#|//)[ \t=]+(\S+)", "fullmatch"),
        (r"\(from versions: .*?((?:[^,()]+, )?[^,()]+)\)", "search"), (r"(?:a:\r\n)*(?:a+[^\n]*|\r)?\Z", "match"),
        (r"(a+)+b", "match"), (r"(?:a|aa)*b", "match"), (r"[ ]+$", "search"),
    ],
)  # fmt: skip
def test_an_expression_that_takes_longer_is_found(pattern, function):
    """Those that were repaired, and the textbook's."""
    assert expressions.slow(re.compile(pattern), [function])


def test_an_expression_is_found_wherever_it_stands(tmp_path, monkeypatch):
    """Under a name, in a function, or compiled at once for one use of it."""
    text = 'import re\n_A = re.compile("a")\n_B = re.compile("b").match\n'
    text += 'def f(s): return re.sub("c", "", s) and _A.search(s)\n'
    (tmp_path / "expressive").mkdir()
    (tmp_path / "expressive" / "module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    found = [(name, each.pattern, used) for name, each, used in expressions.collected(tmp_path / "expressive")]
    assert sorted(found) == [
        ("expressive.module:'c'", "c", ["sub"]),
        ("expressive.module:_A", "a", ["search"]),
        ("expressive.module:_B", "b", ["match"]),
    ]
