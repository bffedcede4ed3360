"""Where logins are looked for, and that a broken or hostile file is nobody's login."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from effetool.image.registry.credentials import Credentials, find_credentials


def auth(name: str, secret: str = "secret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:{secret}".encode()).decode()}


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def test_the_most_particular_file_comes_first(tmp_path: Path) -> None:
    """docker's file, podman's of this login, podman's own; $REGISTRY_AUTH_FILE in place of them all."""
    home, runtime = tmp_path / "home", tmp_path / "run"
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}
    found = []
    for path in (home / ".config/containers/auth.json", runtime / "containers/auth.json", home / ".docker/config.json"):
        write(path, {"auths": {"example.org": auth(path.parent.name)}})
        credentials = find_credentials("example.org", environ)
        found.append(credentials.username if credentials else None)
    only = write(tmp_path / "only.json", {"auths": {}})
    assert found == ["containers", "containers", ".docker"]
    assert find_credentials("example.org", {**environ, "REGISTRY_AUTH_FILE": str(only)}) is None
    elsewhere = write(tmp_path / "elsewhere/config.json", {"auths": {"example.org": auth("elsewhere")}})
    environ["DOCKER_CONFIG"] = str(elsewhere.parent)
    assert find_credentials("example.org", environ) == Credentials("elsewhere", "secret")


def test_without_a_session_podman_s_login_is_below_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/run/containers/0/auth.json is root's on a server: no $XDG_RUNTIME_DIR there (containers-auth.json(5))."""
    monkeypatch.setattr("effetool.image.registry.credentials.RUNTIME", tmp_path / "containers")
    write(tmp_path / f"containers/{os.geteuid()}/auth.json", {"auths": {"example.org": auth("root")}})
    found = find_credentials("example.org", {"HOME": str(tmp_path / "home")})
    assert found == Credentials("root", "secret")
    assert find_credentials("example.org", {"XDG_RUNTIME_DIR": str(tmp_path / "none")}) is None


@pytest.mark.parametrize("key", ["example.org", "https://example.org", "https://example.org/v1/"])
def test_a_registry_has_several_spellings(tmp_path: Path, key: str) -> None:
    """As docker writes them, of old and now."""
    write(tmp_path / ".docker/config.json", {"auths": {key: auth("joe", "a:b")}})
    assert find_credentials("example.org", {"HOME": str(tmp_path)}) == Credentials("joe", "a:b")
    assert find_credentials("example.com", {"HOME": str(tmp_path)}) is None


def test_docker_hub_s_login_is_found(tmp_path: Path) -> None:
    """`docker login` writes an address of 2013."""
    write(tmp_path / ".docker/config.json", {"auths": {"https://index.docker.io/v1/": auth("joe")}})
    assert find_credentials("docker.io", {"HOME": str(tmp_path)}) == Credentials("joe", "secret")


@pytest.mark.parametrize(
    "document",
    [
        [], None, {"auths": []}, {"auths": {"example.org": None}}, {"auths": {"example.org": {"auth": "%%%"}}},
        {"auths": {"example.org": {"auth": "am9l"}}}, {"auths": {"example.org": {"auth": "/w=="}}},
        {"credHelpers": {"example.org": "../../bin/sh"}}, {"credsStore": "no-such-helper"}, {"credsStore": 7},
    ],
)  # fmt: skip
def test_a_file_that_says_nothing_is_passed_over(tmp_path: Path, document: object) -> None:
    """Half-written, of another shape, or with a helper that is a path: as if it were not there."""
    write(tmp_path / ".docker/config.json", document)
    assert find_credentials("example.org", {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}) is None


def test_a_helper_that_fails_leaves_the_file(tmp_path: Path) -> None:
    """Locked, or without that login: what stands in the file is taken."""
    helper = tmp_path / "docker-credential-locked"
    helper.write_text("#!/bin/sh\necho credentials not found in native keychain\nexit 1\n")
    helper.chmod(0o755)
    write(tmp_path / ".docker/config.json", {"credsStore": "locked", "auths": {"example.org": auth("joe")}})
    found = find_credentials("example.org", {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert found == Credentials("joe", "secret")


def test_a_secret_is_in_no_repr() -> None:
    """What a log or a traceback could show."""
    assert "hunter2" not in repr(Credentials("joe", "hunter2", "hunter2"))
    assert Credentials("Aladdin", "open sesame").basic == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # RFC 7617 section 2
