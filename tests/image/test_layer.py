from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from effetool.image.layer import Entry, Layer, write_layer
from effetool.image.store import Store


def members(store: Store, layer: Layer) -> list[tarfile.TarInfo]:
    with store.open(layer.blob.digest) as file, tarfile.open(fileobj=file) as tar:
        return tar.getmembers()


FILES = [Entry("app/b.py", data=b"b"), Entry("app/a/c", data=b"c", mode=0o755), Entry("app/l", link="b.py")]


def test_equal_entries_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    """A layer's bytes depend on what is in it and not on the order it came in or the store it is kept in."""
    one, two = (Store(tmp_path / name) for name in "ab")
    first, second = write_layer(one, FILES, about="x"), write_layer(two, FILES[::-1], about="x")
    assert first == second
    with one.open(first.blob.digest) as a, two.open(second.blob.digest) as b:
        assert a.read() == b.read()


def test_nothing_of_the_machine_is_in_a_layer(store: Store) -> None:
    """Owner 0 without a name, time 0, parents before children, names sorted."""
    found = members(store, write_layer(store, FILES, about="x"))
    assert [(info.name, info.mode) for info in found] == [
        ("app", 0o755), ("app/a", 0o755), ("app/a/c", 0o755), ("app/b.py", 0o644), ("app/l", 0o777),
    ]  # fmt: skip
    assert {(info.uid, info.gid, info.uname, info.gname, info.mtime) for info in found} == {(0, 0, "", "", 0)}


def test_source_date_epoch_is_the_time_in_layers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH, where it is set, stands in every header."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert {info.mtime for info in members(store, write_layer(store, FILES, about="x"))} == {1700000000}


def test_diff_id_is_the_digest_of_the_tar(store: Store) -> None:
    """The configuration names a layer by its tar, the manifest by its gzipped bytes (image-spec, config.md)."""
    import hashlib

    layer = write_layer(store, FILES, about="x")
    with store.open(layer.blob.digest) as file:
        packed = file.read()
    assert layer.blob.digest == "sha256:" + hashlib.sha256(packed).hexdigest()
    assert layer.diff_id == "sha256:" + hashlib.sha256(gzip.decompress(packed)).hexdigest()


def test_a_layer_is_made_once(store: Store) -> None:
    """What is known is not made again; other content, or what it depends on besides, makes it again."""
    made: list[str] = []

    def finish(entries: list[Entry]) -> list[Entry]:
        made.append("made")
        return entries

    for extra, entries in (("", FILES), ("", FILES), ("3.12", FILES), ("", FILES[1:])):
        write_layer(store, entries, about="x", extra=extra, finish=finish)
    assert made == ["made"] * 3


def test_content_is_read_when_the_layer_is_written(store: Store) -> None:
    """An entry may be opened only when it is needed, and is closed again."""
    opened: list[io.BytesIO] = []

    def content() -> io.BytesIO:
        opened.append(io.BytesIO(b"later"))
        return opened[-1]

    write_layer(store, [Entry("x", open=content, size=5)], about="x")
    assert opened
    assert all(file.closed for file in opened)
