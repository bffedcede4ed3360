"""Restarts under load lose no request: behind HAProxy, and by handing over the listening socket."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from http.client import HTTPConnection, HTTPException

import pytest

from tests.parts import need

# CI does a few; `EFFE_RESTARTS=50` is the long run.
RESTARTS = int(os.environ.get("EFFE_RESTARTS", "5"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 + 20 * RESTARTS)]

EFFE = """
import os, time
INFO = {"name": "hello", "version": "1.0"}
def run(context, error, response, request):
    if request.path == "/slow":
        time.sleep(0.02)
    response.write(str(os.getpid()))
"""
HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout check 5s
  retries 3
  option redispatch
  # A connection that the old effe closed just as a request came: none of it was run, so it may be sent again.
  retry-on conn-failure empty-response
frontend in
  bind fd@{front}
  default_backend effes
backend effes
  balance roundrobin
  option httpchk GET /ready
  default-server check inter 50ms fall 1 rise 1
  server one {host}:8001 check port 9001
  server two {host}:8002 check port 9002
"""


class Load:
    """Clients that ask all the time, on keep-alive connections and on new ones."""

    def __init__(self, port, clients=6):
        self.port, self.failed, self.count, self.pids = port, [], 0, set()
        self.end = threading.Event()
        self.more = threading.Condition()
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for thread in self.threads:
            thread.join(60)

    def work(self, number):
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.end.is_set():
            try:
                connection.request("GET", "/slow" if number % 2 else "/")
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status != 200:
                    self.failed.append((answer.status, text))
            except (OSError, HTTPException) as error:
                self.failed.append(repr(error))
                text = None
            if number < 3 or text is None or answer.will_close:
                connection.close()
            with self.more:
                self.count += 1
                self.pids.add(text)
                self.more.notify_all()
        connection.close()

    def wait(self, more):
        """Wait for so many more answers."""
        with self.more:
            target = self.count + more
            assert self.more.wait_for(lambda: self.count >= target, 60)


@pytest.mark.haproxy
def test_rolling_restarts_behind_haproxy_lose_nothing(serve, tmp_path):
    """One of two is ended and started again, and again: /ready takes it out, the other serves meanwhile."""
    need("haproxy")
    # Each is started again at its own port: on an address of the loopback network where nobody else listens.
    host = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    names = ("one", "two")
    ports = {"one": (8001, 9001), "two": (8002, 9002)}

    def start(name):
        port, admin = ports[name]
        return serve(EFFE, "-host", host, "-port", str(port), "-admin", f"{host}:{admin}")

    running = {name: start(name) for name in names}
    listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
    front = listener.getsockname()[1]
    (tmp_path / "haproxy.cfg").write_text(HAPROXY.format(front=listener.fileno(), host=host))
    command = ["haproxy", "-f", str(tmp_path / "haproxy.cfg")]
    with listener:
        proxy = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=[listener.fileno()])
    try:
        pause = threading.Event()
        for _ in range(600):
            try:
                if running["one"].get(port=front)[0] == 200:
                    break
            except OSError:
                pass
            pause.wait(0.05)
        with Load(front) as load:
            for turn in range(RESTARTS):
                name = names[turn % 2]
                load.wait(50)
                assert running[name].stop() == 0
                running[name] = start(name)
                # Until HAProxy has seen it: only then the other may go.
                pid = str(running[name].process.pid)
                with load.more:
                    assert load.more.wait_for(lambda pid=pid: pid in load.pids, 60)
        assert load.failed == []
        print(f"{load.count} requests, {RESTARTS} restarts, 0 failed")
    finally:
        proxy.terminate()
        proxy.wait(60)
        proxy.stderr.close()


def test_handing_over_the_listening_socket_loses_nothing(serve):
    """As systemd does: the socket stays open while one effe ends and the next begins; clients wait, none is refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        port = listener.getsockname()[1]
        os.set_inheritable(listener.fileno(), True)
        # LISTEN_PID must be the pid of the effe itself, so a shell sets it and becomes the effe.
        shell = f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        prefix = ("bash", "-c", shell, "bash")
        running = serve(EFFE, prefix=prefix, pass_fds=[listener.fileno()])
        with Load(port) as load:
            for _ in range(RESTARTS):
                load.wait(50)
                successor = serve(EFFE, prefix=prefix, pass_fds=[listener.fileno()])
                assert running.stop() == 0
                running = successor
            load.wait(50)
        assert load.failed == []
        print(f"{load.count} requests, {RESTARTS} restarts, 0 failed")


@pytest.mark.skipif(sys.platform != "linux", reason="workers share a port by Linux' SO_REUSEPORT")
def test_sighup_reloads_lose_nothing(serve):
    """All workers are exchanged, again and again."""
    running = serve(EFFE, "-workers", "2")
    with Load(running.port) as load:
        for turn in range(RESTARTS):
            load.wait(50)
            running.signal(signal.SIGHUP)
            running.record("reloaded", turn + 1)
        load.wait(50)
    assert load.failed == []
    print(f"{load.count} requests, {RESTARTS} reloads, 0 failed")
    assert running.stop() == 0
