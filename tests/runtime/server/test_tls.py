"""TLS (effetool/runtime/server/tls.py), with openssl's client and Python's."""

import shutil
import signal
import socket
import ssl
import subprocess

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")

EFFE = """
INFO = {"name": "hello", "version": "1.0"}
def run(context, error, response, request):
    if request.path == "/big":
        response.write(b"x" * 3_000_000)
    elif request.path == "/stream":
        for _ in range(50):
            response.write(b"y" * 20_000)
            response.flush()
    else:
        response.write(str(len(request.body.read())))
"""


def certificate(folder, name):
    """Make a self-signed certificate; return its file and its key's."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return cert, key


def client(running, cert, name="one.test", **versions):
    """Open a verified TLS connection."""
    context = ssl.create_default_context(cafile=str(cert))
    for key, value in versions.items():
        setattr(context, key, value)
    return context.wrap_socket(running.connect(), server_hostname=name)


def ask(connection, path="/", body=b""):
    """Ask, and read to the end."""
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode() + body)
    with connection.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    return body


@pytest.fixture
def pair(tmp_path):
    return certificate(tmp_path, "one.test")


@pytest.fixture
def running(serve, pair):
    cert, key = pair
    return serve(EFFE, "-cert", str(cert), "-key", str(key), "-header-timeout", "30s")


def test_a_verified_client_is_answered(running, pair):
    """Small and large, up and down, whole and streamed: records are not requests."""
    assert running.address.startswith("https://")
    for path, body, answer in (
        ("/", b"", b"0"),
        ("/", b"z" * 1_000_000, b"1000000"),
        ("/big", b"", b"x" * 3_000_000),
    ):
        with client(running, pair[0]) as connection:
            assert ask(connection, path, body) == answer
    with client(running, pair[0]) as connection:
        assert ask(connection, "/stream").count(b"y") == 1_000_000


def test_keep_alive_and_alpn(running, pair):
    """One handshake for many requests; HTTP/1.1 is what is offered."""
    context = ssl.create_default_context(cafile=str(pair[0]))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(running.connect(), server_hostname="one.test") as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            text = b""
            while not text.endswith(b"\r\n\r\n0"):
                text += connection.recv(1000)


def test_slow_and_silent_handshakes_stop_nobody(running, pair):
    """A hundred silent clients, and one that stops in the middle of its hello."""
    idle = [running.connect() for _ in range(100)]
    idle[0].sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    for _ in range(5):
        with client(running, pair[0]) as connection:
            assert ask(connection) == b"0"
    for connection in idle:
        connection.close()


def test_a_handshake_has_a_time_limit(serve, pair):
    """That of a request's head."""
    running = serve(EFFE, "-cert", str(pair[0]), "-key", str(pair[1]), "-header-timeout", "300ms")
    with running.connect() as connection:
        assert connection.recv(100) == b""


def test_plain_http_is_told_to_use_https(running, pair):
    """The whole answer can be read, however much is sent; it runs nothing, and the next client is served."""
    for sent in (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"P", b"POST / HTTP/1.1\r\n" + 1_000_000 * b"x"):
        with running.connect() as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as file:
                head, _, body = file.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"\r\nConnection: close" in head
        assert body == b"this port speaks TLS: use https://\n"
    with client(running, pair[0]) as connection:
        assert ask(connection) == b"0"


def test_what_is_neither_is_closed(running, pair):
    """Without an answer; the next client is served."""
    with running.connect() as connection:
        connection.sendall(b"\0\1\2\3" * 10)
        with connection.makefile("rb") as file:
            try:
                assert b"HTTP" not in file.read()
            except ConnectionResetError:
                pass
    with client(running, pair[0]) as connection:
        assert ask(connection) == b"0"


def test_old_versions_are_refused(running, pair):
    """RFC 8996; 1.2 and 1.3 are spoken."""
    for version in ("-tls1_2", "-tls1_3"):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-CAfile", str(pair[0]), version]
        command += ["-verify_return_error", "-quiet", "-servername", "one.test"]
        asked = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        done = subprocess.run(command, input=asked, capture_output=True, timeout=60)
        assert done.stdout.startswith(b"HTTP/1.1 200 OK"), done.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("AES128-SHA")  # no forward secrecy
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with running.connect() as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)


def test_sighup_reads_the_certificate_again(running, pair, tmp_path):
    """For the connections to come; one that cannot be read changes nothing."""
    cert, key = certificate(tmp_path, "two.test")
    with client(running, pair[0]) as old:
        cert.replace(pair[0])
        key.replace(pair[1])
        running.signal(signal.SIGHUP)
        running.record("the certificate is read again")
        with client(running, pair[0], "two.test") as connection:
            assert ask(connection) == b"0"
        assert ask(old) == b"0"
    pair[0].write_text("nothing")
    running.signal(signal.SIGHUP)
    assert str(pair[0]) in running.record("the old certificate stays")["message"]


@pytest.mark.parametrize("files", [("no.pem", None), ("logic.py", None)])
def test_a_certificate_that_cannot_be_read_is_named(serve, files):
    """Exit 1 and its path, before the author's code runs."""
    running = serve(EFFE, "-cert", files[0], ready=False)
    assert running.end() == 1
    assert running.record("-cert")["message"].startswith(f"-cert {files[0]}: ")


def test_a_key_that_cannot_be_read_is_named(serve, pair):
    """Not the certificate beside it, which is there."""
    running = serve(EFFE, "-cert", str(pair[0]), "-key", "no.key", ready=False)
    assert running.end() == 1
    assert running.records[0]["message"] == "-key no.key: No such file or directory"


def test_sigterm_drains_tls_connections_too(running, pair):
    """An idle one is closed with a close_notify, not cut."""
    with client(running, pair[0]) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        text = b""
        while not text.endswith(b"\r\n\r\n0"):
            text += connection.recv(1000)
        running.signal()
        assert connection.recv(100) == b""
    assert running.end() == 0


def test_workers_speak_tls(serve, pair):
    """Each reads the certificate itself."""
    running = serve(EFFE, "-cert", str(pair[0]), "-key", str(pair[1]), "-workers", "2")
    for _ in range(6):
        with client(running, pair[0]) as connection:
            assert ask(connection) == b"0"
    assert running.stop() == 0
