"""What `--base` takes: references, layouts and tars, good and hostile."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effetool.builder.package.files import plan
from effetool.effe.project import find_one
from effetool.errors import BuildError, ImageError
from effetool.image.base import default_base, resolve_base
from effetool.image.config import INDEX, Base, Platform, configuration, encode, index
from effetool.image.layout import Built, base_image, save, write_archive
from effetool.image.store import Store
from tests.parts import need

from .conftest import bare_base
from .registries import serve_registry

ARCHES = ("amd64", "arm64")


@pytest.fixture
def both(store: Store) -> Built:
    """The bare base for two platforms, in the store."""
    images = [base_image(store, bare_base(store, arch)).manifests[0] for arch in ARCHES]
    document = store.add(encode(index([(image.blob, image.platform) for image in images], {})))
    return Built(document, INDEX, tuple(images))


@pytest.fixture
def archive(store: Store, both: Built, tmp_path: Path) -> Path:
    """The tar of it."""
    path = tmp_path / "base.tar"
    with path.open("wb") as file:
        write_archive(store, both, ["base:1"], file)
    return path


@pytest.fixture
def layout(archive: Path, tmp_path: Path) -> Path:
    """The directory of it."""
    root = tmp_path / "layout"
    with tarfile.open(archive) as tar:
        for member in tar:  # 3.11.2 has no filter
            (root / member.name).parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            if content is not None:
                (root / member.name).write_bytes(content.read())
    return root


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


def resolve(store: Store, base: Path | str, *platforms: str) -> list[Base]:
    wanted = [Platform(name) for name in platforms] or None
    return resolve_base(store, str(base), wanted, lambda *_: None)


def test_a_tar_a_layout_and_a_gzipped_tar_are_one_base(other: Store, archive: Path, layout: Path, both: Built) -> None:
    """What an image stands on does not depend on how it came; its platforms are chosen from the index."""
    zipped = archive.with_suffix(".tar.gz")
    zipped.write_bytes(gzip.compress(archive.read_bytes(), 1))
    for path in (archive, layout, zipped):
        found = resolve(other, path, "arm64", "amd64")
        assert [base.platform.architecture for base in found] == ["arm64", "amd64"]
        assert [base.layers[0].blob for base in found] == [image.layers[0].blob for image in both.manifests[::-1]]
        assert found[0].version == sys.version_info[:2]
        assert found[0].certificates


def test_a_saved_image_lists_its_folders(archive: Path) -> None:
    """A scanner opens the tar as a file system: a folder without a member of its own is not there for it."""
    with tarfile.open(archive) as tar:
        found = {member.name: position for position, member in enumerate(tar)}
        folders = [member.name for member in tar if member.isdir()]
    assert folders == ["blobs", "blobs/sha256"]
    assert min(at for name, at in found.items() if name.startswith("blobs/sha256/")) > found["blobs/sha256"]
    assert found["oci-layout"] == 0


@pytest.mark.container
def test_an_image_never_goes_into_an_effe(archive: Path, tmp_path: Path) -> None:
    """Not by its usual name, and not under another one."""
    root = tmp_path / "hello"
    root.mkdir()
    (root / "logic.py").write_text("INFO = {}\ndef run(context, error, response, request): ...\n")
    for name in ("hello-1.0.oci.tar", "image"):
        (root / name).write_bytes(archive.read_bytes())
    assert [file.name for file in plan(find_one(root))] == ["logic.py"]


def test_a_pipe_in_the_place_of_the_output_stays(store: Store, both: Built, tmp_path: Path) -> None:
    """What is no file is not replaced, and nothing is left beside it."""
    os.mkfifo(tmp_path / "out.tar")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BuildError, match="tar is a named pipe") as caught:
        save(tmp_path / "out.tar", lambda file: write_archive(store, both, ["base:1"], file))
    assert caught.value.code == "E136"
    assert (tmp_path / "out.tar").is_fifo() and sorted(tmp_path.iterdir()) == before


def test_what_skopeo_writes_is_read(other: Store, archive: Path, tmp_path: Path, both: Built) -> None:
    """`docker save`'s format has plain tars: they are packed anew, and are the same layers."""
    need("skopeo")
    for index_, target in enumerate(("docker-archive", "oci", "oci-archive")):
        path = tmp_path / f"copy{index_}"
        words = ["--override-arch", "arm64", f"oci-archive:{archive}", f"{target}:{path}:copy:1"]
        done = subprocess.run(["skopeo", "--insecure-policy", "copy", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (found,) = resolve(other, path, "arm64")
        assert [layer.diff_id for layer in found.layers] == [layer.diff_id for layer in both.manifests[1].layers]


@pytest.mark.registry
def test_a_reference_is_fetched(other: Store, archive: Path, tmp_path: Path, both: Built, logins: Path) -> None:
    """By tag and by digest, the platforms that are wanted and no others; the image says what it stands on."""
    need("docker-registry", "skopeo")
    with serve_registry(tmp_path / "registry") as address:
        words = ["--insecure-policy", "copy", "--all", "--dest-tls-verify=false", f"oci-archive:{archive}"]
        subprocess.run(["skopeo", *words, f"docker://{address}/team/base:1"], check=True, capture_output=True)
        (found,) = resolve(other, f"{address}/team/base:1", "arm64")
        assert (found.name, found.digest) == (f"{address}/team/base:1", both.manifests[1].blob.digest)
        assert not other.has(both.manifests[0].layers[0].blob)
        assert len(resolve(other, f"{address}/team/base@{both.root.digest}", *ARCHES)) == 2
        with pytest.raises(ImageError) as caught:
            resolve(other, f"{address}/team/base:1", "riscv64")
    assert caught.value.code == "E406"


def test_a_platform_that_is_not_there_is_named(other: Store, archive: Path) -> None:
    """What there is stands in the error."""
    with pytest.raises(ImageError) as caught:
        resolve(other, archive, "riscv64")
    assert caught.value.message == f"{archive} has no image for linux/riscv64: it has linux/amd64, linux/arm64"


@pytest.mark.parametrize("base", ["./none", "/none", "none.tar", "~/none"])
def test_a_path_that_is_not_there_is_no_reference(other: Store, base: str) -> None:
    """A mistyped file name is not looked for in a registry."""
    with pytest.raises(ImageError) as caught:
        resolve(other, base)
    assert (caught.value.code, caught.value.fix) == ("E403", "check the path")


def test_the_default_is_docker_hub_s_where_there_is_no_debian(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The running Python's slim image."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert default_base() == f"docker.io/library/python:3.{sys.version_info[1]}-slim"


def test_a_base_without_python_says_what_to_take(store: Store, other: Store, tmp_path: Path) -> None:
    """An image of something else."""
    base = bare_base(store, "amd64", python="usr/bin/perl")
    path = tmp_path / "perl.tar"
    with path.open("wb") as file:
        write_archive(store, base_image(store, base), ["perl"], file)
    with pytest.raises(ImageError) as caught:
        resolve(other, path)
    assert caught.value.code == "E403"
    assert "no python3 in /usr/local/bin or /usr/bin" in caught.value.message


# What somebody could put in place of any value of a document.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    | st.sampled_from(["../../etc/passwd", "sha256:" + "0" * 64, "sha256:../../../../etc/passwd", "\ud800", INDEX]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def places(document: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    inner = document[path[0]]
    document[path[0]] = changed(inner, path[1:], value)
    return document


def put(root: Path, document: object) -> dict[str, object]:
    """Write a document as a blob; return its descriptor."""
    data = json.dumps(document).encode()
    digest = hashlib.sha256(data).hexdigest()
    (root / "blobs/sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


@pytest.fixture
def documents(layout: Path) -> str:
    """The documents of the layout's first image, as JSON: configuration, manifest, index."""

    def read(name: str) -> Any:
        return json.loads((layout / name).read_bytes())

    entry = read(blob_path(read("index.json")["manifests"][0]["digest"]))["manifests"][0]
    manifest = read(blob_path(entry["digest"]))
    index = {"schemaVersion": 2, "manifests": [entry]}
    return json.dumps({"config": read(blob_path(manifest["config"]["digest"])), "manifest": manifest, "index": index})


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_document_may_be_anything(data: st.DataObject, documents: str, layout: Path, other: Store) -> None:
    """A value of a configuration, a manifest or an index is another one: an image or one error, never a crash."""
    found = json.loads(documents)
    which = data.draw(st.sampled_from(sorted(found)))
    hostile = changed(found[which], data.draw(st.sampled_from(list(places(found[which])))), data.draw(VALUES))
    # What names a changed document names it rightly, so that the digests do not catch it.
    if which == "config":
        found["manifest"]["config"] |= put(layout, hostile)
    if which != "index":
        found["index"]["manifests"][0] |= put(layout, hostile if which == "manifest" else found["manifest"])
    (layout / "index.json").write_text(json.dumps(hostile if which == "index" else found["index"]))
    code = None
    try:
        (base,) = resolve(other, layout, "amd64")
        encode(configuration(base, [], {}))
    except ImageError as error:
        code = error.code
    assert code in (None, "E403", "E406")


def blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def test_a_layout_s_links_stay_inside(other: Store, layout: Path, tmp_path: Path, both: Built) -> None:
    """A blob that is a link to another place is not there."""
    outside = tmp_path / "outside"
    blob = layout / "blobs/sha256" / both.manifests[0].layers[0].blob.digest[7:]
    shutil.move(blob, outside)
    blob.symlink_to(outside)
    with pytest.raises(ImageError, match="is not an image: it has no blobs/sha256/"):
        resolve(other, layout, "amd64")
