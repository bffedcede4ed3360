"""effetool.deploy.haproxy_runtime: a running HAProxy gets the servers that are wanted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from effetool.deploy.haproxy_runtime import Runtime, match_servers
from effetool.errors import DeployError
from tests.docs.shell import free_port

from .conftest import eventually, get, servers_of, write_effes

pytestmark = pytest.mark.haproxy
HELLO = {"name": "hello", "version": "1.0"}


def test_nothing_to_do(tmp_path: Path, instance, proxy) -> None:
    """Doing it twice is doing it once; servers of others are left alone."""
    effes = write_effes(tmp_path, HELLO, {"name": "other", "version": "1"})
    running = [instance(effe) for effe in effes]
    front = proxy(effes, running)
    assert match_servers(front.runtime, servers_of(effes[:1], running[:1]), 30) == []
    assert front.up("other") == [f"127.0.0.1:{running[1].port}"]


def test_a_new_server_gets_nothing_until_it_is_ready(tmp_path: Path, instance, proxy) -> None:
    """One that does not answer is taken out again, and the old one is not drained for it."""
    effes = write_effes(tmp_path, HELLO)
    running = instance(effes[0])
    front = proxy(effes, [running])
    nobody = f"hello=127.0.0.1:{free_port()}/{free_port()}"
    with pytest.raises(DeployError, match=r"is not ready after 2 s: (L4CON|INI)") as caught:
        match_servers(front.runtime, servers_of(effes, [nobody]), 2)
    assert caught.value.code == "E414"
    assert front.up("hello") == list(front.runtime.servers()["hello"]) == [f"127.0.0.1:{running.port}"]
    assert front.get("/hello")[0] == 200


def test_an_old_server_finishes_first(tmp_path: Path, instance, proxy) -> None:
    """It is not removed under a request, and gets no other one; the second try goes on where the first ended."""
    effes = write_effes(tmp_path, HELLO)
    old, new = instance(effes[0]), instance(effes[0])
    front = proxy(effes, [old])
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(front.get("/hello?id=long&sleep=3")[0]))
    thread.start()
    eventually(lambda: "long" in (tmp_path / "begun").read_text(), "the long request has begun")
    match_servers(front.runtime, servers_of(effes, [old, new]), 60)
    with pytest.raises(DeployError, match="still has 1 request after 0 s") as caught:
        match_servers(front.runtime, servers_of(effes, [new]), 0)
    assert caught.value.code == "E414"
    assert caught.value.fix == f"run this again, or end them: shutdown sessions server hello/127.0.0.1:{old.port}"
    assert front.up("hello") == [f"127.0.0.1:{new.port}"]
    done = match_servers(front.runtime, servers_of(effes, [new]), 60)
    assert [change.verb for change in done] == ["drained", "removed"]
    thread.join()
    assert answers == [200]
    assert list(front.runtime.servers()["hello"]) == [f"127.0.0.1:{new.port}"]


def test_what_an_earlier_run_left_closed_is_opened(tmp_path: Path, instance, proxy) -> None:
    """And a check goes where the admin listener is now."""
    effes = write_effes(tmp_path, HELLO)
    running = instance(effes[0])
    front = proxy(effes, [running])
    name = f"127.0.0.1:{running.port}"
    front.runtime.drain("hello", name)
    front.runtime.check_at("hello", name, 1)
    assert front.up("hello") == []
    assert [one.verb for one in match_servers(front.runtime, servers_of(effes, [running]), 30)] == ["added"]
    assert front.up("hello") == [name]
    assert front.runtime.servers()["hello"][name]["srv_check_port"] == str(running.admin)


def test_an_effe_that_haproxy_does_not_know(tmp_path: Path, instance, proxy) -> None:
    """Its route is not there either: a reload is needed, and nothing is done for the others before it."""
    effes = write_effes(tmp_path / "one", HELLO)
    front = proxy(effes, [instance(effes[0])])
    effes = write_effes(tmp_path / "one", {"name": "new", "version": "1"})
    with pytest.raises(DeployError, match="HAProxy has no backend new") as caught:
        match_servers(front.runtime, servers_of(effes, []), 5)
    assert caught.value.code == "E413"


def test_nobody_at_the_socket(tmp_path: Path) -> None:
    """E412, in the system's words."""
    with pytest.raises(DeployError, match=r"no HAProxy answers at .*nobody: No such file") as caught:
        Runtime(str(tmp_path / "nobody")).ask("show info")
    assert caught.value.code == "E412"


def test_a_refusal_is_haproxys_own_word(tmp_path: Path, proxy) -> None:
    """E413."""
    front = proxy(write_effes(tmp_path, HELLO), ["hello=127.0.0.1:1/1"], checked=False)
    with pytest.raises(DeployError, match="HAProxy refuses: No such server") as caught:
        front.runtime.open("hello", "nobody")
    assert caught.value.code == "E413"
    assert get(front.port, "/hello")[0] == 503
