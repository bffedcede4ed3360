"""The page of a fault, in a real browser: it is readable, has no script error, and is back by itself."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from effetool.develop.fault import Fault
from effetool.develop.page import write_fault
from effetool.testing import Client

from .conftest import HELLO

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
PATIENCE = 60


class Browser:
    """Chromium without a screen, driven by WebDriver (W3C): JSON over HTTP, no library."""

    def __init__(self, folder):
        self.driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        line = ""
        while "successfully on port" not in line:
            line = self.driver.stdout.readline()
            assert line, "chromedriver does not start"
        number = line.split("on port")[1].strip(" .\n")
        self.base = f"http://127.0.0.1:{number}"
        switches = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", f"--user-data-dir={folder}",
            "--window-size=1000,640",
        ]  # fmt: skip
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": switches, "binary": CHROMIUM},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self.session = ""
        made = self("POST", "/session", capabilities={"alwaysMatch": wanted})
        self.session = f"/session/{made['sessionId']}"

    def __call__(self, method, path, **body):
        request = urllib.request.Request(
            self.base + self.session + path,
            json.dumps(body).encode() if method == "POST" else None,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.load(response)["value"]

    def text(self):
        return self("POST", "/execute/sync", script="return document.body.innerText", args=[])

    def log(self):
        return self("POST", "/se/log", type="browser")

    def close(self):
        try:
            self("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(PATIENCE)
            self.driver.stdout.close()


@pytest.fixture
def browser():
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver: tests/parts.sh installs them")
    folder = tempfile.mkdtemp(prefix="effe-browser-")
    started = Browser(folder)
    yield started
    started.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_shows_the_error_and_is_back_by_itself(dev, tmp_path, browser):
    """A broken save: the terminal's text on a page, no script error; saved again, it is back."""
    running = dev(HELLO.replace('response.write("one")', 'response.write(nmae + "<b>")'))
    browser("POST", "/url", url=f"http://127.0.0.1:{running.port}/")
    shown = browser.text()
    assert "NameError: name 'nmae' is not defined" in shown
    assert "error[E308]" in shown
    assert '4 |     response.write(nmae + "<b>")' in shown
    assert "logic.py:4:20" in shown
    # The caret stands below the name: same column in the same fixed-width block.
    block = shown[shown.index("4 |") :].splitlines()
    assert block[1].index("^") == block[0].index("nmae")
    messages = [entry["message"] for entry in browser.log()]
    assert [message for message in messages if "500" not in message] == []
    picture = os.environ.get("EFFE_SCREENSHOT")
    if picture:
        import base64

        Path(picture).write_bytes(base64.b64decode(browser("GET", "/screenshot")))
    (tmp_path / "logic.py").write_text(HELLO + "\ndef broken(:\n")
    until(lambda: "error[E101]" in browser.text())
    (tmp_path / "logic.py").write_text(HELLO)
    until(lambda: browser.text() == "one")


def until(check):
    """Look until it is so: the browser loads by itself, nobody tells when."""
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
    ],
)
def test_form_by_accept(accept, kind):
    """A page for who accepts HTML, JSON for everybody else; status 500, not to be stored."""
    fault = Fault("E305", "NameError: <x> & y", "/a/logic.py", 3, 1, "<x>", "write &")

    class Logic:
        @staticmethod
        def run(context, error, response, request):
            write_fault(fault, response, request)

    with Client(Logic) as client:
        answer = client.get("/", headers={"Accept": accept} if accept else {})
        assert (answer.status, answer.headers["content-type"]) == (500, kind)
        assert answer.headers["cache-control"] == "no-store"
        if kind == "application/json":
            assert answer.json()["error"]["message"] == "NameError: <x> & y"
        else:
            assert "&lt;x&gt; &amp; y" in answer.text
            assert "<x>" not in answer.text
            assert "EventSource" in answer.text
            assert "EventSource" not in client.post("/", headers={"Accept": accept}).text
