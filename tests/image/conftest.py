"""A built effe, a hand-made base, the small base, an engine and a registry: real ones, each made once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from effetool.artifact import Artifact, read_artifact
from effetool.image.base import host_platform, make_base
from effetool.image.config import Base, Platform
from effetool.image.layer import Entry, write_layer
from effetool.image.store import Store
from tests.docs.shell import free_port
from tests.parts import need

CONTAINERS_CONF = """\
[containers]
default_ulimits=["nofile=4096:4096","nproc=4096:4096"]
log_driver="k8s-file"
[engine]
cgroup_manager="cgroupfs"
events_logger="file"
runtime="runc"
"""


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


def built(shared: Path, folder: str, dependencies: str) -> Path:
    """Build the probe with the command line, once for all test processes."""
    path = shared / f"{folder}.pex"
    with alone(shared / f"{folder}.lock"):
        if not path.exists():
            source = shared / folder
            source.mkdir()
            (source / "logic.py").write_text(f"# /// script\n# dependencies = {dependencies}\n# ///\n{LOGIC}")
            (source / "data.txt").write_text("data beside the code\n")
            command = [sys.executable, "-m", "effetool", "build", str(source), "--out", str(path), "-q"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    return path


LOGIC = '''
"""probe: tell what is allowed here."""
import json, os, ssl, time, urllib.request

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
        import markupsafe
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


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def bare(store: Store) -> Base:
    """A base in the store with a file where an interpreter would be: enough for all that does not run it."""
    layer = write_layer(store, [Entry("usr/bin/python3.11", data=b"#!", mode=0o755)], about="bare")
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}
    version = sys.version_info[:2]
    return Base(Platform("amd64"), (layer,), config, f"/usr/bin/python{version[0]}.{version[1]}", version)


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
    conf, storage = shared / "containers.conf", shared / "storage.conf"
    conf.write_text(CONTAINERS_CONF)
    storage.write_text(f'[storage]\ndriver="overlay"\nrunroot="{shared}/run"\ngraphroot="{shared}/graph"\n')
    return {**os.environ, "CONTAINERS_CONF": str(conf), "CONTAINERS_STORAGE_CONF": str(storage)}


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
def registry(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A docker-registry that asks for the name joe and the password s3cret-word."""
    need("docker-registry", "htpasswd")
    root = tmp_path_factory.mktemp("registry")
    users = subprocess.run(["htpasswd", "-Bbn", "joe", "s3cret-word"], check=True, capture_output=True).stdout
    (root / "users").write_bytes(users)
    port = free_port()
    (root / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        f"auth: {{htpasswd: {{realm: test, path: {root}/users}}}}\n"
    )
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", root / "registry.yml"], stdout=log, stderr=log)
    try:
        wait_for(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_for(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until something listens on the port."""
    import socket

    deadline = time.monotonic() + 60
    while True:
        assert process is None or process.poll() is None, "it ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < deadline, f"nothing listens on {port}"
        time.sleep(0.02)
