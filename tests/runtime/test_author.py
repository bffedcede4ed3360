"""What an author's code may do wrong without taking the server, or another client's answer, with it."""

import gc
import http.client
import os
import re
import signal
import socket
import threading
import time

import pytest

from effetool.runtime.errors import HTTPError

PATIENCE = 60
GET = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"

ANSWERS = """
from effetool.runtime import HTTPError
INFO = {"name": "answers", "version": "1"}
def run(context, error, response, request):
    if request.path == "/unit":
        raise HTTPError(400, "no such unit: " + request.json()["unit"])
    if request.path == "/to":
        raise HTTPError(302, "", {"Location": "/" + request.query["to"]})
    if request.path == "/pairs":
        raise HTTPError(400, "", [("A", "b")])
    if request.path == "/late":
        wrong = HTTPError(400)
        wrong.status = 700
        raise wrong
    if request.path == "/begun":
        response.flush()
        raise HTTPError(404)
    if request.path == "/echo":
        response.json(request.json())
        return
    if request.path == "/write":
        response.write(request.json())
        return
    response.write(request.path)
"""


def test_what_cannot_be_sent_is_a_500_and_no_end(serve):
    """An HTTPError that is no answer: one record with the place, the next request is served."""
    running = serve(ANSWERS)
    for number, path in enumerate(("/to?to=%E2%80%99", "/pairs", "/late", "/to?to=%0D%0AX:y") * 2, 1):
        assert running.get(path) == (500, "Internal Server Error\n")
        running.record("run() failed", number)
        assert running.get("/next") == (200, "/next")
    assert running.stop() == 0


def test_an_error_after_the_response_has_begun_is_told(serve):
    """The connection is cut, and the log says why."""
    running = serve(ANSWERS)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        running.get("/begun")
    assert running.record("had begun")["level"] == "error"


@pytest.mark.parametrize("status", [700, 199, "400", None])
def test_a_status_that_is_none_is_refused_where_it_is_written(status):
    with pytest.raises(ValueError, match="200 to 599"):
        HTTPError(status)


def test_what_a_client_can_send_comes_back_whole_or_replaced(serve):
    """Lone surrogates and bytes that are no UTF-8 make no crash; NaN and infinity are no JSON, in neither direction."""
    running = serve(ANSWERS)
    assert running.get("/echo", method="POST", body='{"a":"\\ud800"}') == (200, '{"a":"\\ud800"}')
    assert running.get("/unit", method="POST", body='{"unit":"\\ud800"}') == (400, "no such unit: \ufffd\n")
    assert running.get("/write", method="POST", body='"a\\udfffb"') == (200, "a\ufffdb")
    assert running.get("/%ff") == (200, "/\ufffd")
    for body in ("[NaN]", "1e999", "[-1e999]", "9" * 400 + ".0", "9" * 5000):
        assert running.get("/echo", method="POST", body=body)[0] == 400, body
    assert running.get("/echo", method="POST", body="[1e308,-0.5]") == (200, "[1e+308,-0.5]")
    with running.connect() as connection:
        connection.sendall(GET % b"/\xff")
        assert connection.recv(65536).endswith(b"/\xef\xbf\xbd")
    assert not [record for record in running.records if record["level"] == "critical"]


LATE = """
import threading
INFO = {"name": "late", "version": "1"}
told = []
def later(function, *arguments):
    def work():
        go.wait(30)
        try:
            told.append(repr(function(*arguments)))
        except Exception as error:
            told.append(type(error).__name__)
        done.set()
    threading.Thread(target=work).start()
go, done = threading.Event(), threading.Event()
def both(response):
    response.write("LATE")
    response.flush()
def run(context, error, response, request):
    global go, done
    if request.path == "/told":
        go.set()
        done.wait(30)
        response.write(" ".join(told))
        return
    go, done = threading.Event(), threading.Event()
    if request.path == "/write":
        later(both, response)
    elif request.path == "/stream":
        response.flush()
        later(both, response)
    elif request.path == "/error":
        later(both, response)
        raise KeyError
    elif request.path == "/flush":
        later(response.flush)
    response.write("now")
"""


@pytest.mark.parametrize("path", ["/write", "/stream", "/error", "/flush"])
def test_what_comes_after_run_is_in_no_answer(serve, path):
    """A thread of the author that writes when run has returned: RuntimeError for it, nothing for the next client."""
    running = serve(LATE)
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    connection.request("GET", path)
    assert connection.getresponse().read() in (b"now", b"Internal Server Error\n")
    connection.request("GET", "/told")
    assert connection.getresponse().read() == b"RuntimeError"
    connection.close()


ASYNC = """
import asyncio, sys
INFO = {"name": "loop", "version": "1"}
async def run(context, error, response, request):
    if request.path == "/exit":
        sys.exit()
    if request.path == "/interrupt":
        raise KeyboardInterrupt
    if request.path == "/stop":
        asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    response.write("hello")
async def stop(context):
    await asyncio.sleep(0)
"""


def test_no_async_run_ends_the_loop_of_all(serve):
    """sys.exit, KeyboardInterrupt, loop.stop(): that request only; SIGTERM ends it all as ever."""
    running = serve(ASYNC, "-timeout", "30s")
    for path, status in (("/exit", 500), ("/interrupt", 500), ("/stop", 200)) * 2:
        assert running.get(path)[0] == status
        assert running.get() == (200, "hello")
    assert running.stop() == 0


SLOW_START = """
import os, time
INFO = {"name": "slow", "version": "1"}
def init():
    print("init", flush=True)
    SWALLOW
def run(context, error, response, request):
    pass
"""


@pytest.mark.parametrize("flags", [(), ("-workers", "2")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_init_that_waits(serve, number, flags):
    """Nothing is served yet, so there is nothing to wait for."""
    running = serve(SLOW_START.replace("SWALLOW", "time.sleep(600)"), *flags, ready=False)
    assert running.process.stdout.readline().startswith("init")  # unbuffered, two workers write into one another
    began = time.monotonic()
    running.signal(number)
    assert running.end() == 0 and time.monotonic() - began < 20


def test_a_second_signal_ends_an_init_that_swallows_the_first(serve):
    swallow = "\n    ".join(["while True:", "    try:", "        print('waiting', flush=True)",
                             "        time.sleep(600)", "    except BaseException:",
                             "        print('swallowed', flush=True)"])  # fmt: skip
    running = serve(SLOW_START.replace("SWALLOW", swallow), ready=False)
    said = iter(running.process.stdout.readline, "")
    assert [next(said), next(said)] == ["init\n", "waiting\n"]
    running.signal()
    assert next(said) == "swallowed\n"
    running.signal()
    assert running.end() == 128 + signal.SIGTERM


STOPS = """
import time
INFO = {"name": "stops", "version": "1"}
class Context:
    slow = False
def start():
    return Context()
def run(context, error, response, request):
    if request.path == "/raise":
        context.slow = True
        raise KeyError
    context.slow = request.path == "/slow"
    response.write("hello")
def stop(context):
    print("stop", flush=True)
    if context.slow:
        time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
def test_a_stop_that_hangs_is_left_behind(serve, signals):
    """Within -grace and a little more; a second signal means now."""
    running = serve(STOPS, "-grace", "500ms" if signals == 1 else "10m")
    assert running.get("/slow") == (200, "hello")
    running.signal()
    running.process.stdout.readline()
    if signals == 2:
        running.signal()
    assert running.end() == 0
    assert running.record("stop() has not returned")


def test_a_slow_stop_keeps_nobody_waiting(serve):
    """Neither who caused it by a crash, nor the others when an idle context is stopped."""
    running = serve(STOPS, "-grace", "100ms")
    assert running.get("/raise") == (500, "Internal Server Error\n")
    assert running.process.stdout.readline() == "stop\n"
    assert running.get("/") == (200, "hello")
    running.kill()
    running = serve(STOPS, "-context-idle", "100ms", "-grace", "100ms")
    assert running.get("/slow") == (200, "hello")
    assert running.process.stdout.readline() == "stop\n"
    for _ in range(10):
        assert running.get("/") == (200, "hello")


def test_the_admin_port_is_another_one(serve):
    """Said as a flag that does not fit, exit 2."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    for host in ("", "127.0.0.1"):
        running = serve(STOPS, "-port", port, "-admin", f"{host}:{port}", ready=False)
        assert running.end() == 2
        assert "own port" in "".join(filter(None, running.lines)) and "Traceback" not in str(running.lines)


def test_a_body_that_is_read_late_takes_nothing_of_the_next_request(inside):
    """Whoever reads on when run has returned gets ConnectionError."""
    told, go, done = [], threading.Event(), threading.Event()

    def late(body):
        go.wait(PATIENCE)
        try:
            told.append(body.read())
        except ConnectionError:
            told.append("gone")
        done.set()

    def run(context, error, response, request):
        if request.method == "POST":
            threading.Thread(target=late, args=(request.body,)).start()
        else:
            go.set()
            done.wait(PATIENCE)
        response.write(request.method)

    size = 100_000
    post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    answer = inside(run)(post + GET % b"/")
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.endswith(b"GET")
    assert told == ["gone"] or told == [b"x" * size]


THREADS = """
import sys, threading, time
INFO = {"name": "threads", "version": "1.0"}
sys.setswitchinterval(1e-5)
def flood(response, piece):
    for _ in range(20):
        response.write(piece)
        response.flush()
def late(response):
    try:
        while True:
            response.write("late")
            response.flush()
    except (RuntimeError, ConnectionError):
        pass
def run(context, error, response, request):
    if request.path == "/many":
        threads = [threading.Thread(target=flood, args=(response, name * 250_000)) for name in "abcd"]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        return
    if request.path == "/raise":
        threading.Thread(target=late, args=(response,)).start()
        raise ValueError
    if request.path == "/late":
        thread = threading.Thread(target=late, args=(response,))
        thread.start()
    response.write("done")
"""


def test_an_error_of_the_servers_own_ends_one_connection(serve):
    """Such as no memory, at a first request in the moment of its accept: the listener went with the connection."""
    source = """
from effetool.runtime.server.connection import Connection
usual, failures = Connection.handle, [MemoryError(), MemoryError()]
def handle(self, runner):
    if failures:
        raise failures.pop()
    usual(self, runner)
def init():
    Connection.handle = handle
def run(context, error, response, request):
    response.write("hello")
"""
    running = serve(source)
    for _ in range(2):
        with pytest.raises(OSError):
            running.get()
    assert running.get() == (200, "hello")
    assert running.record("internal error", 2)["error"] == "MemoryError"
    assert running.stop() == 0


def test_a_thread_that_fails_is_one_record(serve):
    """With its traceback in it, as a run that fails: stderr holds JSON lines and nothing else."""
    source = """
import threading
def run(context, error, response, request):
    threading.Thread(target=lambda: {}["key"], name="mine").start()
    threading.Thread(target=exit).start()
"""
    running = serve(source)
    assert running.get() == (200, "")
    record = running.record("a thread failed")
    assert (record["error"], record["thread"], record["level"]) == ("KeyError: 'key'", "mine", "critical")
    assert "Traceback" in record["traceback"]
    assert running.stop() == 0
    assert len(running.records) == len(running.lines) - 1 == 4


@pytest.mark.slow
def test_threads_of_one_run_may_write_side_by_side(serve):
    """Every piece arrives whole, in its own chunk, however slowly the client reads."""
    running = serve(THREADS)
    with running.connect() as sock:
        sock.sendall(GET % b"/many")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        body = answer.read(250_000)
        time.sleep(0.3)
        body += answer.read()
    assert re.fullmatch(rb"(?:(.)\1{249999}){80}", body, re.S)


@pytest.mark.parametrize("path", [b"/late", b"/raise"])
def test_a_thread_that_begins_to_stream_as_run_returns_spoils_no_other_answer(serve, path):
    """One of the two sends the head; the answer is whole, or the connection is cut. The next one is always its own."""
    running = serve(THREADS)
    seen = set()
    for _ in range(300):
        with running.connect() as sock:
            sock.sendall(GET % path + GET % b"/plain")
            received = b""
            try:
                while not received.endswith(b"\r\n\r\ndone") or received.count(b"HTTP/1.1 ") < 2:
                    piece = sock.recv(65536)
                    if not piece:
                        break
                    received += piece
            except ConnectionError:
                seen.add("cut")
                continue
        first, *others = re.split(rb"(?=HTTP/1\.1 \d{3} )", received)[1:]
        head, _, body = first.partition(b"\r\n\r\n")
        if b"chunked" in head:
            whole = re.fullmatch(rb"(?:[0-9a-f]+\r\n(?:done|late)+\r\n)*(0\r\n\r\n)?", body)
            assert whole, received
            if whole[1] is None:
                seen.add("cut")
                continue
        elif b"500" in head:
            assert body == b"Internal Server Error\n"
        else:
            assert re.fullmatch(rb"(?:done|late)+", body), received
            assert int(re.search(rb"Content-Length: (\d+)", head)[1]) == len(body), received
        seen.add("whole")
        assert len(others) == 1 and others[0].endswith(b"\r\n\r\ndone"), received
    assert seen
    assert running.get("/plain") == (200, "done")


FORKS = """
import multiprocessing, os, signal, time
INFO = {"name": "forks", "version": "1.0"}
def run(context, error, response, request):
    if request.path == "/returns":
        response.write("before ")
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        response.write("parent" if pid else "child")
    elif request.path == "/stays":
        pid = os.fork()
        if not pid:
            time.sleep(60)
            os._exit(0)
        response.write(str(pid))
    elif request.path == "/pool":
        fork = multiprocessing.get_context("fork")
        with fork.Pool(2) as pool:
            response.json(pool.map(abs, [-1, -2]))
        child = fork.Process(target=time.sleep, args=(60,))
        child.start()
        child.terminate()
        child.join()
        response.write(f" {child.exitcode}")
    else:
        response.write(str(os.getpid()))
"""


@pytest.mark.parametrize("flags", [(), ("-workers", "1")])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_neither_answers_nor_keeps_what_is_the_servers(serve, flags):
    """A child that returns from run ends; one that stays holds no port and no client; its SIGTERM is its own."""
    running = serve(FORKS, "-grace", "20s", *flags)
    own = running.get("/")
    for _ in range(3):
        with running.connect() as sock:
            sock.sendall(GET % b"/returns" + GET % b"/")
            received = b""
            while received.count(b"HTTP/1.1") < 2 or not received.endswith(own[1].encode()):
                received += sock.recv(65536)
        first, second = received.split(b"HTTP/1.1 200 OK")[1:]
        assert first.endswith(b"\r\n\r\nbefore parent") and second.endswith(own[1].encode())
    assert running.get("/pool") == (200, "[1,2] -15")
    with running.connect() as sock:
        sock.sendall(GET % b"/stays")
        child = int(re.search(rb"\r\n\r\n(\d+)", sock.recv(65536))[1])
        try:
            assert running.get("/") == own
            began = time.monotonic()
            running.signal()
            while sock.recv(65536):
                pass
            assert running.process.wait(PATIENCE) == 0 and time.monotonic() - began < 10
            with pytest.raises(ConnectionRefusedError):
                running.connect()
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(("own", "threshold"), [("", gc.get_threshold()), ("gc.set_threshold(5, 6, 7)", (5, 6, 7))])
def test_the_collector_leaves_out_what_an_import_made(serve, own, threshold):
    """And while it serves it is as Python has it, or as the author does."""
    running = serve(f"""
import gc
usual = gc.get_threshold()
{own}
cycles = [[] for _ in range(3000)]
for cycle in cycles: cycle.append(cycle)
INFO = {{"name": "collected", "version": "1.0"}}
def run(context, error, response, request):
    response.json([gc.get_threshold(), gc.isenabled(), usual[0] > 700, gc.get_freeze_count() > 3000])
""")
    _, answer = running.get("/")
    assert answer == f"[[{','.join(map(str, threshold))}],true,true,true]"


def test_sigterm_drains_whatever_init_did_to_signals(serve):
    """`asyncio.run` takes the wakeup fd and the handlers with it; an author's own handler may raise."""
    source = """
import asyncio, os, signal
INFO = {"name": "signals", "version": "1.0"}
def init():
    async def main():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, print)
    asyncio.run(main())
    signal.signal(signal.SIGUSR1, fail)
def fail(number, frame): raise ValueError("handler")
def run(context, error, response, request):
    if request.path == "/usr1": os.kill(os.getpid(), signal.SIGUSR1)
    if request.path == "/hup": os.kill(os.getpid(), signal.SIGHUP)
"""
    running = serve(source)
    assert running.get("/hup")[0] == 200
    running.record("SIGHUP")  # from here on the main thread waits for signals: "is ready" comes just before that
    assert running.get("/usr1")[0] == 200
    assert running.record("a thread failed")["error"] == "ValueError: handler"
    assert running.stop() == 0
    assert running.record("stopping")["reason"] == "SIGTERM"


@pytest.mark.parametrize("flags", [(), ("-workers", "1")])
def test_sigterm_drains_amid_a_storm_of_handlers_that_raise(serve, flags):
    """A handler raises at whatever bytecode the main thread is: none may end the process, none may lose the SIGTERM."""
    source = """
import os, signal, sys, threading, time
INFO = {"name": "storm", "version": "1.0"}
def init(): signal.signal(signal.SIGUSR1, fail)
def fail(number, frame): raise ValueError("handler")
def storm():
    while True:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.0002)
threading.excepthook = lambda told: None
def start():
    threading.Thread(target=storm, daemon=True).start()
def run(context, error, response, request):
    if request.path == "/slow":
        response.write(" ")
        response.flush()
        print('{"message": "runs"}', file=sys.stderr, flush=True)
        time.sleep(0.5)
    response.write("done")
"""
    running = serve(source, *flags)
    for _ in range(200):
        assert running.get("/")[0] == 200
    answers = []
    asking = threading.Thread(target=lambda: answers.append(running.get("/slow")))
    asking.start()
    running.record("runs")
    assert running.stop() == 0
    asking.join()
    assert answers == [(200, " done")]


def test_a_locale_that_lacks_a_character_of_info_is_no_traceback(serve):
    source = """INFO = {"name": "euro", "version": "1.0", "doc": "10 \u20ac"}
def run(context, error, response, request): pass
"""
    environ = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    running = serve(source, environ=environ)
    assert running.get()[0] == 200
    assert running.stop() == 0
    told = serve(source, "-info", environ=environ, ready=False)
    assert told.process.stdout.buffer.read().decode() and told.end() == 0
