"""Which Pythons a specifier admits, compared with the reference implementation of PEP 440."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet

from effetool.builder.requirements.pythons import admits, minors, versions
from effetool.errors import DependencyError

SPECIFIERS = ["", ">=3.9", ">=3.9.2,<3.13", "!=3.9.0", "==3.11.*", "~=3.10", "~=3.10.2", "===3.11.2", ">3.11", "<=3.12"]


@pytest.mark.parametrize("text", SPECIFIERS)
def test_a_minor_is_admitted_when_one_of_its_releases_is(text: str) -> None:
    for minor in range(9, 18):
        expected = any(SpecifierSet(text).contains(f"3.{minor}.{micro}") for micro in range(40))
        assert admits(text, (3, minor)) == expected, (text, minor)
        assert (minor in minors(versions(text))) == expected, (text, minor)


@pytest.mark.parametrize("text", ["3.9", ">=3.x", "<3.9", "===foo"])
def test_what_admits_no_python_is_refused(text: str) -> None:
    with pytest.raises(DependencyError) as caught:
        versions(text)
    assert caught.value.code == "E142"
