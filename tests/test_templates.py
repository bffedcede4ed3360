"""The templates as users have them: their tests, their built files, on the oldest and the newest Python here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from effetool.builder.interpreters import find_pythons, find_uv
from effetool.templating.catalog import list_templates
from effetool.templating.scaffold import NewOptions, new
from tests.browser import browsing, until
from tests.parts import need
from tests.served import Served, serve

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NAMES = [template.name for template in list_templates()]
SECRET = "a secret"
# For each template: what is asked of its built file, and the status and a pattern of the answer.
ASKED: dict[str, list[tuple[str, str, bytes | None, int, str]]] = {
    "hello": [("GET", "/any?x=1", None, 200, r"Hello from Effe: \d+")],
    "json": [
        ("GET", "/units", None, 200, r'\[.*"km".*\]'),
        ("POST", "/convert", b'{"value": 3, "from": "km", "to": "m"}', 200, r'\{"value":3000\.0,"unit":"m"\}'),
        ("POST", "/convert", b"{", 400, r'\{"error":.*\}'),
        ("DELETE", "/units", None, 405, r'\{"error":.*\}'),
        ("GET", "/none", None, 404, r'\{"error":.*\}'),
        ("POST", "/convert", b" " * 1_000_000, 413, r'\{"error":.*\}'),
    ],
    "model": [("POST", "/", b'{"text": "what a lovely day"}', 200, r"\{.*\}")],
    "page": [
        ("GET", "/", None, 200, r"(?s)<!doctype html>.*"),
        ("POST", "/greet", b"name=A%3Cb%3E", 200, r"(?s).*<output>Hello A&lt;b&gt;</output>.*"),
        ("GET", "/../logic.py", None, 404, r".*"),
    ],
    "sqlite": [
        ("POST", "/a", b"", 200, r'\{"name":"a","visits":1\}'),
        ("POST", "/a", b"", 200, r'\{"name":"a","visits":2\}'),
        ("GET", "/a", None, 200, r'\{"name":"a","visits":2\}'),
        ("PUT", "/a", b"", 405, r".*"),
    ],
    "stream": [("POST", "/", None, 405, r".*")],
    "webhook": [("GET", "/", None, 405, r".*"), ("POST", "/", b"{}", 401, r".*")],
}


def test_every_template_is_asked() -> None:
    """A new template comes with its questions."""
    assert sorted(ASKED) == sorted(NAMES)


@pytest.fixture(scope="session", params=["oldest", "newest"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pytest on the oldest and on the newest Python of this machine that effes are built for."""
    found = find_pythons()
    if len(found) < 2:
        pytest.skip("needs two Pythons from 3.9 on")
    chosen = found[min(found) if request.param == "oldest" else max(found)]
    folder = tmp_path_factory.mktemp(request.param) / "venv"
    uv = find_uv()
    assert uv is not None
    subprocess.run([uv, "venv", "-q", "--python", chosen, folder], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", folder / "bin" / "python", "pytest"], check=True)
    site = next((folder / "lib").glob("python3*/site-packages"))
    (site / "effetool").symlink_to(ROOT / "effetool")
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make and build an effe from a template, once: its directory, with the .pex in it."""
    folder = tmp_path_factory.mktemp("templates")

    def build(template: str) -> Path:
        root = folder / f"{template}-effe"
        if not root.exists():
            new(NewOptions(root, template))
            command = [sys.executable, "-m", "effetool", "build", "-q", root, "--dirout", root]
            subprocess.run(command, cwd=folder, check=True)
        return root

    return build


def environment(python: Path) -> dict[str, str]:
    """Return the author's environment: his Python first on PATH."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "EFFE_"))}
    return {**kept, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "WEBHOOK_SECRET": SECRET}


@pytest.mark.parametrize("template", NAMES)
def test_its_tests_pass_on_the_source_and_on_the_built_file(
    template: str, python: Path, built: Callable[[str], Path], tmp_path: Path
) -> None:
    """Plain pytest with warnings as errors; the same ones against the .pex, where those that patch are skipped."""
    root = built(template)
    (pex,) = root.glob("*.pex")
    command = [python, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "effetool.testing.plugin"]
    command += ["--basetemp", tmp_path / "temporary"]
    for extra in ([], ["--effe-pex", pex]):
        done = subprocess.run(
            [*command, *extra], cwd=root, env=environment(python), capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"\d passed" if not extra else r"\d (passed|skipped)", done.stdout)


@pytest.mark.parametrize("template", NAMES)
def test_its_built_file_answers(template: str, python: Path, built: Callable[[str], Path], tmp_path: Path) -> None:
    """Over HTTP, from an empty directory, on that Python."""
    (pex,) = built(template).glob("*.pex")
    with serve([python, pex], tmp_path, tmp_path / "log", env=environment(python)) as served:
        for method, target, body, status, pattern in ASKED[template]:
            answer = served.request(method, target, body)
            assert answer.status == status, (method, target, answer.text)
            assert re.fullmatch(pattern, answer.text.rstrip("\n")), (method, target, answer.text)


@pytest.fixture
def running(built: Callable[[str], Path], tmp_path: Path):
    """Serve the built file of a template on this Python."""

    def start(template: str):
        (pex,) = built(template).glob("*.pex")
        return serve([sys.executable, pex], tmp_path, tmp_path / "log", env=environment(Path(sys.executable)))

    return start


@pytest.mark.browser
def test_page_in_a_browser(running) -> None:
    """Its form is submitted by its script, under its content security policy; the console stays empty."""
    with running("page") as served, browsing() as browser:
        policy = served.request("GET", "/").headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        browser.open(f"http://127.0.0.1:{served.port}/")
        browser.type("#name", "Ada <b>")
        browser.click("button")
        until(lambda: "Hello Ada <b>" in browser.text())
        assert browser.script("return document.querySelectorAll('output b').length") == 0
        # The style sheet was applied, and the page is still the one that was opened: fetch() and no navigation.
        assert browser.script("return document.styleSheets.length") == 1
        assert browser.script("return location.pathname") == "/"
        assert browser.log() == []
        if os.environ.get("EFFE_SCREENSHOT"):
            Path(os.environ["EFFE_SCREENSHOT"]).with_suffix(".page.png").write_bytes(browser.picture())


def test_webhook_signed_by_openssl(running) -> None:
    """Another program's HMAC is taken; a changed body, another secret and a recorded delivery are not."""
    need("openssl", "curl")

    def signature(secret: str, text: str) -> str:
        command = ["openssl", "dgst", "-sha256", "-hmac", secret]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        return done.stdout.strip().rpartition(" ")[2]

    def deliver(served: Served, body: str, stamp: int, signed: str) -> str:
        command = ["curl", "-sS", "-w", " %{http_code}", f"http://127.0.0.1:{served.port}/", "--data-binary", body]
        command += ["-H", f"Webhook-Timestamp: {stamp}", "-H", f"Webhook-Signature: sha256={signed}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    body = json.dumps({"id": 7})
    with running("webhook") as served:
        now = int(time.time())
        good = signature(SECRET, f"{now}.{body}")
        assert deliver(served, body, now, good) == '{"received":7} 202'
        assert deliver(served, body.replace("7", "8"), now, good).endswith(" 401")
        assert deliver(served, body, now + 1, good).endswith(" 401")
        assert deliver(served, body, now, signature("another", f"{now}.{body}")).endswith(" 401")
        old = now - 3600
        assert deliver(served, body, old, signature(SECRET, f"{old}.{body}")).endswith(" 401")


def test_stream_read_by_curl(running, built: Callable[[str], Path], tmp_path: Path) -> None:
    """`curl -N` prints an event while the next one is still to come; the response ends after the last."""
    need("curl")
    gate = tmp_path / "gate"
    root = tmp_path / "events"
    made = new(NewOptions(root, "stream"))
    # Each event waits for the test instead of the clock.
    text = made.files["logic.py"].replace("time.sleep(INTERVAL)", "step()", 1)
    text += (
        f"\n\nimport itertools, os\nCOUNT = itertools.count(2)\n"
        f"def step():\n    number = next(COUNT)\n    while not os.path.exists({str(gate)!r} + str(number)):\n"
        "        time.sleep(0.01)\n"
    )
    (root / "logic.py").write_text(text)
    with serve([sys.executable, "-m", "effetool", "run", root], ROOT, tmp_path / "log") as served:
        command = ["curl", "-sSN", f"http://127.0.0.1:{served.port}/"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
            assert curl.stdout is not None
            for number in range(1, 11):
                event = [curl.stdout.readline() for _ in range(3)]
                assert event == [f"id: {number}\n", f'data: {{"number": {number}}}\n', "\n"]
                assert curl.poll() is None or number == 10
                Path(f"{gate}{number + 1}").touch()
            assert curl.stdout.read() == ""
            assert curl.wait(60) == 0
