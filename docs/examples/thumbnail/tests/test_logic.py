import io
import struct
import zlib

import logic
import pytest
from PIL import Image

from effetool.testing import Client


@pytest.fixture
def client():
    with Client(logic) as client:
        yield client


def picture(width, height, kind="PNG"):
    made = io.BytesIO()
    Image.effect_noise((width, height), 50).save(made, kind)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_it_shrinks_and_keeps_the_shape(client, kind):
    """The longer side becomes ?size=, for every input format."""
    answer = client.post("/?size=50", data=picture(200, 100, kind))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(answer.body)).size == (50, 25)


def test_a_small_picture_stays(client):
    """Nothing is enlarged; the default size is 128."""
    assert Image.open(io.BytesIO(client.post("/", data=picture(10, 20)).body)).size == (10, 20)


@pytest.mark.parametrize("size", ["0", "-1", "a", "10000", "1e3", "%D9%A3"])
def test_a_size_that_is_none(client, size):
    """A wrong size is the client's mistake."""
    assert client.post(f"/?size={size}", data=picture(1, 1)).status == 400


@pytest.mark.parametrize(("body", "status"), [(b"", 415), (b"hello", 415), (picture(200, 100)[:-200], 400)])
def test_what_is_no_picture(client, body, status):
    """Neither text nor a truncated file is a 500."""
    assert client.post("/", data=body).status == status
    assert client.errors == []


def test_a_bomb(client):
    """A small file that claims a huge picture is refused before it is decoded."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")):
        file += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    assert client.post("/", data=file).status == 413
    assert client.errors == []
