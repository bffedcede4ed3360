"""What is read out of layers that somebody else wrote."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable

import pytest

from effetool.errors import ImageError
from effetool.image.layer import Layer
from effetool.image.probe import look
from effetool.image.store import Store

GZIPPED = "application/vnd.oci.image.layer.v1.tar+gzip"
Member = str | tarfile.TarInfo


def packed(store: Store, data: bytes, media_type: str = GZIPPED) -> Layer:
    return Layer(store.add(gzip.compress(data, 1) if media_type == GZIPPED else data), "", media_type)


def layer(store: Store, *members: Member) -> Layer:
    """A layer of empty files, or of the headers that are given."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for member in members:
            tar.addfile(tarfile.TarInfo(member) if isinstance(member, str) else member)
    return packed(store, file.getvalue())


def header(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def python(store: Store, *layers: Layer) -> object:
    return look(store, layers)["python"]


def test_an_image_author_s_python_comes_first(store: Store) -> None:
    """/usr/local before /usr, a newer one before an older; `./` and `/` before a name are nothing."""
    assert python(store, layer(store, "./usr/bin/python3.9", "/usr/bin/python3.13")) == "/usr/bin/python3.13"
    found = layer(store, "usr/bin/python3.13", "usr/local/bin/python3.9", "usr/local/bin/python3.9-config")
    assert python(store, found) == "/usr/local/bin/python3.9"
    assert python(store, layer(store, "usr/bin/python3", "usr/bin/bash")) is None


@pytest.mark.parametrize(
    "upper",
    [
        "usr/local/bin/.wh.python3.12", "usr/.wh.local", ".wh.usr", "usr/local/bin/.wh..wh..opq", "usr/.wh..wh..opq",
        header("usr/local", tarfile.SYMTYPE, "/elsewhere"),
    ],
)  # fmt: skip
def test_what_an_upper_layer_takes_away_is_gone(store: Store, upper: Member) -> None:
    """OCI layer.md: whiteouts of a file and of a directory, opaque ones, and a directory that became something else."""
    lower = layer(store, "usr/local/bin/python3.12")
    assert python(store, lower) == "/usr/local/bin/python3.12"
    assert python(store, lower, layer(store, upper)) is None
    # A whiteout hides what lies below its layer, never what stands beside it.
    assert python(store, lower, layer(store, upper, "usr/bin/python3.13")) == "/usr/bin/python3.13"


def test_a_name_is_never_a_path(store: Store) -> None:
    """Names that leave the root and directories are no interpreters; links may point anywhere, as in any image."""
    names = ("../usr/bin/python3.12", "usr/bin/../bin/python3.12", "x/usr/bin/python3.12", "usr/bin/python3.12/x")
    assert python(store, layer(store, *names, header("usr/bin/python3.12", tarfile.DIRTYPE))) is None
    link = header("usr/bin/python3.12", tarfile.SYMTYPE, "/etc/alternatives/../../opt/python")
    assert python(store, layer(store, link)) == "/usr/bin/python3.12"


@pytest.mark.parametrize("path", ["etc/ssl/certs/ca-certificates.crt", "etc/ssl/cert.pem", "./etc/ssl/cert.pem"])
def test_certificates_and_the_c_library_are_seen(store: Store, path: str) -> None:
    """Where Debian, Alpine and OpenSSL have the bundle; Alpine's loader tells of musl."""
    found = look(store, [layer(store, path)])
    assert found == {"python": None, "certificates": True, "musl": False, "libraries": []}
    assert look(store, [layer(store, "lib/ld-musl-x86_64.so.1")])["musl"] is True


def bomb(store: Store) -> Layer:
    """300 MB of zeros in 300 KB."""
    info = tarfile.TarInfo("zeros")
    info.size = 300 << 20
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as zipped:
        zipped.write(info.tobuf())
        for _ in range(300):
            zipped.write(bytes(1 << 20))
    return Layer(store.add(file.getvalue()), "", GZIPPED)


def test_shared_libraries_are_known_by_name(store: Store) -> None:
    """In any directory that a loader may search; not what Python packages bring for themselves."""
    names = ("usr/lib/x86_64-linux-gnu/libgomp.so.1", "opt/x/libfoo.so", "usr/lib/libz.so.1.2/x", "usr/lib/libz.a")
    own = "usr/lib/python3/dist-packages/x/libx.so.1"
    found = look(store, [layer(store, *names, own, "lib64/ld-linux-x86-64.so.2")])
    assert found["libraries"] == ["ld-linux-x86-64.so.2", "libfoo.so", "libgomp.so.1"]


def long_name(store: Store) -> Layer:
    """An extended header of 2 MB, which tarfile would hold in memory."""
    info = tarfile.TarInfo("x" * (2 << 20))
    return packed(store, info.tobuf(tarfile.PAX_FORMAT))


HOSTILE: dict[str, tuple[Callable[[Store], Layer], str]] = {
    "bomb": (bomb, "unpacks to more than 100 times its size"),
    "long name": (long_name, "longer than any name"),
    "not gzip": (lambda store: Layer(store.add(b"nonsense"), "", GZIPPED), "Not a gzipped file"),
    "cut": (
        lambda store: Layer(store.add(gzip.compress(bytes(10_000))[:-20]), "", GZIPPED),
        "ended before the end-of-stream",
    ),
    "no tar": (lambda store: packed(store, b"nonsense" * 1000), "not a tar"),
    "zstd": (lambda store: packed(store, b"", GZIPPED[:-4] + "zstd"), "zstd"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_layer_is_refused(store: Store, name: str) -> None:
    """Whatever stands in a layer: one error, and neither the memory nor the time of a bomb."""
    make, words = HOSTILE[name]
    with pytest.raises(ImageError) as caught:
        look(store, [make(store)])
    assert caught.value.code == "E403"
    assert words in caught.value.message
