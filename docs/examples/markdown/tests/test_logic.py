import logic
import pytest

from effetool.testing import Client


@pytest.fixture
def client():
    with Client(logic) as client:
        yield client


def test_code_is_highlighted(client):
    """A block in a language that Pygments knows is highlighted with spans."""
    answer = client.post("/", data=b"# Title\n\n```python\nx = 1\n```\n")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<h1>Title</h1>\n")
    assert '<span class="mi">1</span>' in answer.text


@pytest.mark.parametrize("language", ["", "no-such-language"])
def test_other_code_is_escaped(client, language):
    """A block in an unknown language, or without one, is only escaped."""
    answer = client.post("/", data=f"```{language}\n<b>\n```\n".encode())
    assert "&lt;b&gt;" in answer.text


def test_html_is_not_passed_on(client):
    """A script in the text is escaped."""
    assert "<script" not in client.post("/", data=b"a <script>alert(1)</script>").text


def test_style_sheet(client):
    """GET returns a style sheet with the classes of the spans."""
    answer = client.get("/")
    assert answer.headers["Content-Type"].startswith("text/css")
    assert "code .mi {" in answer.text


def test_refusals(client):
    """A body that is not text is 400, another method 405."""
    assert client.post("/", data=b"\xff").status == 400
    assert client.request("DELETE", "/").status == 405
    assert client.errors == []


def test_one_grammar_for_many_requests(client):
    """The context is created once and reused."""
    for _ in range(3):
        client.post("/", data=b"a")
    assert len(client.contexts) == 1
