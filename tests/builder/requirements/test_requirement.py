"""Dependency specifiers and markers against `packaging`."""

from __future__ import annotations

import pytest
from packaging.markers import Marker as Reference
from packaging.requirements import Requirement as ReferenceRequirement

from effetool.builder.requirements.requirement import Marker, normalise, read_requirement
from effetool.builder.resolve.target import this_target

MARKERS = [
    'python_version < "3.11"',
    "python_full_version >= '3.9' and sys_platform == \"linux\"",
    '(python_version >= "3.8" and python_version < "4") or os_name == "nt"',
    '"linux" in sys_platform',
    'platform_machine != "arm64" and (platform_system == "Darwin" or implementation_name == "cpython")',
    '"3.10" > python_version',
    'sys_platform not in "win32 cygwin"',
    'extra == "Foo_Bar"',
    'python_version in "3.10 3.11"',
    'python_version ~= "3.9"',
]


@pytest.mark.parametrize("text", MARKERS)
def test_markers_hold_as_pep_508_says(text: str) -> None:
    """The same answer as the reference in the same environment."""
    environment = {**this_target().environment, "extra": "foo-bar"}
    assert Marker(text).holds(environment) == Reference(text).evaluate(dict(environment))


@pytest.mark.parametrize(
    "text",
    ["requests", 'requests[socks,Use.chardet]>=2,<3; python_version<"3.9"', "a (>=1)", "c==1.*", "d @ file:///x"],
)
def test_requirements_are_read_as_pep_508_says(text: str) -> None:
    """Name, extras, URL and versions as the reference has them."""
    ours, theirs = read_requirement(text), ReferenceRequirement(text)
    assert (ours.name, ours.extras, ours.url) == (
        normalise(theirs.name),
        frozenset(map(normalise, theirs.extras)),
        theirs.url,
    )
    for version in ("0.9", "1.0", "2.5", "3.0"):
        assert ours.versions.admit(version) == theirs.specifier.contains(version, prereleases=True)


def test_a_url_may_hold_a_semicolon() -> None:
    """Only a semicolon after a blank begins the marker."""
    read = read_requirement('b @ https://x/y;z.whl ; os_name == "posix"')
    assert read.url == "https://x/y;z.whl" and read.marker is not None and read.marker.text == 'os_name == "posix"'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "==1",
        "a 1.0",
        "a[b",
        "a>=",
        "a==x",
        "a; python_version",
        'a; foo bar "x"',
        'a; (os_name=="x"',
        "a b",
        "a @",
        "fl@sk !!",
    ],
)
def test_what_is_no_requirement_is_refused(text: str) -> None:
    """ValueError with what is wrong."""
    with pytest.raises(ValueError):
        read_requirement(text)
