"""No thread of the server's ends unseen: it goes on, or is replaced, or the process ends as failed."""

import signal
import threading
import time

import pytest

from ..conftest import PATIENCE

# `once` makes a function of the server raise at its next call after `/arm/NAME/ERROR`; `/hits` says how often that was.
LOGIC = """
import os, sys, threading, time
INFO = {"name": "inject", "version": "1.0"}
hits, armed = [], {}
ERRORS = {"RuntimeError": RuntimeError, "MemoryError": MemoryError, "OSError": lambda: OSError(24, "EMFILE"),
          "SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}
def once(owner, name, attribute=None):
    usual = getattr(owner, name)
    key = attribute or f"{getattr(owner, '__name__', 'x').rpartition('.')[2]}.{name}"
    def call(*args, **kwargs):
        error = armed.get(key)
        if error and (key != "Thread.start" or args[0].name in ("effe", "effe-stop")):
            if error[1] == 1: del armed[key]
            error[1] -= 1
            hits.append(key)
            raise error[0]()
        return usual(*args, **kwargs)
    setattr(owner, name, call)
def init():
    from effetool.runtime.http import head as reply
    from effetool.runtime.server import (connection, context_pool as pool, cpu_priority as effort, leader,
        listener as accept, poller as poll, server, watchdog)
    if MODE != "unlimited": watchdog.ACCIDENTS = 0.0
    if MODE == "naked": watchdog.Watchdog.persist = lambda self, name, work: work()
    watchdog.STUCK = 0.5
    if MODE == "unlimited": watchdog.ERRORS = 4
    leader.FOLLOWER_IDLE = 0.05  # two slow runs at once start a thread, however many there were
    class Poller(poll.poller(lambda: None).__class__):
        def __init__(self, wake):
            super().__init__(wake)
            once(self, "poll", "poll")
    server.poller = Poller
    for owner, names in {server.Server: ("tick", "pump", "notice", "reserve", "enqueue", "give_up"),
        leader.Runner: ("demoted", "expect_slow", "hand_over", "promote", "_wait", "retire", "recover"),
        leader.Monitor: ("_replace", "unpark"), effort.Effort: ("begin", "look", "end"),
        pool.Pool: ("stale", "sweep", "start", "retire"),
        reply.Clock: ("tick",), accept.Listener: ("handle",), accept.Waker: ("handle",), threading.Thread: ("start",),
        connection.Connection: ("handle", "fail", "expire", "overdue", "refuse", "_failed", "_settle", "park", "close"),
    }.items():
        for name in names: once(owner, name)
MODE = ""
def run(context, error, response, request):
    word, *rest = request.path.strip("/").split("/")
    if word == "arm":
        armed[rest[0]] = [ERRORS[rest[1]], int(rest[2]) if len(rest) > 2 else 1]
    elif word == "disarm":
        armed.clear()
    elif word.startswith("slow"):
        time.sleep(0.06)
    elif word.startswith("stall"):
        time.sleep(float(rest[0]))
    elif word == "until":
        while not os.path.exists(rest[0]):
            time.sleep(0.01)
    elif word == "raise":
        raise ValueError("on purpose")
    response.write(" ".join(hits))
def stop(context): pass
"""
PLACES = [
    "poll", "Server.tick", "Server.pump", "Server.reserve", "Server.enqueue", "Runner.demoted", "Runner.hand_over",
    "Runner.promote", "Runner._wait", "Monitor._replace", "Monitor.unpark", "Effort.begin", "Effort.end", "Pool.start",
    "Pool.retire", "Runner.retire",
    "Clock.tick", "Listener.handle", "Thread.start", "Connection.handle", "Connection.expire", "Connection.overdue",
    "Connection.refuse", "Connection._failed", "Connection._settle", "Connection.park", "Connection.close",
]  # fmt: skip
FLAGS = ("-concurrency", "2", "-header-timeout", "0.4", "-timeout", "0.8", "-context-idle", "0.2",
         "-admin", "127.0.0.1:0", "-queue", "4")  # fmt: skip


def stir(running):
    """Bring the server to each of its ways once: slow runs, a queue, a crash, a stalled head, a run that is overdue."""

    def ask(path):
        with running.connect() as sock:
            sock.sendall(b"GET %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % path.encode())
            sock.settimeout(3)
            try:
                while sock.recv(4096):
                    pass
            except OSError:
                pass

    once = time.monotonic_ns()  # a slow path that is not known yet is for the monitor to find
    paths = [f"/slow{once}", "/slow", "/slow", "/raise", "/stall/1.0", f"/stall{once}/1.0", "/slow", "/slow"]
    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    with running.connect() as stalled:
        stalled.sendall(b"GET / HTTP/1.1\r\n")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stalled.settimeout(5)
        try:
            stalled.recv(4096)
        except OSError:
            pass


def eventually(running, path="/"):
    """Ask until there is an answer: one request or the other may be lost to the error itself."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            status, body = running.get(path)
            if status == 200:
                return body
        except OSError:
            pass
        assert time.monotonic() < until and running.process.poll() is None, running.lines[-20:]


def check(serve, error, places, mode=""):
    running = serve(LOGIC.replace('MODE = ""', f"MODE = {mode!r}"), *FLAGS)
    hit = set()
    for place in places:
        eventually(running, f"/arm/{place}/{error}")
        for _ in range(5):  # which thread comes first is chance
            stir(running)
            if place == "Monitor.unpark":
                time.sleep(0.5)  # it parks when it is quiet
            hit |= set(eventually(running).split())
            if place in hit:
                break
        eventually(running, "/disarm")
        assert running.get("/live", running.admin)[0] == 200, place
    missed = set(places) - hit
    stir(running)
    until = time.monotonic() + PATIENCE
    while "effe_contexts_in_use 0" not in running.get("/metrics", running.admin)[1]:
        assert time.monotonic() < until, "a context is lost"
    assert running.stop() == 0, running.lines[-20:]
    return missed


@pytest.mark.parametrize(
    "error",
    [
        pytest.param("RuntimeError", marks=pytest.mark.slow),
        *(
            pytest.param(name, marks=pytest.mark.soak)
            for name in ("MemoryError", "OSError", "SystemExit", "KeyboardInterrupt")
        ),
    ],
)
def test_each_thread_goes_on_after_an_error_at_each_of_its_calls(serve, error):
    """Every place is reached; after it requests are answered, /live says so, and no context is lost."""
    assert check(serve, error, PLACES) == set()


@pytest.mark.slow
def test_a_leader_goes_on_after_an_error(serve):
    assert check(serve, "MemoryError", ["poll", "Server.tick"]) == set()


@pytest.mark.slow
def test_an_error_while_a_context_is_to_be_stopped_does_not_lose_it(serve):
    assert check(serve, "MemoryError", ["Runner.retire", "Pool.retire", "Pool.sweep"]) == set()


@pytest.mark.slow
def test_threads_that_end_are_replaced(serve):
    """What nothing in the thread can catch: a late asynchronous exception, say."""
    running = serve(LOGIC.replace('MODE = ""', 'MODE = "naked"'), *FLAGS)
    for place, name in (("Server.tick", "the leading thread"), ("Monitor._replace", "the monitor")):
        eventually(running, f"/arm/{place}/SystemExit")
        stir(running)
        running.record(f"{name} had ended: it is replaced")
        assert eventually(running)
    assert running.get("/live", running.admin)[0] == 200
    assert running.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("-workers", "1")])
@pytest.mark.parametrize("place", ["poll", "Monitor._replace"])
def test_what_cannot_go_on_ends_the_process(serve, place, flags):
    """A process that serves nobody must not look well: its supervisor starts it again; a parent starts a worker."""
    running = serve(LOGIC.replace('MODE = ""', 'MODE = "unlimited"'), *FLAGS, *flags)
    with running.connect() as sock:
        sock.sendall(b"GET /arm/%b/MemoryError/1000 HTTP/1.1\r\nHost: h\r\n\r\n" % place.encode())
        sock.sendall(b"GET /stall/5 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert "cannot go on" in running.record("stopped: the server could not go on")["reason"]
    if flags:
        assert running.record("a worker died")["exit_code"] == 1
        assert eventually(running) == ""
        assert running.stop() == 0
    else:
        assert running.end() == 1


@pytest.mark.slow
def test_live_tells_when_no_thread_can_lead(serve, tmp_path):
    """The system has no thread left and the leader is in a run: nobody is served, and /live says so until it ends."""
    running = serve(LOGIC, *FLAGS)
    eventually(running, "/arm/Thread.start/RuntimeError/100000")
    with running.connect() as sock, running.connect() as other:
        # One follower may wait already: two runs take both threads.
        for each in (sock, other):
            each.sendall(b"GET /until/over HTTP/1.1\r\nHost: h\r\n\r\n")
        until = time.monotonic() + PATIENCE
        while running.get("/live", running.admin)[0] != 503:
            assert time.monotonic() < until
        (tmp_path / "over").touch()
    while running.get("/live", running.admin)[0] != 200:
        assert time.monotonic() < until
    # The threads that stop contexts must start again, or the end takes all of the grace time.
    eventually(running, "/disarm")
    assert running.stop() == 0


def test_a_start_without_threads_is_told(serve):
    """It is an exit code, and not a process that listens and never answers."""
    source = (
        LOGIC + "\ndef init():\n    threading.Thread.start = refuse\ndef refuse(self):\n    raise RuntimeError('no')\n"
    )
    running = serve(source, ready=False)
    assert running.end() == 1
    assert "cannot serve" in "".join(filter(None, running.lines))


def test_an_error_whose_text_raises_loses_no_context(serve):
    """Neither does one that is met where the system has no descriptor left for an import."""
    source = """
import resource, os
INFO = {"name": "text", "version": "1.0"}
class Bad(Exception):
    def __str__(self): raise SystemExit(3)
def run(context, error, response, request):
    if request.path == "/bad": raise Bad
    if request.path == "/full":
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        raise ValueError("full")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""
    running = serve(source, "-concurrency", "2", "-queue", "0")
    with running.connect() as sock:
        for path in (b"/bad", b"/full") * 4:
            sock.sendall(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
            assert sock.recv(4096).startswith(b"HTTP/1.1 500 ")
            sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert running.record("run() failed", 8)["traceback"]
    running.signal(signal.SIGTERM)
    assert running.end() == 0
