"""The client: what a test can send, and what it is told."""

import time
from types import SimpleNamespace

import pytest

from effetool.testing import Answer, Client


def logic(run, **functions):
    """Make what an author's module is."""
    return SimpleNamespace(run=run, **functions)


def echo(context, error, response, request):
    response.headers["X-Method"] = request.method
    response.headers["X-Target"] = request.target
    response.headers["X-Type"] = request.headers.get("content-type", "none")
    response.write(request.body.read())


@pytest.fixture
def client():
    with Client(logic(echo)) as entered:
        yield entered


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_has_its_word(client, method):
    """client.get sends GET, and so on; request sends any."""
    answer = getattr(client, method.lower())("/path?x=1")
    assert (answer.status, answer.headers["x-method"], answer.headers["x-target"]) == (200, method, "/path?x=1")
    assert client.request("PURGE", "/").headers["x-method"] == "PURGE"


def test_head_has_no_body(client):
    """The answer to HEAD ends with its head, and the connection goes on."""
    assert client.head("/").body == b""
    assert client.get("/").status == 200


@pytest.mark.parametrize(
    ("sent", "arrives", "kind"),
    [
        ({"json": {"a": [1, "ä"]}}, b'{"a": [1, "\\u00e4"]}', "application/json"),
        ({"data": "ä"}, "ä".encode(), "text/plain; charset=utf-8"),
        ({"data": b"\0\xff"}, b"\0\xff", "application/octet-stream"),
        ({"data": {"a": "1 2", "b": ["x", "y"]}}, b"a=1+2&b=x&b=y", "application/x-www-form-urlencoded"),
        ({"data": [b"one", b"", b"two"]}, b"onetwo", "application/octet-stream"),
        ({"data": "{}", "headers": {"Content-Type": "application/json"}}, b"{}", "application/json"),
        ({}, b"", "none"),
    ],
)
def test_bodies(client, sent, arrives, kind):
    """json=, text, bytes, a form and pieces arrive as such; a Content-Type that is given stays."""
    answer = client.post("/", **sent)
    assert (answer.body, answer.headers["x-type"]) == (arrives, kind)


def test_target_is_encoded(client):
    """What may not stand in a request target is percent-encoded; what is encoded stays."""
    assert client.get("/ä b#c?q=%20&r=[1]").headers["x-target"] == "/%C3%A4%20b%23c?q=%20&r=[1]"


@pytest.mark.parametrize("headers", [{"X": "a\r\nInjected: 1"}, {"X Y": "1"}, [("X", "\0")]])
def test_a_field_cannot_begin_another_request(client, headers):
    """A field that would end the head is refused, not sent."""
    with pytest.raises(ValueError, match="no header field"):
        client.get("/", headers=headers)
    with pytest.raises(ValueError, match="no HTTP method"):
        client.request("GET / HTTP/1.1\r\nX: 1\r\n\r\nGET", "/")


def test_repeated_headers_both_ways():
    """Pairs send a field twice; get_all reads both of an answer."""

    def run(context, error, response, request):
        for value in request.headers.get_all("x-in"):
            response.headers.add("X-Out", value)

    with Client(logic(run)) as client:
        answer = client.get("/", headers=[("X-In", "1"), ("X-In", "2")])
        assert answer.headers.get_all("x-out") == ["1", "2"]


def test_answer_reads_as_text_bytes_and_json():
    """text obeys the charset, body is bytes, json parses."""

    def run(context, error, response, request):
        response.headers["Content-Type"] = "text/plain; charset=latin-1"
        response.write('{"a": "ä"}'.encode("latin-1"))

    with Client(logic(run)) as client:
        answer = client.get("/")
        assert isinstance(answer, Answer)
        assert answer.text == '{"a": "ä"}'
        assert answer.body == answer.content == b'{"a": "\xe4"}'
        assert (answer.status, answer.reason) == (200, "OK")


def test_stream_comes_piece_by_piece():
    """A streamed answer is there before run has ended, and gives each flush as a piece."""
    import threading

    told = threading.Event()

    def run(context, error, response, request):
        response.write("data: 1\n\n")
        response.flush()
        assert told.wait(30)
        response.write("data: 2\n\n")

    with Client(logic(run)) as client:
        answer = client.get("/", stream=True)
        pieces = iter(answer)
        assert next(pieces) == b"data: 1\n\n"
        told.set()
        assert b"".join(pieces) == b"data: 2\n\n"
        assert list(answer) == [b""]
        assert list(client.get("/", stream=True).lines()) == ["data: 1", "", "data: 2", ""]


def test_two_streams_at_once_have_two_contexts():
    """While one answer streams, another request gets a connection and a context of its own."""

    def run(context, error, response, request):
        response.write(f"{context}\n")
        response.flush()
        if request.path == "/open":
            response.write(request.body.read())

    numbers = iter(range(1, 9))
    with Client(logic(run, start=lambda: next(numbers))) as client:
        first = client.get("/open", stream=True)
        assert next(iter(first)) == b"1\n"
        assert client.get("/").status == 200
        assert first.body == b""


def test_closing_a_stream_is_a_client_that_went_away():
    """The author's next write raises ConnectionError, which is no error of his."""
    import threading

    seen = []
    ended = threading.Event()

    def run(context, error, response, request):
        try:
            while True:
                response.write("x" * 65536)
                response.flush()
        except ConnectionError as gone:
            seen.append(gone)
            raise
        finally:
            ended.set()

    with Client(logic(run)) as client:
        with client.get("/", stream=True) as answer:
            assert next(iter(answer))
        assert ended.wait(30)
        assert len(seen) == 1


def test_init_runs_once_and_start_on_demand():
    """Entering runs init; a context starts with the first request and is used again; leaving stops it."""
    calls = []

    def run(context, error, response, request):
        calls.append("run")

    effe = logic(
        run,
        init=lambda: calls.append("init"),
        start=lambda: calls.append("start"),
        stop=lambda context: calls.append("stop"),
    )
    with Client(effe) as client:
        assert calls == ["init"]
        client.get("/")
        client.get("/")
        assert client.contexts == [None]
    assert calls == ["init", "start", "run", "run", "stop"]
    assert client.contexts == []


def test_init_that_raises_is_the_tests_to_see():
    """What init raises comes out of `with`, as it is."""

    def init():
        raise LookupError("no configuration")

    with pytest.raises(LookupError, match="no configuration"), Client(logic(echo, init=init)):
        raise AssertionError("entered")


def test_errors_hold_what_run_returned_or_raised():
    """In order, as the exceptions they are, once the answer is there; an HTTPError is an answer."""
    from effetool.runtime.errors import HTTPError

    def run(context, error, response, request):
        if request.path == "/returned":
            return KeyError("returned")
        if request.path == "/raised":
            raise ValueError("raised")
        if request.path == "/value":
            return 5
        raise HTTPError(418, "teapot")

    with Client(logic(run)) as client:
        assert [client.get(f"/{path}").status for path in ("returned", "raised", "value", "http")] == [
            200,
            500,
            500,
            418,
        ]
        assert [type(error) for error in client.errors] == [KeyError, ValueError, TypeError]


def test_a_spoiled_context_is_stopped_when_contexts_are_looked_at():
    """After a raise the context is gone by the time the test asks; the next request starts another."""
    numbers = iter(range(1, 9))

    def run(context, error, response, request):
        if request.path == "/raise":
            raise ValueError

    with Client(logic(run, start=lambda: next(numbers))) as client:
        client.get("/")
        assert client.contexts == [1]
        client.get("/raise")
        assert client.contexts == []
        client.get("/")
        assert client.contexts == [2]


def test_a_failing_start_reaches_run():
    """The error of start is run's second argument; there is no context then."""

    def start():
        raise OSError("no database")

    def run(context, error, response, request):
        response.status = 503
        return error

    with Client(logic(run, start=start)) as client:
        assert client.get("/").status == 503
        assert client.contexts == []
        assert [str(error) for error in client.errors] == ["no database"]


def test_async_functions():
    """`async def` is served as a plain function is."""

    async def start():
        return 7

    async def run(context, error, response, request):
        response.write(str(context))

    with Client(logic(run, start=start)) as client:
        assert client.get("/").text == "7"
        assert client.contexts == [7]


def test_flags_are_those_of_the_running_effe():
    """The limits of production hold, and are set as on its command line."""
    with Client(logic(echo), "-max-body", "10B") as client:
        assert client.post("/", data=b"0123456789").status == 200
        assert client.post("/", data=b"0123456789a").status == 413


def test_a_run_that_does_not_answer_is_a_timeout():
    """A test does not hang: TimeoutError, and leaving does not wait for the run."""
    import threading

    free = threading.Event()

    def run(context, error, response, request):
        free.wait(60)

    client = Client(logic(run), "-grace", "100ms", timeout=0.2)
    began = time.monotonic()
    with client, pytest.raises(TimeoutError):
        client.get("/")
    free.set()
    assert time.monotonic() - began < 30


def test_a_request_takes_less_than_a_millisecond(client):
    """The whole way, client, parser, run and back: CPU time of the process, which a busy machine does not lengthen."""
    rounds = []
    for _ in range(10):
        began = time.process_time()
        for _ in range(50):
            client.get("/")
        rounds.append((time.process_time() - began) / 50)
    assert min(rounds) < 0.001


def test_declared_variables(monkeypatch):
    """As in production: defaults are set while the client is entered, a missing one stops it and is named."""
    import os

    from effetool.runtime.secrets import NeedError

    effe = logic(
        lambda context, error, response, request: print(*map(os.environ.get, ("LANGUAGE", "API_KEY")), file=response),
        INFO='{"name": "a", "version": "1", "env": {"LANGUAGE": "en"}, "secrets": ["API_KEY"]}',
    )
    monkeypatch.delenv("LANGUAGE", raising=False)
    with pytest.raises(NeedError, match="API_KEY"), Client(effe):
        pass
    monkeypatch.setenv("API_KEY", "x")
    with Client(effe) as client:
        assert client.get("/").text == "en x\n"
    assert "LANGUAGE" not in os.environ
