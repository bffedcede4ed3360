from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from effetool.errors import ImageError
from effetool.image.store import Store, store_root


def test_a_damaged_blob_is_noticed_and_removed(store: Store) -> None:
    """Bytes that changed since they were kept never reach an image; the next build makes them again."""
    blob = store.add(b"good")
    store.path(blob.digest).write_bytes(b"evil")
    assert store.has(blob)
    with pytest.raises(ImageError) as caught:
        store.read(blob)
    assert caught.value.code == "E407"
    assert not store.has(blob)


def test_a_blob_with_another_digest_is_not_kept(store: Store) -> None:
    """What was fetched must be what was asked for."""
    with pytest.raises(ImageError) as caught, store.new("sha256:" + "0" * 64) as writer:
        writer.write(b"something else")
    assert caught.value.code == "E403"
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_a_store_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """Who can write there could put code into an image."""
    root = tmp_path / "store"
    Store(root)
    root.chmod(0o777)
    with pytest.raises(ImageError) as caught:
        Store(root)
    assert caught.value.code == "E407"


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "md5:" + "0" * 32, "sha256:" + "A" * 64, ""])
def test_a_digest_is_never_a_path(store: Store, digest: str) -> None:
    """A manifest is somebody else's: what it calls a digest is checked before it names a file."""
    with pytest.raises(ImageError):
        store.path(digest)


def test_a_relative_cache_home_is_ignored(tmp_path: Path) -> None:
    """XDG Base Directory Specification: a relative path in the variable is invalid."""
    assert store_root({"XDG_CACHE_HOME": "x", "HOME": str(tmp_path)}) == tmp_path / ".cache/effe-tool/image"
    assert store_root({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "effe-tool/image"


def test_several_may_write_one_blob_at_once(store: Store) -> None:
    """Each writes a file of its own and renames it: nobody reads a half one."""
    data = bytes(1 << 20)
    with ThreadPoolExecutor(8) as pool:
        blobs = set(pool.map(lambda _: Store(store.root).add(data), range(32)))
    (blob,) = blobs
    assert store.read(blob) == data
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == [blob.digest[7:]]
