"""docker-registry and what stands before one: a token service as docker's auth/token.md has it, a line that breaks."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.docs.shell import free_port

__all__ = ["PASSWORD", "USER", "Line", "Tokens", "serve_registry", "serve_tokens", "wait_for"]

USER, PASSWORD = "joe", "s3cret-word"
ISSUER = "test issuer"


@contextlib.contextmanager
def serve_registry(root: Path, auth: str = "", http: str = "", host: str = "127.0.0.1") -> Iterator[str]:
    """Run docker-registry; give its HOST:PORT. `auth` and `http` are YAML in flow style."""
    address = f"{host}:{free_port()}"
    root.mkdir(exist_ok=True)
    (root / "registry.yml").write_text(
        f"version: 0.1\nlog: {{accesslog: {{disabled: false}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {root}/data}}, maintenance: {{uploadpurging: {{enabled: false}}}}}}\n"
        f"http: {{addr: '{address}'{', ' + http if http else ''}}}\n{f'auth: {auth}' if auth else ''}\n"
    )
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", root / "registry.yml"], stdout=log, stderr=log)
    try:
        wait_for(address, process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until something listens there."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "it ended"
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        assert time.monotonic() < deadline, f"nothing listens on {address}"
        time.sleep(0.02)


@dataclass
class Tokens:
    """A token service: who asked it how, and for what.

    Attributes:
        asked: for each request how somebody made himself known (`basic`, `refresh`, `nobody`) and the scope.
        grants: the actions that the user gets.
        denied: repositories in which he gets none.
    """

    root: Path
    asked: list[tuple[str, str]] = field(default_factory=list)
    grants: tuple[str, ...] = ("pull", "push")
    denied: set[str] = field(default_factory=set)
    identity: str = field(default_factory=secrets.token_hex)
    port: int = 0

    def __post_init__(self) -> None:
        self.certificate, self.key = self.root / "issuer.pem", self.root / "issuer.key"
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=issuer"]
        subprocess.run([*words, "-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)

    @property
    def auth(self) -> str:
        """The registry's setting."""
        return (
            f"{{token: {{realm: 'http://127.0.0.1:{self.port}/token?from=realm', service: test-registry, "
            f"issuer: {ISSUER}, rootcertbundle: {self.certificate}}}}}"
        )

    def token(self, scopes: list[str]) -> str:
        """Return a signed token (docker's auth/jwt.md) for what of the scopes is granted."""
        access = []
        for kind, name, actions in (scope.split(":") for scope in scopes):
            allowed = [action for action in actions.split(",") if action in self.grants and name not in self.denied]
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        lines = self.certificate.read_text().split("-----")[2].split()
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines)]}
        claims = {
            "iss": ISSUER, "sub": USER, "aud": "test-registry", "exp": now + 300, "nbf": now - 10, "iat": now,
            "jti": secrets.token_hex(), "access": access,
        }  # fmt: skip
        signed = ".".join(_urlsafe(json.dumps(part).encode()) for part in (header, claims))
        words = ["openssl", "dgst", "-sha256", "-sign", self.key]
        return (
            f"{signed}.{_urlsafe(subprocess.run(words, input=signed.encode(), check=True, capture_output=True).stdout)}"
        )


@contextlib.contextmanager
def serve_tokens(root: Path) -> Iterator[Tokens]:
    """Run a token service that knows USER by PASSWORD and by an identity token."""
    root.mkdir(exist_ok=True)
    tokens = Tokens(root)
    basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = urllib.parse.urlsplit(self.path).query
            known = self.headers.get("Authorization")
            self.answer("nobody" if known is None else "basic" if known == basic else "", query)

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            given = urllib.parse.parse_qs(form).get("refresh_token")
            self.answer("refresh" if given == [tokens.identity] else "", form)

        def answer(self, who: str, fields: str) -> None:
            asked = urllib.parse.parse_qs(fields)
            scopes = [scope for field in asked["scope"] for scope in field.split(" ")]
            tokens.asked.append((who, " ".join(scopes)))
            assert asked["service"] == ["test-registry"]
            body = json.dumps(
                {"token": tokens.token(scopes)} if who in ("basic", "refresh") else {"errors": []}
            ).encode()
            self.send_response(200 if who in ("basic", "refresh") else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        tokens.port = port
        yield tokens


@contextlib.contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[int]:
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Line:
    """A TCP line to `address` that counts what one side sends, the client's, and breaks when it is told to.

    Attributes:
        cuts: for each break to come, after how many bytes since the last one.
        inside: whether it breaks in the middle of a request, else when the next connection is made.
        back: whether it is the registry's bytes that are counted.
        sent: bytes of the one side that came.
        dead: whether new connections are refused, by closing them at once.
    """

    def __init__(self, address: str, cuts: Sequence[int] = (), *, inside: bool = True, back: bool = False) -> None:
        host, _, port = address.rpartition(":")
        self.target = (host, int(port))
        self.cuts = list(cuts)
        self.inside = inside
        self.back = back
        self.sent = self.since = 0
        self.dead = False
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Line:
        self.threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(60)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.dead or (not self.inside and self._breaks(0)):
                client.close()
                continue
            thread = threading.Thread(target=self._carry, args=(client,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.target) as server:
            back = threading.Thread(target=self._copy, args=(server, client, self.back), daemon=True)
            back.start()
            self._copy(client, server, not self.back)
            back.join()

    def _copy(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if counted and self._breaks(len(data), self.inside):
                    for end in (source, target):
                        end.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _breaks(self, size: int, now: bool = True) -> bool:
        with self.lock:
            self.sent += size
            self.since += size
            if now and self.cuts and self.since >= self.cuts[0]:
                self.cuts.pop(0)
                self.since = 0
                return True
            return False
