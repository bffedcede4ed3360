"""The author's files are read as they are now, whatever lies in __pycache__."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import sys
from effetool.runtime.contract.source_loader import import_file
module = import_file("logic", sys.argv[1])
print(module.WORD, module.helper.WORD, module.part.WORD, module.json.__spec__.cached)
"""
LOGIC = "import json\nimport helper\nfrom package import part\nWORD = '{}'\n"


def ask(path: Path) -> list[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    answer = subprocess.run([sys.executable, "-c", ASK, path], env=environ, capture_output=True, text=True, check=True)
    return answer.stdout.split()


def write(directory: Path, word: str) -> None:
    (directory / "package").mkdir(exist_ok=True)
    (directory / "package" / "__init__.py").touch()
    (directory / "logic.py").write_text(LOGIC.format(word))
    (directory / "helper.py").write_text(f"WORD = '{word}'\n")
    (directory / "package" / "part.py").write_text(f"WORD = '{word}'\n")
    for path in directory.rglob("*.py"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def test_a_second_save_of_the_same_size_in_the_same_second_is_seen(tmp_path: Path) -> None:
    write(tmp_path, "one")
    # What an import without this module leaves, and would take for current.
    subprocess.run([sys.executable, "-m", "compileall", "-q", tmp_path], check=True)
    assert ask(tmp_path / "logic.py")[:3] == ["one", "one", "one"]
    write(tmp_path, "two")
    assert ask(tmp_path / "logic.py")[:3] == ["two", "two", "two"]


def test_nothing_is_written_beside_the_author(tmp_path: Path) -> None:
    write(tmp_path, "one")
    assert ask(tmp_path / "logic.py")[3] == json.__spec__.cached  # other people's modules come from their .pyc as ever
    assert not list(tmp_path.rglob("*.pyc"))


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    from effetool.runtime.contract.source_loader import import_file
    from effetool.runtime.errors import LogicError

    with pytest.raises(LogicError, match=r"must end in \.py"):
        import_file("logic", str(tmp_path / "logic.txt"))
