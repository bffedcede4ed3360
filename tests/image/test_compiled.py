from __future__ import annotations

import importlib.util
import sys

import pytest

from effetool.errors import ImageError
from effetool.image.compiled import compile_entries, find_python
from effetool.image.layer import Entry

MODULES = [
    Entry("app/a.py", data=b"x = {'a', 'b', 'c'}\nif x in ({'q'}, {'r'}): pass\n"),
    Entry("app/bad.py", data=b"def ("),
    Entry("app/t.txt", data=b""),
]


def test_modules_are_compiled_beside_their_sources() -> None:
    """PEP 552: an unchecked hash-based .pyc that the interpreter takes; what does not compile stays a source."""
    (made,) = compile_entries(MODULES, sys.executable, sys.version_info[:2])
    assert made.name == f"app/__pycache__/a.{sys.implementation.cache_tag}.pyc"
    assert (made.data or b"")[:8] == importlib.util.MAGIC_NUMBER + b"\x01\0\0\0"


def test_compiled_bytes_are_the_same_each_time() -> None:
    """Sets, interned names and the order of work leave no trace."""
    one, two = (compile_entries(MODULES, sys.executable, sys.version_info[:2]) for _ in range(2))
    assert one == two


def test_another_python_than_the_image_has_is_refused() -> None:
    """Code of another version would be compiled again at each start."""
    with pytest.raises(ImageError) as caught:
        compile_entries(MODULES, sys.executable, (3, 8))
    assert caught.value.code == "E406"


def test_the_running_python_is_found_without_a_search() -> None:
    """The tool's own interpreter serves where it is of the image's version."""
    assert find_python(sys.version_info[:2]) == sys.executable
    assert find_python((3, 2)) is None
