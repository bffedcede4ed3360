"""effetool.up.proxy: HAProxy is found, or what installs it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from effetool.errors import DeployError
from effetool.up import proxy


def program(folder: Path, name: str) -> Path:
    """Make a program of this name."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_it_is_found_beside_path_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/usr/sbin is not on every user's PATH."""
    sbin = program(tmp_path / "sbin", "haproxy")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(proxy, "PLACES", (str(tmp_path / "sbin"),))
    assert proxy.find_haproxy() == str(sbin)
    first = program(tmp_path / "bin", "haproxy")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert proxy.find_haproxy() == str(first)


@pytest.mark.parametrize(
    ("installer", "fix"),
    [
        ("apt-get", "sudo apt-get install haproxy"),
        ("brew", "brew install haproxy"),
        ("other", "install HAProxy 2.4 or"),
    ],
)
def test_where_it_is_not(installer: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """E415, with the command that this system has."""
    program(tmp_path / "bin", installer)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(proxy, "PLACES", ())
    with pytest.raises(DeployError, match="HAProxy is not installed") as caught:
        proxy.find_haproxy()
    assert caught.value.code == "E415"
    assert caught.value.fix is not None and caught.value.fix.startswith(fix)
