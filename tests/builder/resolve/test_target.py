"""Platforms by name and by tag, and the wheels that fit them."""

from __future__ import annotations

import json

import pytest
from packaging import tags

from effetool.builder.resolve.target import Target, read_platform, read_pythons, this_platform, this_target
from effetool.errors import UsageError


def test_this_target_takes_the_wheels_this_python_takes() -> None:
    """The same tags as `packaging` finds for the running interpreter."""
    ours = set(json.loads(this_target().pex)["compatible_tags"])
    assert ours == {str(tag) for tag in tags.sys_tags()}


@pytest.mark.parametrize(
    ("text", "name", "triple"),
    [
        ("linux-aarch64", "linux-aarch64", "aarch64-manylinux_2_28"),
        ("linux/arm64", "linux-aarch64", "aarch64-manylinux_2_28"),
        ("linux-x86_64-musl", "linux-x86_64-musl", "x86_64-unknown-linux-musl"),
        ("alpine-amd64", "linux-x86_64-musl", "x86_64-unknown-linux-musl"),
        ("manylinux2014_aarch64", "linux-aarch64", "aarch64-manylinux_2_17"),
        ("musllinux_1_1_aarch64", "linux-aarch64-musl", "aarch64-unknown-linux-musl"),
        ("macos-arm64", "macos-arm64", "aarch64-apple-darwin"),
    ],
)
def test_platforms_are_named_as_their_users_name_them(text: str, name: str, triple: str) -> None:
    """Our names, container platforms and wheel tags."""
    platform = read_platform(text)  # this machine's own name stands for what it really has
    assert platform.name == name
    assert platform.triple == triple or platform == this_platform()


def test_an_unknown_platform_names_the_nearest() -> None:
    """E143, exit 2, with one that can be typed."""
    with pytest.raises(UsageError) as caught:
        read_platform("linux-aarch63")
    assert caught.value.fix == "write --platform linux-aarch64"


@pytest.mark.parametrize(
    ("wheel", "fits"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp39-abi3-manylinux_2_28_x86_64.whl", True),
        ("a-1-cp311-cp311-manylinux_2_34_x86_64.whl", False),
        ("a-1-cp310-cp310-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp312-abi3-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", False),
        ("a-1-cp311-cp311-manylinux_2_17_aarch64.whl", False),
        ("a-1.tar.gz", False),
    ],
)
def test_a_wheel_fits_by_its_tags(wheel: str, fits: bool) -> None:
    """PEP 425, PEP 600, PEP 656."""
    target = Target((3, 11), read_platform("manylinux_2_28_x86_64"))
    assert (target.rank(wheel) is not None) == fits


def test_native_before_pure() -> None:
    """A wheel made for the target ranks before one for every machine."""
    target = Target((3, 11), read_platform("manylinux_2_28_x86_64"))
    names = [
        "a-1-py3-none-any.whl",
        "a-1-cp39-abi3-manylinux_2_17_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_17_x86_64.whl",
    ]
    assert sorted(names, key=lambda name: target.rank(name) or 0) == names[::-1]


def test_pythons_of_a_constraint() -> None:
    """A minor alone, a range, and what admits none."""
    assert read_pythons("3.11") == [(3, 11)]
    assert read_pythons(">=3.11.2,<3.13") == [(3, 11), (3, 12)]
    for text in ("<3", "new", ">=99"):
        with pytest.raises(UsageError) as caught:
            read_pythons(text)
        assert caught.value.code == "E143"
