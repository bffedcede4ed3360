"""systemd's notification protocol (effetool/runtime/process/sd_notify.py)."""

import socket
import sys

import pytest

from effetool.runtime.process.sd_notify import notify


@pytest.mark.parametrize(
    "abstract",
    [False, pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's"))],
)
def test_a_state_is_one_datagram(tmp_path, abstract):
    """sd_notify(3): to the path in $NOTIFY_SOCKET; a leading @ stands for the NUL of an abstract name."""
    path = f"@effe-{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path[1:] if abstract else path)
        manager.settimeout(10)
        assert notify({"NOTIFY_SOCKET": path}, "READY=1")
        assert manager.recv(1000) == b"READY=1"
        assert notify({"NOTIFY_SOCKET": path}, "RELOADING=1")
        first, second = manager.recv(1000).split(b"\n")
        assert first == b"RELOADING=1" and second.startswith(b"MONOTONIC_USEC=")


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": "/no/such/socket"}]
)
def test_without_a_manager_nothing_happens(environ):
    """And an unreachable one ends no service."""
    assert notify(environ, "READY=1") is False
