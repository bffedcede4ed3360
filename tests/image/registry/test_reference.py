from __future__ import annotations

import pytest

from effetool.errors import ImageError
from effetool.image.registry.reference import parse_reference, tag_of

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("team/python:3", "docker.io/team/python:3"),
        ("localhost/a", "localhost/a:latest"),
        ("127.0.0.1:5000/a/b:1.0", "127.0.0.1:5000/a/b:1.0"),
        ("ghcr.io/a/b@" + DIGEST, "ghcr.io/a/b@" + DIGEST),
        ("ghcr.io/a/b:1@" + DIGEST, "ghcr.io/a/b:1@" + DIGEST),
    ],
)
def test_references_read_as_docker_reads_them(text: str, full: str) -> None:
    """Registry, name and tag have docker's defaults."""
    assert str(parse_reference(text)) == full


@pytest.mark.parametrize("text", ["", "A/b", "a/b:", "a/b@sha256:1", "a//b", "a/../b", "A B", "x.io/a:é", "-x.io/a"])
def test_a_malformed_reference_is_refused(text: str) -> None:
    """What no registry would take is refused before one is asked; the fix is one that it takes."""
    with pytest.raises(ImageError) as caught:
        parse_reference(text)
    assert caught.value.code == "E404"
    assert caught.value.fix
    parse_reference(caught.value.fix.removeprefix("write it as "))


def test_a_password_in_a_reference_is_not_repeated() -> None:
    """Somebody will paste a URL with credentials; the error must not print them to a build log."""
    with pytest.raises(ImageError) as caught:
        parse_reference("https://joe:s3cret@registry.example/a")
    assert "s3cret" not in f"{caught.value.message} {caught.value.fix}"


def test_plain_http_is_for_this_machine_only() -> None:
    """The loopback is told by address, not by how a name begins."""
    assert [parse_reference(name + "/a").loopback for name in ("localhost:5000", "127.0.0.1:5000", "[::1]:5000")] == [
        True
    ] * 3
    assert not parse_reference("localhost.evil.example/a").loopback


def test_an_image_is_named_by_info_or_by_a_digest() -> None:
    """name:version as the original, `-` for `_`; a digest where INFO names nothing."""
    assert tag_of("my_effe", "1.0", "") == "my-effe:1.0"
    assert tag_of(None, "1.0", "abcdef0123456789") == "effe:abcdef012345"
