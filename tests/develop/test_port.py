"""The port rules of dev."""

import os
import socket

import pytest

from effetool.develop import port
from effetool.errors import ServeError


def test_a_taken_port_names_its_owner():
    """The port that was asked for and is taken: E301, who has it, and what to type instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(ServeError) as caught:
            port.listen("127.0.0.1", number)
    assert caught.value.code == "E301"
    assert f"port {number} is taken by" in caught.value.message
    assert f"process {os.getpid()}" in caught.value.message
    assert f"kill {os.getpid()}" in caught.value.fix


def test_nobody_asked_for_a_port(monkeypatch):
    """The next free one after the default is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        monkeypatch.setattr(port, "DEFAULT", number)
        with port.listen("127.0.0.1", None) as found:
            assert found.getsockname()[1] != number


def test_port_zero_takes_a_free_one():
    """-port 0 is any free port, and it listens."""
    with port.listen("127.0.0.1", 0) as found, socket.create_connection(found.getsockname()):
        assert found.getsockname()[1] > 0


def test_an_address_that_is_not_ours():
    """An address of another machine is E301 with the system's word."""
    with pytest.raises(ServeError, match="cannot listen on") as caught:
        port.listen("192.0.2.1", 0)
    assert caught.value.code == "E301"


def test_nobody_listens():
    """A free port has no owner."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert port.owner(bound.getsockname()[1]) is None
