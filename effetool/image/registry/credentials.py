"""Who the user is to a registry: the login files of docker and podman, and their credential helpers.

Read, never written and never shown. Sources: docker's config.json reference, containers-auth.json(5), and
docker-credential-helpers' protocol (the server's name on stdin of `docker-credential-NAME get`, JSON on stdout).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Credentials", "find_credentials"]

RUNTIME = Path("/run/containers")  # podman keeps a login here where no session has a directory, as for root
HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")


@dataclass(frozen=True)
class Credentials:
    """A name and a secret, or an identity token that is traded for access tokens; the secrets stay out of repr."""

    username: str
    password: str = field(repr=False)
    identity: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def find_credentials(registry: str, environ: Mapping[str, str] | None = None) -> Credentials | None:
    """Return what the user logged in to `registry` with, None when there is nothing."""
    environ = os.environ if environ is None else environ
    keys = HUB_KEYS if registry == "docker.io" else (registry, f"https://{registry}", f"https://{registry}/v1/")
    for path in _files(environ):
        try:
            config = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(config, dict) and (found := _in_file(config, keys, environ)) is not None:
            return found
    return None


def _files(environ: Mapping[str, str]) -> list[Path]:
    """Return where logins may be, the most particular first."""
    home = Path(environ.get("HOME", "/nonexistent"))
    if "REGISTRY_AUTH_FILE" in environ:
        return [Path(environ["REGISTRY_AUTH_FILE"])]
    docker = Path(environ["DOCKER_CONFIG"]) if "DOCKER_CONFIG" in environ else home / ".docker"
    runtime = environ.get("XDG_RUNTIME_DIR")
    # containers-auth.json(5)
    podman = (Path(runtime) / "containers" if runtime else RUNTIME / str(os.geteuid())) / "auth.json"
    return [docker / "config.json", podman, home / ".config/containers/auth.json"]


def _in_file(config: Mapping[str, object], keys: tuple[str, ...], environ: Mapping[str, str]) -> Credentials | None:
    helpers, auths = config.get("credHelpers"), config.get("auths")
    for key in keys:
        helper = helpers.get(key) if isinstance(helpers, dict) else None
        if isinstance(helper, str) and (found := _ask(helper, key, environ)) is not None:
            return found
    store = config.get("credsStore")
    for key in keys:
        if isinstance(store, str) and store and (found := _ask(store, key, environ)) is not None:
            return found
        entry = auths.get(key) if isinstance(auths, dict) else None
        if isinstance(entry, dict) and (found := _from_entry(entry)) is not None:
            return found
    return None


def _from_entry(entry: Mapping[str, object]) -> Credentials | None:
    identity = str(entry.get("identitytoken") or "")
    try:
        name, colon, secret = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if colon or identity:
        return Credentials(name, secret, identity)
    return None


def _ask(helper: str, server: str, environ: Mapping[str, str]) -> Credentials | None:
    if not helper.replace("-", "").replace("_", "").isalnum():  # a name that is looked for on PATH, never a path
        return None
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=server.encode(),
            capture_output=True,
            timeout=60,
            env=dict(environ),
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if not isinstance(answer, dict) or not answer.get("Secret"):
        return None
    if answer.get("Username") == "<token>":
        return Credentials("", "", str(answer["Secret"]))
    return Credentials(str(answer.get("Username") or ""), str(answer["Secret"]))
