"""Bases fetched from a registry: taken up again after a break, bounded, and checked."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from effetool.effe.artifact import Artifact
from effetool.errors import ImageError
from effetool.image.build import build_image
from effetool.image.config import Base
from effetool.image.push import push_image, upload
from effetool.image.registry.client import Registry, fetch_into
from effetool.image.registry.credentials import Credentials
from effetool.image.registry.reference import parse_reference
from effetool.image.store import Blob, Store
from tests.parts import need

from ..registries import Line, serve_registry

pytestmark = pytest.mark.registry


@pytest.fixture
def opened(tmp_path: Path, logins: Path) -> Iterator[str]:
    """A registry that asks for nothing."""
    need("docker-registry")
    with serve_registry(tmp_path / "opened") as address:
        yield address


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


def repository(address: str) -> Registry:
    return Registry(parse_reference(f"{address}/team/probe"), pause=lambda _: None)


def test_a_pull_goes_on_after_a_cut(store: Store, other: Store, opened: str) -> None:
    """The rest is asked for by its range; nothing is fetched twice."""
    blob = store.add(random.Random(1).randbytes(2_000_000))
    upload(store, repository(opened), blob)
    with Line(opened, cuts=[700_000, 600_000], back=True) as line:
        repository(line.address).fetch(other, blob)
        assert line.cuts == []
        assert line.sent < 2_000_000 + 4 * (1 << 18)
    assert other.read(blob) == store.read(blob)


def test_a_pull_that_gets_nowhere_ends(store: Store, other: Store, opened: str) -> None:
    """A line that is dead is given up after a few tries, and nothing half is kept."""
    blob = store.add(random.Random(1).randbytes(500_000))
    upload(store, repository(opened), blob)
    with Line(opened, cuts=[200_000], back=True) as line:
        registry = Registry(parse_reference(f"{line.address}/team/probe"), pause=lambda _: setattr(line, "dead", True))
        with pytest.raises(ImageError) as caught:
            registry.fetch(other, blob)
    assert caught.value.code == "E405"
    assert "breaks off" in caught.value.message
    assert [path for path in other.root.rglob("*") if path.is_file()] == []


def test_a_blob_that_is_larger_than_it_was_said_is_refused(store: Store, other: Store, opened: str) -> None:
    """A manifest that says 10 bytes gets no disk filled."""
    blob = store.add(bytes(100_000))
    upload(store, repository(opened), blob)
    with pytest.raises(ImageError, match="sends more than the manifest says"):
        repository(opened).fetch(other, Blob(blob.digest, 10))


def test_a_digest_that_was_fetched_needs_no_network(
    store: Store, other: Store, artifact: Artifact, bare: Base, tmp_path: Path, logins: Path
) -> None:
    """A reference with a digest never means anything else; one with a tag is asked for each time."""
    need("docker-registry")
    image = build_image(store, artifact, [bare], lambda *_: None)
    with serve_registry(tmp_path / "closing") as address:
        reference, _ = push_image(store, image, f"{address}/team/probe")
        first = fetch_into(other)(str(reference), [bare.platform])
    assert fetch_into(other)(str(reference), [bare.platform]) == first
    assert first[0].blob.digest == image.digest
    with pytest.raises(ImageError, match="does not answer: Connection refused"):
        fetch_into(other)(f"{address}/team/probe:1.0", [bare.platform])


class Elsewhere(BaseHTTPRequestHandler):
    """A registry that keeps its blobs with somebody else, as most do, and that somebody."""

    seen: ClassVar[list[tuple[str, str | None]]] = []
    target = ""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization")
        self.seen.append((self.path, known))
        if self.path.startswith("/storage/"):
            self.answer(200, b"a blob")
        elif known is None:
            self.answer(401, b"", ("WWW-Authenticate", 'Basic realm="here"'))
        else:
            self.answer(307, b"", ("Location", self.target))

    def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_login_goes_to_the_registry_alone(other: Store, logins: Path) -> None:
    """Where blobs lie with somebody else, he gets the request and no credentials."""
    blob = Blob("sha256:" + hashlib.sha256(b"a blob").hexdigest(), 6)
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server,
        ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as storage,
    ):
        Elsewhere.target = f"http://localhost:{storage.server_port}/storage/x"
        for one in (server, storage):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        logins.write_text(json.dumps({"auths": {address: {"auth": "am9lOnNlY3JldA=="}}}))
        repository(address).fetch(other, blob)
        for one in (server, storage):
            one.shutdown()
    path = f"/v2/team/probe/blobs/{blob.digest}"
    assert Elsewhere.seen == [(path, None), (path, "Basic am9lOnNlY3JldA=="), ("/storage/x", None)]
    assert other.read(blob) == b"a blob"


@pytest.mark.parametrize("realm", ["http://example.org/token", "file:///etc/passwd", "", "ftp://example.org"])
def test_a_login_goes_nowhere_without_tls(realm: str) -> None:
    """A token service that another machine names must speak https: name and password go there."""
    registry = Registry(parse_reference("registry.example/team/probe"), Credentials("joe", "secret"))
    with pytest.raises(ImageError, match="asks for credentials at an address that is not https"):
        registry._log_in([f'Bearer realm="{realm}",service="x"'])


@pytest.mark.parametrize("target", ["http://example.org/x", "file:///etc/passwd"])
def test_an_upload_goes_nowhere_without_tls(target: str) -> None:
    """Nor are blobs sent where an answer without TLS sends them."""
    registry = Registry(parse_reference("registry.example/team/probe"))
    with pytest.raises(ImageError, match="sends elsewhere, to"):
        registry.request("PUT", target, body=b"x")
