"""Templates over https: a real git server behind TLS, asked by the real git."""

from __future__ import annotations

import base64
import http.server
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.certificates import Authority
from tests.parts import need
from tests.templating.test_catalog import LOGIC, committed

ROOT = Path(__file__).parents[2]
WHO = base64.b64encode(b"me:a secret").decode()


class GitServer(http.server.BaseHTTPRequestHandler):
    """git's own http-backend, by the rules of CGI (RFC 3875). Below /private it wants a password, /to sends away."""

    repositories: Path
    away: str

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.startswith("/to/"):
            self._answer(302, {"Location": f"{self.away}/info/refs?{query}"})
        elif path.startswith("/silent/"):
            self.rfile.read(1)  # until the client goes
        elif path.startswith("/private/") and self.headers["Authorization"] != f"Basic {WHO}":
            self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self._backend(path.removeprefix("/private"), query)

    do_POST = do_GET

    def _backend(self, path: str, query: str) -> None:
        variables = {
            "GIT_PROJECT_ROOT": str(self.repositories), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers["Content-Type"] or "", "PATH": os.environ["PATH"],
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
        }  # fmt: skip
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        done = subprocess.run(["git", "http-backend"], input=body, env=variables, capture_output=True, check=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self._answer(int(fields.pop("Status", "200").split()[0]), fields, answer)

    def _answer(self, status: int, fields: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**fields, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class TLSServer(http.server.ThreadingHTTPServer):
    """Shake hands in the connection's own thread: a client that refuses the certificate is no error here."""

    context: ssl.SSLContext
    daemon_threads = True

    def finish_request(self, request, address) -> None:  # type: ignore[no-untyped-def]
        try:
            with self.context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, address)  # type: ignore[arg-type]
        except OSError:
            pass


class Served:
    """Where the server is, and whom to trust."""

    def __init__(self, port: int, authority: Authority, home: Path) -> None:
        self.url = f"git+https://localhost:{port}"
        self._home = home
        self._trusted = {"GIT_SSL_CAINFO": str(authority.certificate)}

    def new(self, template: str, *, trusted: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        """Have `effe-tool new mail` start from it, in an empty directory, without a terminal to ask in."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SSL_"))}
        environ = {
            **kept,
            "HOME": str(self._home),
            "PYTHONPATH": str(ROOT),
            **(self._trusted if trusted else {}),
            **more,
        }
        command = [sys.executable, "-m", "effetool", "new", "mail", "-t", template]
        return subprocess.run(command, cwd=self._home, env=environ, capture_output=True, text=True, timeout=60)

    def refused(self, template: str, **more: str) -> str:
        """Have it refused with E206, soon and with nothing written; return what was said."""
        began = time.monotonic()
        done = self.new(template, **more)  # type: ignore[arg-type]
        assert done.returncode == 1 and done.stdout == "" and "error[E206]" in done.stderr, done.stderr
        assert not (self._home / "mail").exists() and time.monotonic() - began < 30
        return done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TLSServer, Authority]]:
    need("git", "openssl")
    root = tmp_path_factory.mktemp("git")
    (root / "loud").mkdir()
    (root / "loud" / "logic.py.jinja").write_text(LOGIC)
    committed(root / "loud")
    authority = Authority(root / "authority")
    handler = type("Handler", (GitServer,), {"repositories": root})
    with TLSServer(("127.0.0.1", 0), handler) as running:
        running.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        running.context.load_cert_chain(*authority.sign("localhost"))
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running, authority
        running.shutdown()


@pytest.fixture
def served(server: tuple[TLSServer, Authority], tmp_path: Path) -> Served:
    return Served(server[0].server_address[1], server[1], tmp_path)


def test_a_template_over_https(served: Served, tmp_path: Path) -> None:
    """At its tag; what the credential of the URL opens, too, and the password is not shown."""
    done = served.new(f"{served.url}/loud/.git@v1")
    assert done.returncode == 0, done.stderr
    assert 'write("MAIL")' in (tmp_path / "mail" / "logic.py").read_text()
    (tmp_path / "mail" / "logic.py").unlink()
    done = served.new(f"{served.url.replace('//', '//me:a%20secret@')}/private/loud/.git@v1")
    assert done.returncode == 0 and "secret" not in done.stderr, done.stderr
    assert (tmp_path / "mail" / "logic.py").is_file()


def test_a_certificate_that_nobody_vouches_for(served: Served) -> None:
    said = served.refused(f"{served.url}/loud/.git@v1", trusted=False)
    assert "certificate" in said and "fix: GIT_SSL_CAINFO=FILE" in said


@pytest.mark.parametrize("user", ["", "me@", "me:wrong@"])
def test_a_password_is_wanted(user: str, served: Served, tmp_path: Path) -> None:
    """Nobody is asked, not by a program of the user's either; git's helpers are named."""
    asked = tmp_path / "askpass"
    asked.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\necho x\n")
    asked.chmod(0o755)
    url = f"{served.url.replace('//', f'//{user}')}/private/loud/.git@v1"
    said = served.refused(url, GIT_ASKPASS=str(asked), SSH_ASKPASS=str(asked))
    assert "gitcredentials(7)" in said and "wrong" not in said
    assert not (tmp_path / "asked").exists()


def test_a_tag_that_is_not_there(served: Served) -> None:
    said = served.refused(f"{served.url}/loud/.git@v9")
    assert "couldn't find remote ref v9" in said and "fix: git ls-remote https://localhost:" in said
    assert "not found" in served.refused(f"{served.url}/none/.git@v1")


@pytest.mark.parametrize("away", ["file://{root}/loud/.git", "http://localhost:{port}/loud/.git", "ext::touch {ran}"])
def test_a_server_that_sends_elsewhere(
    away: str, served: Served, server: tuple[TLSServer, Authority], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a file of this machine, to the same without TLS, to a command: git follows none of them."""
    handler = server[0].RequestHandlerClass
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as open_:
        threading.Thread(target=open_.serve_forever, daemon=True).start()
        root, port = handler.repositories, open_.server_address[1]  # type: ignore[attr-defined]
        monkeypatch.setattr(handler, "away", away.format(root=root, port=port, ran=tmp_path / "ran"), raising=False)
        served.refused(f"{served.url}/to/loud/.git@v1")
        assert not (tmp_path / "ran").exists()
        open_.shutdown()


def test_a_redirect_within_https_is_followed(
    served: Served, server: tuple[TLSServer, Authority], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As forges send a renamed repository."""
    port = server[0].server_address[1]
    monkeypatch.setattr(server[0].RequestHandlerClass, "away", f"https://localhost:{port}/loud/.git", raising=False)
    assert served.new(f"{served.url}/to/loud/.git@v1").returncode == 0


@pytest.mark.slow
def test_a_server_that_says_nothing(
    served: Served, server: tuple[TLSServer, Authority], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """git itself gives up: no helper of it stays behind."""
    from effetool.errors import ScaffoldError
    from effetool.templating import git

    monkeypatch.setattr(git, "SILENCE", 1)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(server[1].certificate))
    with pytest.raises(ScaffoldError) as caught:
        git.read_repository(f"{served.url}/silent/loud/.git@v1")
    assert "too slow" in "".join(caught.value.notes), caught.value.notes
