"""A real browser for a test."""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request

from tests.parts import need

__all__ = ["Browser", "browsing", "until"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
DRIVER = "chromedriver"
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
        """Return what a reader sees."""
        return self.script("return document.body.innerText")

    def script(self, code):
        """Run JavaScript in the page and return its value."""
        return self("POST", "/execute/sync", script=code, args=[])

    def open(self, url):
        self("POST", "/url", url=url)

    def find(self, selector):
        """Return the path of the element that a CSS selector finds."""
        found = self("POST", "/element", using="css selector", value=selector)
        return f"/element/{next(iter(found.values()))}"

    def type(self, selector, text):
        self("POST", f"{self.find(selector)}/value", text=text)

    def click(self, selector):
        self("POST", f"{self.find(selector)}/click")

    def picture(self):
        """Return a PNG of what is shown."""
        return base64.b64decode(self("GET", "/screenshot"))

    def log(self):
        """Return the messages of the console since the last call."""
        return [entry["message"] for entry in self("POST", "/se/log", type="browser")]

    def close(self):
        try:
            self("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(PATIENCE)
            self.driver.stdout.close()


@contextlib.contextmanager
def browsing():
    """Give a browser with a profile of its own; skip where there is none."""
    need(CHROMIUM, DRIVER)
    folder = tempfile.mkdtemp(prefix="effe-browser-")
    browser = Browser(folder)
    try:
        yield browser
    finally:
        browser.close()
        shutil.rmtree(folder, ignore_errors=True)


def until(check):
    """Look until it is so: the browser loads by itself, nobody tells when."""
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)
