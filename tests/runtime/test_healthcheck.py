"""Asking a running effe whether it is well (effetool/runtime/healthcheck.py), whatever it listens on."""

import re
import socket
import threading

import pytest

from effetool.runtime import healthcheck
from effetool.runtime.flags import Settings
from effetool.runtime.healthcheck import call, check

EFFE = """
INFO = {"name": "hello", "version": "1.0"}
def run(context, error, response, request):
    assert (request.method, request.path) == ("GET", "/")
    response.status = STATUS
def ready(): return STATUS == 200
"""


@pytest.mark.parametrize(
    ("status", "wrong"), [(200, None), (404, None), (500, "/ answers 500"), (503, "/ answers 503")]
)
def test_the_main_port_is_asked_without_an_admin_port(serve, status, wrong):
    """Every path of it is the author's: any answer below 500 is well."""
    running = serve(EFFE.replace("STATUS", str(status)))
    assert check(Settings(host="127.0.0.1", port=running.port)) == wrong
    assert check(Settings(port=running.port)) == wrong


@pytest.mark.parametrize(("status", "wrong"), [(200, None), (500, "/ready answers 503")])
def test_the_admin_port_knows_better(serve, status, wrong):
    """/ready has the author's word in it."""
    running = serve(EFFE.replace("STATUS", str(status)), "-admin", "127.0.0.1:0")
    for host in ("127.0.0.1", ""):
        assert check(Settings(admin=f"{host}:{running.admin}")) == wrong


def test_a_unix_socket_is_asked(serve, tmp_path):
    """As a proxy would."""
    serve(EFFE.replace("STATUS", "200"), "-unix", "s.sock")
    assert check(Settings(unix=str(tmp_path / "s.sock"))) is None
    assert "No such file" in check(Settings(unix=str(tmp_path / "none.sock")))


def test_nobody_there_is_not_well():
    """In the words of the system."""
    with socket.socket() as taken:  # bound and not listening: refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for settings in (Settings(host="127.0.0.1", port=port), Settings(admin=f"127.0.0.1:{port}")):
            assert re.fullmatch(f"127.0.0.1:{port}: .*refused", check(settings))
        assert re.fullmatch(f"127.0.0.1:{port}: .*refused", call(Settings(host="127.0.0.1", port=port)))


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (b"SSH-2.0-x\r\n", "no HTTP answer"),
        (b"", "no HTTP answer"),
        (b"HTTP/1.1 xxx\r\n", "no HTTP answer"),
        (None, "timed out"),
    ],
)
def test_what_answers_otherwise_is_not_well(monkeypatch, answer, wrong):
    """Another service at the port, one that hangs."""
    monkeypatch.setattr(healthcheck, "_PATIENCE", 0.3 if answer is None else 60)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reply():
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                if answer is not None:
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)
                client.recv(1000)

        thread = threading.Thread(target=reply)
        thread.start()
        port = listener.getsockname()[1]
        assert check(Settings(host="127.0.0.1", port=port)) == f"127.0.0.1:{port}: {wrong}"
        thread.join(60)
