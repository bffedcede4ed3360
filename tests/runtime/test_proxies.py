"""Behind a real nginx and a real HAProxy: whatever a client sends, the proxy and the effe read the same requests.

The proxies keep their connections to the effe, so one request that the two read differently would be answered to
somebody else. Each proxy logs what it handed on, the effe logs what it ran; the two lists are compared.
"""

import concurrent.futures
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.parts import need

from .conftest import PATIENCE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the proxies are tested on Linux"),
]

EFFE = """
INFO = {"name": "origin", "version": "1.0"}
def run(context, error, response, request):
    request.body.read()
    response.write("hello")
"""
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 200; }}
http {{
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  log_format handed "$request_method $request_uri $upstream_status";
  access_log {folder}/handed handed;
  client_header_timeout 1s; client_body_timeout 1s; {options}
  upstream origin {{ server 127.0.0.1:{port}; keepalive 4; }}
  server {{
    listen unix:{folder}/front;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off;
    }}
  }}
}}
"""
HAPROXY = """
global
  maxconn 200
defaults
  mode http
  timeout connect 30s
  timeout client 1s
  timeout server 30s
  timeout http-request 1s
  log stdout format raw local0
  log-format "%HM %HU %ST %s"
  retries 0
  {options}
frontend in
  bind unix@{folder}/front
  default_backend origin
backend origin
  http-reuse always
  server one 127.0.0.1:{port}
"""
PROXIES = {
    "nginx": "",
    "nginx, bodies streamed": "proxy_request_buffering off; underscores_in_headers on; ignore_invalid_headers off;",
    "haproxy": "",
    "haproxy, lenient": "option accept-invalid-http-request",
}


def attempts():
    """Yield byte streams in which one reader could find `/smuggled` as a request, and another in a body."""
    inner = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    chunked = b"0\r\n\r\n" + inner
    lengths = [
        b"Content-Length: %d",
        b"Content-Length: +%d",
        b"Content-Length: 0%d",
        b"Content-Length: %d,0",
        b"Content-Length: 0\r\nContent-Length: %d",
        b"Content-Length : %d",
        b"Content-Length:\x0b%d",
        b"Content-Length: %d_0",
        b"Content-Length: 0x%d",
        b"Content_Length: %d",
        b"Content-Length: %d ",
    ]
    codings = [
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding:\x0bchunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"X: x\nTransfer-Encoding: chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding\r\n: chunked",
        b"Transfer_Encoding: chunked",
        b"transfer-encoding:chunked ",
        b'Transfer-Encoding: "chunked"',
        b"Transfer-Encoding: chunked;q=1",
        b"X: \x00\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: \tchunked",
        b"Connection: Content-Length",
    ]
    for length in lengths:
        yield b"POST /a HTTP/1.1\r\nHost: h\r\n" + length % len(inner) + b"\r\n\r\n" + inner
    for coding in codings:
        for length in (b"", b"Content-Length: 5\r\n", b"Content-Length: %d\r\n" % len(chunked)):
            for fields in (length + coding + b"\r\n", coding + b"\r\n" + length):
                yield b"POST /b HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n" + chunked
    for chunk in (
        b"%x;\n",
        b"%x;a\r\r\n",
        b"%x \r\n",
        b"0x%x\r\n",
        b"+%x\r\n",
        b"%x\n",
        b"\r\n%x\r\n",
        b"1%015x0\r\n",
        b'%x;a="\r\n"\r\n',
    ):
        body = chunk % len(inner) + inner + b"\r\n0\r\n\r\n"
        yield b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    for trailer in (b"Content-Length: 99\r\n", b"X : 1\r\n", b"X\r\n", b"X: 1\n"):
        yield b"POST /d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailer + b"\r\n" + inner
    for first in (
        b"GET /e HTTP/1.0",
        b"GET  /e HTTP/1.1",
        b"GET /e\tHTTP/1.1",
        b"GET /e HTTP/0.9",
        b"GET /e",
        b"GET /e HTTP/1.1 x",
        b"\r\n\r\nGET /e HTTP/1.1",
        b"GET /e\x00 HTTP/1.1",
        b"GET http://o/e HTTP/1.1",
        b"HEAD /e HTTP/1.1",
        b"GET /e\r HTTP/1.1",
    ):
        yield first + b"\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner
        yield first + b"\r\nHost: h\r\n\r\n" + inner
    for line in (
        b"Host: h",
        b"Host: h\r\nHost: g",
        b"Host: h\n",
        b"Host: h\r\nX: a\r\n b: c",
        b"Host: h\r\nExpect: 100-continue",
        b"Host: h\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
        b"Host: h\r\n\x85X: 1",
    ):
        yield b"POST /f HTTP/1.1\r\n" + line + b"\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner


LAST = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def exchange(path, data):
    """Send it all and read until the proxy closes; return what came."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        answer = b""
        try:
            client.sendall(data)
            while piece := client.recv(65536):
                answer += piece
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer


@pytest.fixture
def front(serve, tmp_path):
    """An effe behind a proxy: the effe, where the proxy listens, and what it has handed on and got a 200 for."""
    ends = []

    def start(name):
        kind = name.split(",")[0]
        need(kind)
        running = serve(EFFE, "-access-log")
        folder = tmp_path / "proxy"
        folder.mkdir()
        text = (NGINX if kind == "nginx" else HAPROXY).format(folder=folder, port=running.port, options=PROXIES[name])
        (folder / "cfg").write_text(text)
        command = (
            ["nginx", "-c", folder / "cfg", "-p", folder] if kind == "nginx" else ["haproxy", "-f", folder / "cfg"]
        )
        with (folder / "out").open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        ends.append(process)
        path = str(folder / "front")
        for _ in range(PATIENCE * 50):
            assert process.poll() is None, (folder / "out").read_text()
            if Path(path).exists() and exchange(path, LAST).startswith(b"HTTP/1.1 200"):
                break
            threading.Event().wait(0.02)

        def handed():
            process.terminate()  # nginx and HAProxy write what they have to say before they end
            process.wait(PATIENCE)
            lines = (folder / ("handed" if kind == "nginx" else "out")).read_text(errors="replace").split("\n")
            parts = [line.split(" ") for line in lines]
            if kind == "nginx":
                return Counter((each[0], each[1]) for each in parts if len(each) == 3 and each[2] == "200")
            return Counter((each[0], each[1]) for each in parts if len(each) == 4 and each[2:] == ["200", "one"])

        return running, path, handed

    yield start
    for process in ends:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", PROXIES)
def test_the_proxy_and_the_effe_read_the_same_requests(front, name):
    """Request smuggling needs two readings; the effe refuses what has two, whatever the proxy lets through."""
    running, path, handed = front(name)
    streams = list(attempts())
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda stream: exchange(path, stream + LAST), streams))
    assert all(answers) or name.startswith("nginx")  # nginx says nothing to what is no request
    # Whoever comes next on the proxy's connections gets its own answer.
    for number in range(20):
        answer = exchange(path, LAST.replace(b"/last", b"/next%d" % number))
        assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"hello")
    assert running.stop() == 0
    passed = handed()
    answered = [record for record in running.records if record["message"] == "request" and record["status"] == 200]
    ran = Counter((record["method"], record["target"]) for record in answered if not record.get("cut"))
    assert sum(passed.values()) > 30, "the proxy hands on what is right"
    assert ran == passed
    print(f"{name}: {len(streams)} streams, {sum(ran.values())} requests, {ran['GET', '/smuggled']} of them pipelined")
