import logic
import pytest

from effetool.testing import Client


def test_squares() -> None:
    """A whole number, a negative one too."""
    with Client(logic) as client:
        assert client.get("/?n=-12").json() == {"n": -12, "square": 144}


@pytest.mark.parametrize("target", ["/", "/?n=", "/?n=1.5", "/?n=one"])
def test_refuses_what_is_no_number(target: str) -> None:
    """A missing or wrong n is the client's mistake."""
    with Client(logic) as client:
        assert client.get(target).status == 400
        assert client.errors == []
