"""The page of a fault, in a real browser: it is readable, has no script error, and is back by itself."""

import os
from pathlib import Path

import pytest

from effetool.develop.fault import Fault
from effetool.develop.page import write_fault
from effetool.testing import Client
from tests.browser import browsing, until

from .conftest import HELLO


@pytest.fixture
def browser():
    with browsing() as started:
        yield started


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_shows_the_error_and_is_back_by_itself(dev, tmp_path, browser):
    """A broken save: the terminal's text on a page, no script error; saved again, it is back."""
    running = dev(HELLO.replace('response.write("one")', 'response.write(nmae + "<b>")'))
    browser.open(f"http://127.0.0.1:{running.port}/")
    shown = browser.text()
    assert "NameError: name 'nmae' is not defined" in shown
    assert "error[E308]" in shown
    assert '4 |     response.write(nmae + "<b>")' in shown
    assert "logic.py:4:20" in shown
    # The caret stands below the name: same column in the same fixed-width block.
    block = shown[shown.index("4 |") :].splitlines()
    assert block[1].index("^") == block[0].index("nmae")
    assert [message for message in browser.log() if "500" not in message] == []
    picture = os.environ.get("EFFE_SCREENSHOT")
    if picture:
        Path(picture).write_bytes(browser.picture())
    (tmp_path / "logic.py").write_text(HELLO + "\ndef broken(:\n")
    until(lambda: "error[E101]" in browser.text())
    (tmp_path / "logic.py").write_text(HELLO)
    until(lambda: browser.text() == "one")


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
