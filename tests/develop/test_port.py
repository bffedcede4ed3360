"""The port rules of dev."""

import contextlib
import os
import socket

import pytest

from effetool.develop import port
from effetool.errors import ServeError
from tests.browser import until

from .conftest import HELLO


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


@pytest.mark.slow
def test_dev_says_that_8080_is_taken(dev):
    """Nobody asked for a port: the next free one, said aloud. Asked for: E301, exit 1."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # somebody else has it: as well
            stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        running = dev(HELLO, "--host", "127.0.0.1")
        assert running.wait("port 8080 is taken, so this is") == f"port 8080 is taken, so this is {running.port}"
        assert running.get() == (200, "one")
        refused = dev(HELLO, "-port", str(running.port), ready=False)
        assert f"port {running.port} is taken by" in refused.wait("error[E301]")
        assert refused.process.wait(60) == 1


@pytest.mark.slow
def test_open_starts_the_browser_once_it_answers(dev, tmp_path):
    """--open gives the address to the user's browser ($BROWSER)."""
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > opened.new && mv opened.new opened\n')
    browser.chmod(0o755)
    running = dev(HELLO, "-port", "0", "--open", environ={"BROWSER": f"{browser} %s"})
    until((tmp_path / "opened").exists)
    assert (tmp_path / "opened").read_text() == f"http://localhost:{running.port}\n"
