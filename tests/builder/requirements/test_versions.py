"""Versions and specifiers against `packaging`, which PEP 440's own authors keep."""

from __future__ import annotations

import itertools

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version as Reference

from effetool.builder.requirements.versions import Specifiers, Version

TEXTS = """
1 1.0 1.0.0 1.0a1 1.0b2 1.0rc1 1.0.dev1 1.0a1.dev2 1.0.post1 1.0.post1.dev3 1.0+local 1.0+local.2 1!0.5 2.0 1.1 1.0.1
1.10 0.9 1.0-1 2.0rc1 1.0+1 1.0+a.1 v1.0 1.0-ALPHA.1
"""


def test_order_is_that_of_pep_440() -> None:
    """Every pair is ordered as the reference orders it."""
    for one, other in itertools.product(TEXTS.split(), TEXTS.split()):
        assert (Version(one) < Version(other)) == (Reference(one) < Reference(other)), (one, other)
        assert (Version(one) == Version(other)) == (Reference(one) == Reference(other)), (one, other)


@pytest.mark.parametrize("operator", ["==", "!=", "<=", ">=", "<", ">", "~=", "==*", "!=*"])
def test_specifiers_admit_what_pep_440_admits(operator: str) -> None:
    """Every operator with every version on both sides."""
    for wanted, version in itertools.product(TEXTS.split(), TEXTS.split()):
        text = f"{operator[:2]}{wanted}.*" if operator.endswith("*") else f"{operator}{wanted}"
        try:
            expected = SpecifierSet(text).contains(version, prereleases=True)
        except InvalidSpecifier:
            continue
        assert Specifiers(text).admit(version) == expected, (text, version)


@pytest.mark.parametrize("text", ["1.0", ">=", ">=x", "=>1", ">=1.*", "~=1", "==1,,=2"])
def test_what_is_no_specifier_is_refused(text: str) -> None:
    """ValueError, never a silent guess."""
    with pytest.raises(ValueError):
        Specifiers(text)
