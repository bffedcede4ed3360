"""effetool.builder.package.files: which files go in, and which are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from effetool.builder.package.files import plan
from effetool.effe.project import Project, find_one
from effetool.errors import BuildError, EffeToolError

LOGIC = 'INFO = {"name": "hello", "version": "1.0"}\ndef run(context, error, response, request): ...\n'


@pytest.fixture
def effe(tmp_path: Path) -> Path:
    root = tmp_path / "hello"
    root.mkdir()
    (root / "logic.py").write_text(LOGIC)
    return root


def names(root: Path) -> list[str]:
    return [file.name for file in plan(find_one(root))]


def refused(root: Path) -> BuildError:
    with pytest.raises(BuildError) as caught:
        plan(find_one(root))
    assert caught.value.fix
    return caught.value


def test_modules_and_data_go_in_sorted(effe: Path) -> None:
    for name in ("page.html", "lib/x.py", "lib/deep/data.bin", "LICENSE"):
        (effe / name).parent.mkdir(parents=True, exist_ok=True)
        (effe / name).write_text("x")
    assert names(effe) == ["LICENSE", "lib/deep/data.bin", "lib/x.py", "logic.py", "page.html"]


@pytest.mark.parametrize(
    "name",
    [
        ".env", ".git/config", ".venv/x.py", "tests/test_a.py", "test_a.py", "a_test.py", "conftest.py", "README.md",
        "out/x", "hello-1.0.pex", "__pycache__/logic.cpython-311.pyc", "venv/pyvenv.cfg", "venv/x.py", "uv.lock",
        "other/logic.py", "pyproject.toml", "requirements.txt", "hello.egg-info/PKG-INFO", "Dockerfile",
        "hello-1.0.oci.tar",
    ],
)  # fmt: skip
def test_what_is_not_the_effe_is_left_out(effe: Path, name: str) -> None:
    if name.startswith("venv/"):
        (effe / "venv").mkdir(exist_ok=True)
        (effe / "venv/pyvenv.cfg").write_text("")
    (effe / name).parent.mkdir(parents=True, exist_ok=True)
    (effe / name).write_text("x")
    assert names(effe) == ["logic.py"]


def test_private_keys_are_left_out_and_said(effe: Path) -> None:
    """RFC 7468; a certificate is no secret, and a name that ends otherwise goes in on purpose."""
    block = "-----BEGIN {0}-----\nMC4CAQA=\n-----END {0}-----\n"
    files = {
        "key.pem": block.format("CERTIFICATE") + block.format("EC PRIVATE KEY"),
        "lib/server.key": "DER",
        "client.p12": "PKCS 12",
        "ca.pem": block.format("CERTIFICATE"),
        "example.pem.txt": block.format("PRIVATE KEY"),
    }
    (effe / "lib").mkdir()
    for name, text in files.items():
        (effe / name).write_text(text)
    warnings: list[EffeToolError] = []
    found = [file.name for file in plan(find_one(effe), warnings.append)]
    assert found == ["ca.pem", "example.pem.txt", "logic.py"]
    assert {(one.code, one.place.file.name) for one in warnings if one.place} == {
        ("E160", "client.p12"), ("E160", "key.pem"), ("E160", "server.key")
    }  # fmt: skip
    assert all(one.fix for one in warnings)


def test_large_files_are_said_and_go_in(effe: Path) -> None:
    (effe / "small.bin").write_bytes(b"x")
    with (effe / "data.bin").open("wb") as file:
        file.truncate(60_000_000)
    warnings: list[EffeToolError] = []
    assert [file.name for file in plan(find_one(effe), warnings.append)] == ["data.bin", "logic.py", "small.bin"]
    assert [one.code for one in warnings] == ["E161"]
    assert "data.bin alone 60 MB" in warnings[0].message


def test_a_file_effe_is_that_file_alone(effe: Path) -> None:
    (effe / "mail.py").write_text(LOGIC)
    (effe / "data.txt").write_text("x")
    assert [file.name for file in plan(Project(effe, effe / "mail.py", single=True))] == ["mail.py"]


def test_a_link_inside_goes_in_as_what_it_points_to(effe: Path) -> None:
    (effe / "a.txt").write_text("text")
    (effe / "b.txt").symlink_to("a.txt")
    assert {file.name: file.data for file in plan(find_one(effe))}["b.txt"] == b"text"


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "nowhere"])
def test_a_link_out_of_the_tree_or_to_nothing_is_refused(effe: Path, target: str) -> None:
    (effe.parent / "secret").write_text("x")
    (effe / "a.txt").symlink_to(target)
    assert refused(effe).code == "E131"


def test_a_link_to_a_directory_above_is_refused(effe: Path) -> None:
    (effe / "lib").mkdir()
    (effe / "lib/loop").symlink_to(".")
    assert refused(effe).code == "E131"


def test_a_pipe_is_refused_and_does_not_hang(effe: Path) -> None:
    os.mkfifo(effe / "pipe")
    assert refused(effe).code == "E131"


@pytest.mark.parametrize(
    "name", ["con.txt", "lib/AUX", "a?b", "a\\b", "a\nb", "x.", "__main__.py", "effetool/x.py", "PEX-INFO"]
)
def test_names_that_cannot_exist_everywhere_or_are_taken_are_refused(effe: Path, name: str) -> None:
    (effe / name).parent.mkdir(parents=True, exist_ok=True)
    (effe / name).write_text("x")
    assert refused(effe).code == "E132"


def test_names_that_differ_in_case_alone_are_refused(effe: Path) -> None:
    (effe / "Data.txt").write_text("x")
    (effe / "data.txt").write_text("y")
    assert refused(effe).code == "E132"


def test_a_file_of_4_gib_is_refused_before_it_is_read(effe: Path) -> None:
    with (effe / "huge.bin").open("wb") as file:
        file.truncate(1 << 32)
    assert refused(effe).code == "E134"
