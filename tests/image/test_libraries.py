"""The shared libraries of the system that an image's native code needs."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from effetool.effe.artifact import Artifact
from effetool.errors import ImageError
from effetool.image.application import Application, Target, read_application
from effetool.image.base import inspect
from effetool.image.config import Base, host_platform
from effetool.image.containerfile import write_context
from effetool.image.debian.small_base import small_base
from effetool.image.layer import Layer
from effetool.image.libraries import libraries_layer, library_entries
from effetool.image.store import Store
from tests.native.test_elf import elf

from .native import RESTRICTED, answer, make

WHEEL = "a-1-py3-none-linux_x86_64.whl"


def application(path: Path, *needed: str, **more: bytes) -> Application:
    """The files of a .pex whose one wheel has one extension module."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PEX-INFO", json.dumps({"distributions": {WHEEL: "0"}}))
        archive.writestr("effetool/runtime/__main__.py", b"")
        for name, data in {"x.so": elf(needed), **more}.items():
            archive.writestr(f".deps/{WHEEL}/a/{name}", data)
    opened = zipfile.ZipFile(path)
    return read_application(opened, path, Target((3, 11), "x86_64"))


def glibc(base: Base, *libraries: str, ours: bool = False) -> Base:
    """The base with a C library, and made by effe-tool or not."""
    config = {**base.config, "history": [{"created_by": "effe-tool base"}]} if ours else base.config
    return dataclasses.replace(base, config=config, libraries=frozenset({"libc.so.6", *libraries}))


def layer_of(
    store: Store, artifact: Artifact, base: Base, path: Path, *needed: str
) -> tuple[Layer | None, list[ImageError]]:
    return libraries_layer(store, artifact, application(path, *needed), base, lambda *_: None)


def test_a_base_with_all_of_them_gets_no_layer(store: Store, artifact: Artifact, bare: Base, tmp_path: Path) -> None:
    """What it has is not looked for; without any C library in its layers nothing is known of it."""
    path = tmp_path / "x.pex"
    assert layer_of(store, artifact, glibc(bare, "libgomp.so.1"), path, "libgomp.so.1", "libc.so.6") == (None, [])
    assert layer_of(store, artifact, bare, path, "libgomp.so.1") == (None, [])


def test_musl_s_loader_answers_for_its_own(store: Store, artifact: Artifact, bare: Base, tmp_path: Path) -> None:
    """`libc.so` and the names that are one file there; others are missing as everywhere."""
    base = dataclasses.replace(bare, libc="musllinux", libraries=frozenset({"ld-musl-x86_64.so.1"}))
    path = tmp_path / "x.pex"
    names = ("libc.so", "libc.musl-x86_64.so.1", "libpthread.so.0", "ld-musl-x86_64.so.1")
    assert layer_of(store, artifact, base, path, *names) == (None, [])
    with pytest.raises(ImageError, match=r"libstdc\+\+"):
        layer_of(store, artifact, base, path, "libstdc++.so.6")


def test_another_s_base_is_refused(store: Store, artifact: Artifact, bare: Base, tmp_path: Path) -> None:
    """Library, wheel, file and package are named, all of them at once."""
    with pytest.raises(ImageError) as caught:
        layer_of(store, artifact, glibc(bare), tmp_path / "x.pex", "libstdc++.so.6", "libgomp.so.1")
    error = caught.value
    assert (error.code, f"{WHEEL} needs libgomp.so.1 (a/x.so)" in error.message) == ("E409", True)
    assert error.notes == (f"{WHEEL} needs libstdc++.so.6 (a/x.so)",)
    assert "libgomp1" in (error.fix or "") and "libstdc++6" in (error.fix or "")


def test_a_driver_s_library_is_only_named(store: Store, artifact: Artifact, bare: Base, tmp_path: Path) -> None:
    """libcuda is put into the container when it starts."""
    layer, warnings = layer_of(store, artifact, glibc(bare), tmp_path / "x.pex", "libcuda.so.1", "libc.so.6")
    assert layer is None
    assert [(one.code, "libcuda.so.1" in one.message) for one in warnings] == [("E409", True)]


def test_without_the_archive_the_library_is_named(
    store: Store, artifact: Artifact, bare: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, and where there is no apt-get: which library and wheel, and why it cannot be added."""
    (tmp_path / "apt.conf").write_text('Dir::Etc::SourceList "/dev/null"; Dir::Etc::SourceParts "/dev/null";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            layer_of(store, artifact, glibc(bare, ours=True), tmp_path / "x.pex", "libgomp.so.1")
        assert (caught.value.code, f"{WHEEL} needs libgomp.so.1" in caught.value.message) == ("E409", True)
        assert caught.value.fix
        monkeypatch.setenv("PATH", str(tmp_path))


def test_the_engine_s_context_has_them_too(
    store: Store, artifact: Artifact, bare: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a directory of its own, links as links."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo("usr/lib/libx.so.1.0")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"elf"))
        link = tarfile.TarInfo("usr/lib/libx.so.1")
        link.type, link.linkname = tarfile.SYMTYPE, "libx.so.1.0"
        tar.addfile(link)
    layer = Layer(store.add(gzip.compress(file.getvalue())), "", about="libx1 of Debian")
    assert [entry.name for entry in library_entries(store, layer)] == ["usr/lib/libx.so.1.0", "usr/lib/libx.so.1"]
    monkeypatch.setattr("effetool.image.build.libraries_layer", lambda *_: (layer, []))
    write_context(store, artifact, bare, tmp_path / "context")
    assert (tmp_path / "context/libraries/usr/lib/libx.so.1").read_bytes() == b"elf"
    assert (tmp_path / "context/libraries/usr/lib/libx.so.1").is_symlink()


@pytest.mark.container
def test_debian_s_packages_are_added(small: Path, artifact: Artifact, tmp_path: Path) -> None:
    """With the libraries that these need, and what a scanner reads; kept, so that the next image asks nobody."""
    store = Store(small / "effe-tool/image")
    base = inspect(store, small_base(store, host_platform(), lambda *_: None), None)
    assert base.is_ours and "libc.so.6" in base.libraries and "libgfortran.so.5" not in base.libraries
    path = tmp_path / "x.pex"
    layer, warnings = layer_of(store, artifact, base, path, "libgfortran.so.5", "libc.so.6", "libnosuch.so.9")
    assert [(one.code, "libnosuch.so.9" in one.message) for one in warnings] == [("E409", True)]
    assert layer is not None and layer.about == "libgfortran5, libquadmath0 of Debian"
    with store.open(layer.blob.digest) as file, tarfile.open(fileobj=file) as tar:
        members = {member.name: member for member in tar}
        control = tar.extractfile("var/lib/dpkg/status.d/libquadmath0")
        assert control is not None and control.read().startswith(b"Package: libquadmath0\nStatus: install ok")
    files = {name.rpartition("/")[2] for name, member in members.items() if not member.isdir()}
    assert {"libgfortran.so.5", "libquadmath.so.0"} <= files and "libc.so.6" not in files
    assert all(member.isdir() or name.startswith(("usr/lib/", "usr/share/doc/", "var/lib/dpkg/status.d/"))
               for name, member in members.items())  # fmt: skip
    asked: list[object] = []
    again, _ = libraries_layer(
        store, artifact, application(path, "libgfortran.so.5", "libc.so.6", "libnosuch.so.9"), base,
        lambda *words: asked.append(words),
    )  # fmt: skip
    assert (again, asked) == (layer, [])


@pytest.mark.container
def test_a_base_of_another_release_is_said(small: Path, artifact: Artifact, tmp_path: Path) -> None:
    """Its C library may be older than the one that today's packages need."""
    store = Store(small / "effe-tool/image")
    base = inspect(store, small_base(store, host_platform(), lambda *_: None), None)
    with pytest.raises(ImageError) as caught:
        layer_of(store, artifact, dataclasses.replace(base, version=(3, 8)), tmp_path / "x.pex", "libgomp.so.1")
    assert caught.value.code == "E409"
    assert caught.value.fix == "effe-tool base, which makes it of this machine's release"


@pytest.mark.container
def test_code_in_c_plus_plus_runs_in_the_image(podman: dict[str, str], small: Path, tmp_path: Path) -> None:
    """Read-only and without a capability; `python -m tests.image.native` does the same with the large ones."""
    assert "--read-only" in RESTRICTED and "--cap-drop=ALL" in RESTRICTED
    body, said = answer(podman, make(tmp_path, "greenlet"), XDG_CACHE_HOME=str(small))
    assert body == "7"
    assert "libstdc++6 of Debian" in said
