"""The image itself: its layers, its bytes, and what skopeo reads in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from effetool.effe.artifact import Artifact, read_artifact
from effetool.errors import ImageError
from effetool.image.build import Image, build_image
from effetool.image.config import Base
from effetool.image.layout import base_image, save, write_archive
from effetool.image.store import Store
from tests.parts import need

from .conftest import bare_base


def build(store: Store, artifact: Artifact, *bases: Base) -> Image:
    return build_image(store, artifact, bases, lambda *_: None)


def own_layers(image: Image) -> dict[str, int]:
    """The layers above the base, by what they are for, and their sizes."""
    return {layer.about: layer.blob.size for layer in image.built.manifests[0].layers[1:]}


def names(store: Store, image: Image, about: str) -> set[str]:
    (layer,) = (layer for layer in image.built.manifests[0].layers if layer.about == about)
    with store.open(layer.blob.digest) as file, tarfile.open(fileobj=file) as tar:
        return {member.name for member in tar if member.isfile()}


def skopeo(path: Path, *words: str) -> Any:
    need("skopeo")
    done = subprocess.run(["skopeo", *words, "inspect", "--raw", f"oci-archive:{path}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_changed_line_changes_the_code_layer_alone(
    store: Store, artifact: Artifact, changed: Artifact, bare: Base
) -> None:
    """The dependencies and the runtime stay; what an author's save costs is a few KB."""
    before, after = (build(store, one, bare).built.manifests[0].layers for one in (artifact, changed))
    assert [layer.about for layer in after] == ["bare", "runtime", "code"]
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]
    assert after[-1].blob.size < 5_000


def test_dependencies_are_a_layer_of_their_own(store: Store, native: Path, bare: Base) -> None:
    """Below the runtime and the code; as pip would spread them, compiled, without what pex keeps for itself."""
    image = build(store, read_artifact(native), bare)
    assert list(own_layers(image)) == ["dependencies", "runtime", "code"]
    found = names(store, image, "dependencies")
    assert "app/lib/markupsafe/__init__.py" in found
    assert f"app/lib/markupsafe/__pycache__/__init__.{sys.implementation.cache_tag}.pyc" in found
    assert any(name.startswith("app/lib/markupsafe/_speedups.") and name.endswith(".so") for name in found)
    assert any(name.startswith(("app/lib/MarkupSafe-", "app/lib/markupsafe-")) for name in found)
    assert all(name.startswith("app/lib/") for name in found)
    assert names(store, image, "code") >= {"app/logic.py", "app/data.txt"}


def test_an_image_is_the_same_bytes_anywhere(pex: Path, bare: Base, store: Store, tmp_path: Path) -> None:
    """Another cache, umask, time zone, hash seed, directory and name of the file: not one byte differs."""
    base = tmp_path / "base.tar"
    save(base, lambda file: write_archive(store, base_image(store, bare), ["base:1"], file))
    made = []
    for number, umask in enumerate((0o022, 0o077)):
        folder = tmp_path / f"folder{number}"
        folder.mkdir()
        copy = folder / f"copy{number}.pex"
        copy.write_bytes(pex.read_bytes())
        environment = {
            **os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "TZ": f"UTC-{number * 5}",
            "PYTHONHASHSEED": str(number + 1), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        command = [sys.executable, "-m", "effetool", "image", copy.name, "--base", "../base.tar", "-q"]
        done = subprocess.run(command, cwd=folder, env=environment, umask=umask, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made.append((folder / "probe-1.0.oci.tar").read_bytes())
    assert made[0] == made[1]


@pytest.mark.container
def test_an_index_has_an_image_for_each_platform(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    """skopeo finds each architecture's image in one tar; they share the layers that are equal. The folder is made."""
    image = build(store, artifact, bare_base(store, "amd64"), bare_base(store, "arm64"))
    path = tmp_path / "new" / "both.tar"
    save(path, lambda file: write_archive(store, image.built, ["probe:1.0"], file))
    index = skopeo(path)
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    copies = {}
    for arch in ("amd64", "arm64"):
        words = [
            "--insecure-policy",
            "--override-arch",
            arch,
            "copy",
            f"oci-archive:{path}",
            f"oci:{tmp_path}/{arch}:x",
        ]
        subprocess.run(["skopeo", *words], check=True, capture_output=True)
        command = ["skopeo", "inspect", "--config", f"oci:{tmp_path}/{arch}:x"]
        copies[arch] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        assert copies[arch]["architecture"] == arch
    one, two = (copy["rootfs"]["diff_ids"] for copy in copies.values())
    assert one[0] != two[0]
    assert one[1:] == two[1:]


@pytest.mark.container
def test_the_settings_are_those_of_the_specification(
    store: Store, artifact: Artifact, bare: Base, tmp_path: Path
) -> None:
    """Labels and annotations from INFO, the signal, the user, the port: as skopeo reads them in both halves."""
    image = build(store, artifact, bare)
    path = tmp_path / "image.tar"
    save(path, lambda file: write_archive(store, image.built, ["probe:1.0"], file))
    labels = {
        "org.opencontainers.image.title": "probe", "org.opencontainers.image.version": "1.0",
        "org.opencontainers.image.description": "Tell what is allowed",
    }  # fmt: skip
    assert skopeo(path)["annotations"] == labels
    for source in ("oci-archive", "docker-archive"):
        done = subprocess.run(["skopeo", "inspect", "--config", f"{source}:{path}"], check=True, capture_output=True)
        document = json.loads(done.stdout)
        config = document["config"]
        assert config["Labels"] == labels
        assert (config["User"], config["StopSignal"], config["WorkingDir"]) == ("65532:65532", "SIGTERM", "/app")
        assert config["ExposedPorts"] == {"8080/tcp": {}}
        assert document["created"] == "1970-01-01T00:00:00Z"


def test_what_will_fail_is_said(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    """A base without certificates makes a warning, not an error: an effe need not call out."""
    from dataclasses import replace

    (warning,) = build(store, artifact, replace(bare_base(store, "amd64"), certificates=False)).warnings
    assert warning.code == "E403"
    assert "no CA certificates" in warning.message


def test_a_python_that_is_not_here_is_a_warning(store: Store, artifact: Artifact) -> None:
    """Without that Python nothing can be compiled for it: the image works, and starts slower."""
    from dataclasses import replace

    image = build(store, artifact, replace(bare_base(store, "amd64"), version=(3, 99)))
    (warning,) = image.warnings
    assert (warning.code, "python3.99" in warning.message) == ("E406", True)
    assert not any(name.endswith(".pyc") for name in names(store, image, "code"))


def test_a_damaged_pex_is_refused(store: Store, artifact: Artifact, bare: Base, tmp_path: Path) -> None:
    """A byte of a file inside that changed: its checksum tells."""
    data = bytearray(artifact.path.read_bytes())
    where = data.index(b"data beside the code") if b"data beside the code" in data else len(data) // 2
    data[where] ^= 0xFF
    path = tmp_path / "damaged.pex"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        build(store, Artifact(path, artifact.info, artifact.digest, artifact.size), bare)
    assert (caught.value.code, caught.value.fix) == ("E402", "effe-tool build")
