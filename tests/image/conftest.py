"""A built effe, a hand-made base, the small base, an engine and a registry: real ones, each made once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from effetool.effe.artifact import Artifact, read_artifact
from effetool.image.config import Base, Platform, host_platform
from effetool.image.debian.small_base import make_base
from effetool.image.layer import Entry, write_layer
from effetool.image.store import Store
from tests.parts import need

from .container import podman_environment
from .registries import PASSWORD, USER, serve_registry


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock that the other test processes wait for."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all test processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "effe-image"
    root.mkdir(mode=0o700, exist_ok=True)
    return root


@pytest.fixture(scope="session")
def pex(shared: Path) -> Path:
    """probe-1.0.pex: an effe without dependencies that tells what a container allows it, and can be slow."""
    return built(shared, "probe", "[]")


@pytest.fixture(scope="session")
def native(shared: Path) -> Path:
    """The same effe with a dependency that has native code."""
    return built(shared, "native", '["markupsafe"]')


def built(shared: Path, folder: str, dependencies: str, logic: str | None = None) -> Path:
    """Build the probe with the command line, once for all test processes."""
    path = shared / f"{folder}.pex"
    with alone(shared / f"{folder}.lock"):
        if not path.exists():
            source = shared / folder
            source.mkdir()
            (source / "logic.py").write_text(f"# /// script\n# dependencies = {dependencies}\n# ///\n{logic or LOGIC}")
            (source / "data.txt").write_text("data beside the code\n")
            command = [sys.executable, "-m", "effetool", "build", str(source), "--out", str(path), "-q"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    return path


LOGIC = '''
"""probe: tell what is allowed here."""
import importlib, json, os, ssl, time, urllib.request

INFO = {"name": "probe", "version": "1.0", "doc": "Tell what is allowed"}


def run(context, error, response, request):
    if "BROKEN" in os.environ:
        raise RuntimeError("broken")
    if request.path == "/slow":
        response.write("begun\\n")
        response.flush()
        time.sleep(float(request.query["seconds"]))
        response.write("ended\\n")
    elif request.path == "/dependency":
        markupsafe = importlib.import_module("markupsafe")
        response.write(markupsafe._speedups.__file__ + markupsafe.escape("<"))
    elif request.path == "/call":
        try:
            with urllib.request.urlopen(request.query["url"], timeout=20) as answer:
                response.write(answer.read())
        except OSError as refused:
            response.status = 502
            response.write(str(refused))
    else:
        try:
            open("/app/written", "w")
            written = "yes"
        except OSError as refused:
            written = type(refused).__name__ + str(refused.errno)
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        response.json({
            "uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid(), "written": written,
            "data": open("data.txt").read(), "capabilities": status["CapEff"].strip(),
            "no_new_privileges": status["NoNewPrivs"].strip(),
            "certificates": len(ssl.create_default_context().get_ca_certs()),
        })
'''


@pytest.fixture(scope="session")
def artifact(pex: Path) -> Artifact:
    return read_artifact(pex)


@pytest.fixture(scope="session")
def changed(shared: Path, pex: Path) -> Artifact:
    """The same effe after one line of its logic.py changed."""
    return read_artifact(built(shared, "changed", "[]", LOGIC.replace("begun", "started")))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def bare(store: Store) -> Base:
    """A base in the store with a file where an interpreter would be: enough for all that does not run it."""
    return bare_base(store, "amd64")


def bare_base(store: Store, architecture: str, python: str = f"usr/bin/python3.{sys.version_info[1]}") -> Base:
    """Return a base with nothing but the name of an interpreter, of the version that runs the tests."""
    version = sys.version_info[:2]
    files = [Entry(python, data=architecture.encode(), mode=0o755), Entry("etc/ssl/cert.pem", data=b"")]
    layer = write_layer(store, files, about="bare")
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id]}
    config = {"architecture": architecture, "os": "linux", "rootfs": rootfs}
    return Base(Platform(architecture), (layer,), config, f"/{python}", version)


@pytest.fixture(scope="session")
def small(shared: Path) -> Path:
    """A cache with the small base of this platform, made from Debian packages; what XDG_CACHE_HOME names."""
    need("apt-get", "dpkg-deb")
    root = shared / "cache"
    with alone(shared / "small.lock"):
        if not root.exists():
            store = Store(root / "effe-tool/image")
            make_base(store, host_platform(), lambda *_: None)
    return root


@pytest.fixture(scope="session")
def podman(shared: Path) -> dict[str, str]:
    """The environment podman runs in, with images and containers of this run alone."""
    need("podman", "runc")
    return podman_environment(shared)


@pytest.fixture(scope="session")
def loaded(shared: Path, native: Path, small: Path, podman: dict[str, str]) -> str:
    """The name under which podman has the image of `native` on the small base."""
    done = shared / "loaded"
    with alone(shared / "loaded.lock"):
        if not done.exists():
            command = [sys.executable, "-m", "effetool", "image", str(native), "--load", "-q"]
            ended = subprocess.run(
                command, capture_output=True, text=True, env={**podman, "XDG_CACHE_HOME": str(small)}
            )
            assert ended.returncode == 0, ended.stderr
            done.write_text(ended.stdout.strip())
    return done.read_text()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A docker-registry that asks for a name and a password."""
    need("docker-registry", "htpasswd")
    root = tmp_path_factory.mktemp("registry")
    words = ["htpasswd", "-Bbn", USER, PASSWORD]
    (root / "users").write_bytes(subprocess.run(words, check=True, capture_output=True).stdout)
    with serve_registry(root, f"{{htpasswd: {{realm: test, path: {root}/users}}}}") as address:
        yield address


@pytest.fixture
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """docker's own login file, not there yet; nobody else's is looked at."""
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = tmp_path / "home/.docker/config.json"
    monkeypatch.setenv("DOCKER_CONFIG", str(path.parent))
    path.parent.mkdir(parents=True)
    return path
