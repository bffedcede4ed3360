"""An effe's image in podman: what it may do, how it stops, whom it trusts."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.parts import need

from .certificates import Authority
from .container import CONFINED, Container, running

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def confined(podman: dict[str, str], loaded: str) -> Iterator[Container]:
    """One container with nothing allowed, for all tests that only ask it."""
    with running(podman, loaded, *CONFINED) as container:
        yield container


def test_an_image_needs_nothing_that_can_be_taken_away(confined: Container) -> None:
    """A read-only root without /tmp, no capability, no privilege to gain, nobody's number; it is PID 1."""
    status, body = confined.get()
    told = json.loads(body)
    assert status == 200
    assert told.pop("certificates") > 100
    assert told == {
        "uid": 65532, "gid": 65532, "pid": 1, "written": "OSError30", "data": "data beside the code\n",
        "capabilities": "0000000000000000", "no_new_privileges": "1",
    }  # fmt: skip


def test_memory_and_threads_suffice_under_load(confined: Container) -> None:
    """64 MiB and 64 tasks carry 40 requests at once that each take a while."""
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: confined.get("/slow?seconds=0.3"), range(80)))
    assert answers == [(200, "begun\nended\n")] * 80
    assert confined.state()["OOMKilled"] is False


def test_native_code_of_a_dependency_runs(confined: Container) -> None:
    """A wheel with a shared library lies in its own layer and is loaded from there."""
    status, body = confined.get("/dependency")
    assert status == 200
    assert body.startswith("/app/lib/markupsafe/_speedups.") and body.endswith("&lt;")


def test_sigterm_finishes_what_is_in_flight(podman: dict[str, str], loaded: str) -> None:
    """As PID 1 it takes SIGTERM, answers the request that runs, and exits 0; Linux ignores it for a PID 1 without."""
    with running(podman, loaded, *CONFINED) as container:
        with urllib.request.urlopen(container.url + "/slow?seconds=2", timeout=60) as answer:
            assert answer.readline() == b"begun\n"
            container.podman("kill", "--signal", "TERM", container.name)
            assert answer.read() == b"ended\n"
        assert container.podman("wait", container.name).stdout.strip() == "0"
        assert '"stopped"' in container.log()


def test_the_health_check_asks_the_port_of_the_environment(confined: Container) -> None:
    """HEALTHCHECK runs in the container with its environment: EFFE_PORT is enough, and no curl is needed."""
    confined.podman("healthcheck", "run", confined.name)
    health = confined.state()["Health"]
    assert isinstance(health, dict) and health["Status"] == "healthy"


def test_the_health_check_fails_when_the_effe_does(podman: dict[str, str], loaded: str) -> None:
    """An effe that answers 500 is not well."""
    with running(podman, loaded, "-e", "BROKEN=1") as container:
        assert container.podman("healthcheck", "run", container.name, check=False).returncode == 1


class Secret(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"behind TLS")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    need("openssl")
    return Authority(tmp_path / "authority")


@pytest.fixture
def https(authority: Authority) -> Iterator[str]:
    """A server whose certificate the authority signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("localhost"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Secret) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://localhost:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_call_out_trusts_the_bundle_and_no_other(confined: Container, https: str) -> None:
    """A certificate of an authority that is not in the bundle is refused."""
    status, body = confined.get(f"/call?url={https}")
    assert status == 502
    assert "CERTIFICATE_VERIFY_FAILED" in body


@pytest.mark.parametrize("way", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_an_own_authority_is_added_by_openssl_s_variables(
    podman: Mapping[str, str], loaded: str, authority: Authority, https: str, way: str
) -> None:
    """SSL_CERT_FILE takes the bundle's place, SSL_CERT_DIR stands beside it: docs/how-to/images.md."""
    folder = authority.certificate.parent / "mounted"
    folder.mkdir()
    (folder / "own.pem").write_bytes(authority.certificate.read_bytes())
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    value = "/own/own.pem" if way == "SSL_CERT_FILE" else "/own"
    with running(podman, loaded, *CONFINED, "-v", f"{folder}:/own:ro", "-e", f"{way}={value}") as container:
        assert container.get(f"/call?url={https}") == (200, "behind TLS")
        bundled = json.loads(container.get()[1])["certificates"]
    assert bundled == 1 if way == "SSL_CERT_FILE" else bundled > 100
