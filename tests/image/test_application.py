from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from effetool.errors import ImageError
from effetool.image.application import Application, Target, read_application

HERE = Target((3, 11), "x86_64")


def read(path: Path, files: dict[str, bytes], wheels: tuple[str, ...] = ()) -> Application:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PEX-INFO", json.dumps({"distributions": dict.fromkeys(wheels, "0")}))
        archive.writestr("effetool/runtime/__main__.py", b"")
        for name, data in files.items():
            archive.writestr(name, data)
    with zipfile.ZipFile(path) as archive:
        return read_application(archive, path, HERE)


def test_the_layers_are_what_changes_together(tmp_path: Path) -> None:
    """The author's files and what the build wrote of them are one layer; the rest are others."""
    wheel = "idna-3.0-py3-none-any.whl"
    deps = {
        f".deps/{wheel}/{name}": b""
        for name in ("idna/core.py", ".prefix/bin/idna", ".layout.json", "idna-3.0.pex-info/x")
    }
    found = read(
        tmp_path / "x.pex", {"logic.py": b"", "effetool/embedded.py": b"", "__main__.py": b"", **deps}, (wheel,)
    )
    assert [entry.name for entry in found.code] == ["app/logic.py", "app/effetool/embedded.py"]
    assert [entry.name for entry in found.runtime] == ["app/effetool/runtime/__main__.py", "app/__main__.py"]
    assert [entry.name for entry in found.dependencies] == ["app/lib/idna/core.py"]


def test_a_bomb_is_refused_by_what_it_says_of_itself(tmp_path: Path) -> None:
    """300 MB of zeros in 300 KB; a file that says less than it holds is cut there, and its checksum fails."""
    path = tmp_path / "x.pex"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("PEX-INFO", json.dumps({"distributions": {}}))
        archive.writestr("effetool/runtime/__main__.py", b"")
        with archive.open("zeros", "w") as file:
            for _ in range(300):
                file.write(bytes(1 << 20))
    with zipfile.ZipFile(path) as archive, pytest.raises(ImageError) as caught:
        read_application(archive, path, HERE)
    assert (caught.value.code, "more than 100 times its size" in caught.value.message) == ("E402", True)


@pytest.mark.parametrize("name", ["../evil.py", "a/../../evil.py", "a\\..\\evil.py", "/etc/passwd"])
def test_a_name_that_leaves_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    """A .pex may come from anywhere: nothing in it is written outside /app."""
    with pytest.raises(ImageError) as caught:
        read(tmp_path / "x.pex", {name: b""})
    assert caught.value.code == "E402"


@pytest.mark.parametrize(
    ("wheel", "fits"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-1b-cp39-abi3-manylinux2014_x86_64.whl", True),
        ("a-1-py3-none-linux_x86_64.whl", True),
        ("a-1-cp312-cp312-manylinux2014_x86_64.whl", False),
        ("a-1-cp312-abi3-manylinux2014_x86_64.whl", False),
        ("a-1-cp311-cp311-manylinux2014_aarch64.whl", False),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", False),
        ("a-1-cp311-cp311-macosx_11_0_x86_64.whl", False),
        ("a-1-py2-none-any.whl", False),
        ("nonsense", False),
    ],
)
def test_a_wheel_fits_by_its_tags(wheel: str, fits: bool) -> None:
    """PEP 425 and PEP 600: Python, ABI and platform must be those of the image."""
    assert bool(HERE.fits(wheel)) is fits


def test_native_code_of_this_platform_comes_before_pure_python(tmp_path: Path) -> None:
    """A .pex for several platforms holds several wheels of a project: the image gets the best one and no other."""
    names = [
        "a-1-py3-none-any.whl",
        "a-1-cp311-cp311-manylinux2014_x86_64.whl",
        "a-1-cp311-cp311-manylinux2014_aarch64.whl",
    ]
    found = read(tmp_path / "x.pex", {f".deps/{name}/a/{index}": b"" for index, name in enumerate(names)}, tuple(names))
    assert [entry.name for entry in found.dependencies] == ["app/lib/a/1"]


def test_a_dependency_without_anything_for_the_platform_is_an_error(tmp_path: Path) -> None:
    """An image that could not import its dependency is not made."""
    with pytest.raises(ImageError) as caught:
        read(tmp_path / "x.pex", {}, ("a-1-cp312-cp312-manylinux2014_x86_64.whl",))
    assert caught.value.code == "E406"
    assert "effe-tool build" in (caught.value.fix or "")
