"""`effe-tool up`: every effe of a directory behind one port, kept running, exchanged under load, ended in order."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from effetool.builder import Options, build
from effetool.effe.project import find_one
from effetool.up.process import lifeline
from tests.deploy.conftest import Load, eventually, write_effes

from .conftest import gone

pytestmark = pytest.mark.haproxy
HELLO, MAIL, SHOP = ({"name": name, "version": "1.0"} for name in ("hello", "mail", "shop"))


def test_every_effe_answers_behind_one_port(tmp_path: Path, up) -> None:
    """By path and by host; its lines have its name before them; Ctrl-C ends all, and is exit 130."""
    write_effes(tmp_path / "effes", HELLO, {**MAIL, "host": "mail.test"})
    running = up("effes")
    assert running.line("ready  http://").startswith(f"ready  http://localhost:{running.port}  2 of 2 effes")
    assert f"hello   | http://localhost:{running.port}/hello" in running.lines
    assert "mail    | mail.test/" in running.lines
    assert running.line("hello 1.0 is ready").startswith("hello   | ")
    hello, mail = running.get("/hello/a?b"), running.get("/x", headers={"Host": "mail.test"})
    assert [json.loads(body)["path"] for _, _, body in (hello, mail)] == ["/a", "/x"]
    assert running.get("/nothing")[0] == 404
    pids = [json.loads(body)["pid"] for _, _, body in (hello, mail)]
    assert running.end(signal.SIGINT) == 130
    assert all(gone(pid) for pid in pids)
    assert running.lines[-2:] == ["stopped", "<end>"]
    assert not [line for line in running.lines if "Traceback" in line]


def test_sigterm_finishes_what_is_under_way(tmp_path: Path, up) -> None:
    """The request is answered, then everything ends: exit 0."""
    begun = tmp_path / "begun"
    write_effes(tmp_path / "effes", HELLO)
    running = up("effes", BEGUN=str(begun))
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(running.get("/hello?id=long&sleep=2")[0]))
    thread.start()
    eventually(lambda: begun.exists() and "long" in begun.read_text(), "the request has begun")
    assert running.end() == 0
    thread.join()
    assert answers == [200]


def test_a_second_ctrl_c_means_now(tmp_path: Path, up) -> None:
    """Whatever is under way."""
    begun = tmp_path / "begun"
    write_effes(tmp_path / "effes", HELLO)
    running = up("effes", BEGUN=str(begun))
    pid = running.pid("/hello")

    def ask() -> None:
        try:
            running.get("/hello?id=long&sleep=300")
        except OSError:
            pass  # it was cut

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: "long" in begun.read_text(), "the request has begun")
    running.process.send_signal(signal.SIGINT)
    running.line("once more ends them now")
    assert running.end(signal.SIGINT) == 130
    thread.join()
    assert gone(pid)


def test_an_effe_that_dies_is_started_again(tmp_path: Path, up) -> None:
    """At once the first time; requests that come meanwhile wait, and none but those in hand is lost."""
    write_effes(tmp_path / "effes", HELLO, MAIL)
    running = up("effes")
    with Load(running.port, ["/hello", "/mail"]) as load:
        for _ in range(2):
            load.wait(30)
            eventually(lambda: running.get("/hello")[0] == 200, "it is back")
            pid = running.pid("/hello")
            os.kill(pid, signal.SIGKILL)
            running.line("signal SIGKILL; starts again")
            load.wait(60)
    eventually(lambda: running.get("/hello")[0] == 200 and running.pid("/hello") != pid, "another process answers")
    # Most GETs are asked again. What a reset has cut is not, and where the start takes seconds, HAProxy says 503.
    cut = [text for text in load.failed.values() if not text.startswith("503")]
    assert len(cut) <= 2 * load.clients and {text[:3] for text in cut} <= {"502", "Rem"}
    print(f"{load.answered} answered, {len(load.failed)} failed, {len(cut)} of them cut")


def test_sighup_exchanges_what_has_changed_and_loses_nothing(tmp_path: Path, up) -> None:
    """The changed one by a new process, the others by the same; POSTs too."""
    write_effes(tmp_path / "effes", HELLO, MAIL)
    running = up("effes")
    pids = {name: running.pid(f"/{name}") for name in ("hello", "mail")}
    with Load(running.port, ["/hello", "/mail"]) as gets, Load(running.port, ["/hello", "/mail"], "POST") as posts:
        for turn, version in enumerate(("1.1", "1.2", "1.3"), 1):
            write_effes(tmp_path / "effes", {**HELLO, "version": version})
            running.process.send_signal(signal.SIGHUP)
            assert running.line("exchanged or new", turn) == "1 exchanged or new, 1 unchanged"
            assert json.loads(running.get("/hello")[2])["version"] == version
            gets.wait(30)
            posts.wait(30)
    assert (gets.failed, posts.failed) == ({}, {})
    assert gone(pids["hello"]) and running.pid("/mail") == pids["mail"]
    print(f"{gets.answered} GET, {posts.answered} POST, 3 exchanges, 0 failed")


def test_sighup_takes_in_new_effes_and_lets_old_ones_go(tmp_path: Path, up) -> None:
    """A new route is HAProxy's business: it reloads, and the effe that stays loses nothing."""
    write_effes(tmp_path / "effes", HELLO, MAIL)
    running = up("effes")
    mail = running.pid("/mail")
    with Load(running.port, ["/hello"]) as gets, Load(running.port, ["/hello"], "POST") as posts:
        for turn, (come, go) in enumerate([("shop", "mail"), ("mail", "shop")], 1):
            write_effes(tmp_path / "effes", {**HELLO, "name": come})
            shutil.rmtree(tmp_path / "effes" / go)
            running.process.send_signal(signal.SIGHUP)
            assert running.line("exchanged or new", turn) == "1 exchanged or new, 1 unchanged"
            assert running.get(f"/{come}")[0] == 200
            assert running.get(f"/{go}")[0] == 404
            gets.wait(30)
            posts.wait(30)
    assert (gets.failed, posts.failed) == ({}, {})
    assert gone(mail)
    print(f"{gets.answered} GET, {posts.answered} POST, 2 reloads of HAProxy, 0 failed")


def test_what_is_broken_is_not_exchanged(tmp_path: Path, up) -> None:
    """A syntax error, a clash of routes, an init that fails: said, and the old one goes on."""
    effes = tmp_path / "effes"
    write_effes(effes, HELLO, MAIL)
    running = up("effes")
    pid = running.pid("/hello")
    source = (effes / "hello" / "logic.py").read_text()
    (effes / "hello" / "logic.py").write_text(source + "def (\n")
    running.process.send_signal(signal.SIGHUP)
    running.line("error[E101]")
    running.line("nothing was exchanged")
    write_effes(effes, {**HELLO, "route": "/mail"})
    running.process.send_signal(signal.SIGHUP)
    running.line("error[E411]: hello and mail both answer at /mail")
    running.line("nothing was exchanged", 2)
    (effes / "hello" / "logic.py").write_text(source + "def init(): raise ValueError('no luck')\n")
    running.process.send_signal(signal.SIGHUP)
    running.line("no luck")
    assert running.line("not ready: hello") == "0 exchanged or new, 1 unchanged, not ready: hello"
    assert running.pid("/hello") == pid
    (effes / "hello" / "logic.py").write_text(source)
    running.process.send_signal(signal.SIGHUP)
    running.line("0 exchanged or new, 2 unchanged")
    assert running.pid("/hello") == pid


def test_an_effe_that_does_not_start_leaves_the_others_alone(tmp_path: Path, up) -> None:
    """It is tried again, ever more seldom, and once it is mended it is there."""
    (bad,) = write_effes(tmp_path / "effes", {**MAIL, "name": "bad"})
    source = bad.project.logic.read_text()
    bad.project.logic.write_text(source + "def init(): raise ValueError('no luck')\n")
    write_effes(tmp_path / "effes", HELLO)
    running = up("effes")
    assert "1 of 2 effes" in running.line("ready  http://")
    assert running.get("/hello")[0] == 200
    running.line("exit status 1; starts again in 0.2 s")
    running.line("exit status 1; starts again in 0.4 s")
    eventually(lambda: running.get("/bad")[0] == 503, "HAProxy has seen that nobody is there")
    bad.project.logic.write_text(source)
    running.process.send_signal(signal.SIGHUP)
    running.line("1 exchanged or new, 1 unchanged")
    eventually(lambda: running.get("/bad")[0] == 200, "HAProxy has seen that it is ready")


def test_haproxy_itself_is_started_again(tmp_path: Path, up) -> None:
    """The socket stays open meanwhile: who comes waits."""
    write_effes(tmp_path / "effes", HELLO)
    running = up("effes")
    assert running.get("/hello")[0] == 200
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    (master,) = (int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "haproxy\n")
    os.kill(master, signal.SIGKILL)
    running.line("haproxy | signal SIGKILL; starts again in 0.1 s")
    eventually(lambda: running.get("/hello")[0] == 200, "it answers again")


def test_built_files_run_as_they_are(tmp_path: Path, up) -> None:
    """A copy of them: to replace one is to change it, and SIGHUP says when."""
    (effe,) = write_effes(tmp_path / "effes", HELLO)
    for version in ("1.0", "1.1"):
        write_effes(tmp_path / "effes", {**HELLO, "version": version})
        made = build(find_one(effe.project.root), Options(out=tmp_path / "out" / "hello.pex"))
        if version == "1.0":
            running = up(made.path)
        assert json.loads(running.get("/hello")[2])["version"] == "1.0"
    running.process.send_signal(signal.SIGHUP)
    running.line("1 exchanged or new, 0 unchanged")
    assert json.loads(running.get("/hello")[2])["version"] == "1.1"


def test_a_build_that_fails_starts_nothing(tmp_path: Path, up) -> None:
    """Every fault is shown, each with its effe: exit 1."""
    write_effes(tmp_path / "effes", HELLO, MAIL)
    for name in ("hello", "mail"):
        path = tmp_path / "effes" / name / "logic.py"
        path.write_text(path.read_text().replace("def run(context, ", "def run("))
    running = up("effes", ready=False)
    assert running.process.wait(60) == 1
    running.line("<end>")
    assert running.line("effes/hello: error[E121]") and running.line("effes/mail: error[E121]")
    assert not [line for line in running.lines if "ready" in line]


def test_a_connection_from_before_a_reload_is_served_after_an_exchange(tmp_path: Path, up) -> None:
    """HAProxy's process of before the reload has it until its next answer, and cannot be told of new ports."""
    write_effes(tmp_path / "effes", HELLO)
    running = up("effes")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)) as connection:
        connection.request("GET", "/hello")
        assert json.loads(connection.getresponse().read())["version"] == "1.0"
        write_effes(tmp_path / "effes", MAIL)
        running.process.send_signal(signal.SIGHUP)
        running.line("1 exchanged or new, 1 unchanged")
        write_effes(tmp_path / "effes", {**HELLO, "version": "1.1"})
        running.process.send_signal(signal.SIGHUP)
        running.line("1 exchanged or new, 1 unchanged", 2)
        folder = Path(running.line("hello 1.1 is ready").partition("address=unix:")[2].partition(" ")[0]).parent.parent
        assert len(list(folder.glob("build*"))) == 2  # one for each effe: what runs no more is removed
        connection.request("GET", "/hello")
        assert json.loads(connection.getresponse().read())["version"] == "1.1"


def test_what_an_effe_prints_is_seen_at_once(tmp_path: Path, up) -> None:
    """Though it is a pipe that it prints to, and control characters are written out."""
    (effe,) = write_effes(tmp_path / "effes", HELLO)
    source = effe.project.logic.read_text()
    effe.project.logic.write_text(source.replace("    time.sleep", "    print('printed \\x1b[31m')\n    time.sleep"))
    running = up("effes")
    assert running.get("/hello")[0] == 200
    assert running.line("printed") == "hello   | printed \\x1b[31m"


def test_an_haproxy_that_does_not_start_ends_all(tmp_path: Path, up) -> None:
    """E416 with its own last words; the effes that had started are ended, in order: exit 1."""
    write_effes(tmp_path / "effes", HELLO)
    program = tmp_path / "bin" / "haproxy"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '[ALERT] no such luck' >&2\nexit 7\n")
    program.chmod(0o755)
    running = up("effes", ready=False, PATH=f"{program.parent}:{os.environ['PATH']}")
    assert running.process.wait(60) == 1
    running.line("<end>")
    assert running.line("error[E416]") == "error[E416]: HAProxy does not start: exit status 7"
    assert "  [ALERT] no such luck" in running.lines
    assert running.line("hello 1.0 is ready") and running.line("reason=SIGTERM")


def test_a_long_path_of_temporary_files_is_no_obstacle(tmp_path: Path, short: Path, up) -> None:
    """A socket's path ends at 107 bytes, and HAProxy's has a suffix while it is made: they go elsewhere then."""
    write_effes(tmp_path / "effes", HELLO)
    for length in (50, 70, 200):
        folder = short / ("t" * length)
        folder.mkdir()
        running = up("effes", TMPDIR=str(folder))
        assert running.get("/hello")[0] == 200
        assert running.end() == 0
        assert not list(folder.iterdir())


@pytest.mark.skipif(not lifeline(), reason="needs setpriv of util-linux: Linux only")
def test_nothing_outlives_a_tool_that_is_killed(tmp_path: Path, short: Path, up) -> None:
    """It cannot end anything then: the system does."""
    write_effes(tmp_path / "effes", HELLO)
    running = up("effes")
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    assert len(children) == 2
    running.process.kill()
    running.process.wait(60)
    eventually(lambda: all(gone(int(pid)) for pid in children), "both are gone")
    for folder in short.glob("effe-up-*"):
        shutil.rmtree(folder)
