"""An effe's records at /dev/log, for real: a datagram listener, and rsyslogd (effetool/runtime/telemetry/log.py).

/dev/log is a link in a mount namespace of the effe's own, so that no other test logs there.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from tests.parts import need

from ..conftest import PATIENCE

# Gives the effe a /dev of its own, with the devices Python needs and a log that lies in the test's directory.
PRIVATE = """
set -e
mkdir -p "$FOLDER/dev"
mount -t tmpfs none "$FOLDER/dev"
cd "$FOLDER/dev"
for name in null zero urandom random; do touch $name; mount --bind /dev/$name $name; done
ln -s "$FOLDER/dev-log" log
mount --rbind . /dev
cd "$OLDPWD"
exec "$@"
"""


def may_mount():
    """Whether this process may make a mount namespace."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    probe = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(probe, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not may_mount(), reason="needs root and mount namespaces (Linux)"),
]

EFFE = """
INFO = {"name": "hello", "version": "1.0"}
def run(context, error, response, request):
    if request.path == "/crash":
        raise ValueError("two\\nlines")
    if request.path == "/error":
        return OSError("no database")
    response.write(request.headers.get("traceparent", "none"))
"""
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def hello(serve, tmp_path):
    """An effe that logs to the private /dev/log; it has to be there already. Returns it when it answers."""

    def start():
        running = serve(
            EFFE,
            "-access-log",
            ready=False,
            environ={"EFFE_LOG": "", "FOLDER": str(tmp_path)},
            prefix=("unshare", "--mount", "sh", "-c", PRIVATE, "sh"),
        )
        with running._news:
            assert running._news.wait_for(lambda: running.lines, PATIENCE)
        found = re.fullmatch(r"hello 1\.0 is ready at http://127\.0\.0\.1:(\d+)\n", running.lines[0])
        assert found, running.lines
        running.port = int(found[1])
        return running

    return start


def test_every_event_is_one_datagram(hello, tmp_path):
    """Start, request, error, crash, stop: severity and program as syslog wants them; nothing goes to stderr beside."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "dev-log"))
        log.settimeout(PATIENCE)
        running = hello()

        def heard():
            found = re.fullmatch(r"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d hello\[(\d+)\]: (.*)", log.recv(65536).decode())
            assert found and int(found[2]) == running.process.pid
            assert found[3].isprintable(), "no record can be forged"
            return int(found[1]) & 7, found[3]

        assert heard()[1].startswith("hello 1.0 is ready address=http://127.0.0.1:")
        headers = {"X-Request-ID": "abc-1", "traceparent": TRACE}
        assert running.get("/a", headers=headers) == (200, TRACE)
        severity, text = heard()
        assert severity == 6 and "request_id=abc-1" in text and f"traceparent={TRACE}" in text and "target=/a" in text
        running.get("/error", headers=headers)
        assert heard() == (3, 'run() returned an error request_id=abc-1 error="OSError: no database"')
        assert "status=200" in heard()[1]
        assert running.get("/crash", headers={"X-Request-ID": "abc-2", "traceparent": 'x" y=1'})[0] == 500
        severity, text = heard()
        assert severity == 2 and "request_id=abc-2" in text and "two\\nlines" in text and "Traceback" in text
    # (The rest goes nowhere but to stderr: the listener is gone.)
    assert running.stop() == 0


def test_rsyslogd_writes_them_and_may_be_restarted(hello, tmp_path):
    """One line each, under the effe's name; after a restart of the daemon its new socket is used."""
    need("rsyslogd")
    (tmp_path / "rsyslog.conf").write_text(f"""
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{tmp_path}/dev-log")
template(name="flat" type="string" string="%syslogseverity-text% %programname%:%msg%\\n")
action(type="omfile" file="{tmp_path}/messages" template="flat")
""")

    def daemon():
        command = ["rsyslogd", "-n", "-f", "rsyslog.conf", "-i", str(tmp_path / "pid")]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: answers(str(tmp_path / "dev-log")))
        return process

    def answers(path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            return os.path.exists(path) and probe.connect_ex(path) == 0  # noqa: PTH110

    def until(true):
        for _ in range(PATIENCE * 50):
            if true():
                return
            threading.Event().wait(0.02)
        raise AssertionError("it did not come about")

    def written(text):
        path = tmp_path / "messages"
        return [line for line in path.read_text().splitlines() if text in line] if path.exists() else []

    process = daemon()
    try:
        running = hello()
        until(lambda: written("info hello: hello 1.0 is ready"))
        running.get("/crash", headers={"X-Request-ID": "first"})
        until(lambda: len(written("request_id=first")) == 2)  # the access line too, which comes after the answer
        assert written("crit hello: run() failed request_id=first") and "ValueError: two\\n" in written("crit hello")[0]
        process.terminate()
        process.wait(PATIENCE)
        process = daemon()
        running.get("/error", headers={"X-Request-ID": "second"})
        until(lambda: len(written("request_id=second")) == 2)
        assert written("err hello: run() returned an error request_id=second")
        assert running.stop() == 0
        until(lambda: written("info hello: stopped"))
    finally:
        process.kill()
        process.wait()
