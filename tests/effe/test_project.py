"""Finding effes, their contract and their PEP 723 block, by reading alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from effetool.effe.contract import check_contract
from effetool.effe.project import find_all, find_one
from effetool.effe.script import read_script
from effetool.effe.source import read_source
from effetool.errors import ContractError, DependencyError, SourceError, UsageError

EFFE = 'INFO = {"name": "x", "version": "1"}\ndef run(context, error, response, request): ...\n'


def write(path: Path, text: str = EFFE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_is_that_effe(tmp_path):
    """A .py file: single; logic.py by name: its directory."""
    one = find_one(write(tmp_path / "a.py"))
    assert (one.single, one.module, one.path) == (True, "a", tmp_path / "a.py")
    other = find_one(write(tmp_path / "b/logic.py"))
    assert (other.single, other.path) == (False, tmp_path / "b")


def test_a_directory_holds_every_effe_below(tmp_path):
    """Environments, caches, hidden folders and tests are not searched, and an effe's own modules are its own."""
    write(tmp_path / "a/logic.py")
    write(tmp_path / "a/other.py")
    write(tmp_path / "deep/down/b.py")
    write(tmp_path / "plain.py", "x = 1\n")
    for folder in (".git", "__pycache__", "tests", "out"):
        write(tmp_path / folder / "c.py")
    write(tmp_path / "env/d.py")
    write(tmp_path / "env/pyvenv.cfg", "")
    assert [p.path.relative_to(tmp_path).as_posix() for p in find_all(tmp_path)] == ["a", "deep/down/b.py"]


def test_without_a_path_the_direct_children(tmp_path, monkeypatch):
    """No argument: here, or just below; not deeper."""
    write(tmp_path / "a/logic.py")
    write(tmp_path / "deep/down/b.py")
    monkeypatch.chdir(tmp_path)
    assert [str(p.path) for p in find_all()] == ["a"]
    monkeypatch.chdir(tmp_path / "a")
    assert find_one().logic == Path("logic.py")


def test_several_where_one_is_wanted_are_listed(tmp_path):
    """E151, exit 2."""
    write(tmp_path / "a.py")
    write(tmp_path / "b.py")
    with pytest.raises(UsageError) as error:
        find_one(tmp_path)
    assert (error.value.code, error.value.exit_code) == ("E151", 2)
    assert error.value.notes == (str(tmp_path / "a.py"), str(tmp_path / "b.py"))


def test_a_logic_that_is_no_file_is_named(tmp_path):
    """E150 says what is there: a link to nothing, a directory; no new effe is proposed in its place."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/logic.py").symlink_to("nowhere.py")
    (tmp_path / "b/logic.py").mkdir(parents=True)
    for path, what in (("a", "a link to nothing: nowhere.py"), ("a/logic.py", "a link to"), ("b", "is a directory")):
        with pytest.raises(SourceError) as error:
            find_all(tmp_path / path)
        assert error.value.code == "E150" and what in error.value.message
        assert "new" not in (error.value.fix or "")


def test_nothing_there_names_the_nearest(tmp_path):
    """E150."""
    write(tmp_path / "hello.py")
    with pytest.raises(SourceError) as error:
        find_all(tmp_path / "helo.py")
    assert error.value.code == "E150" and "hello.py" in (error.value.fix or "")


def contract(tmp_path: Path, text: str):
    return check_contract(read_source(write(tmp_path / "effe.py", text)))


@pytest.mark.parametrize("name", ["Run", "handler", "handle", "main", "lambda_handler"])
def test_a_near_miss_is_named(tmp_path, name):
    """E120 at the name that was meant."""
    with pytest.raises(ContractError) as error:
        contract(tmp_path, f"def {name}(a, b, c, d): ...\n")
    assert error.value.code == "E120" and f"`{name}`" in error.value.message
    assert error.value.place is not None and (error.value.place.line, error.value.place.column) == (1, 5)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("def run(a, b, c, d): ...", True),
        ("async def run(a, b, c, d): ...", True),
        ("def run(*args): ...", True),
        ("def run(a, b, c, d, e=1): ...", True),
        ("run = print", True),
        ("from other import run", True),
        ("try:\n    pass\nfinally:\n    def run(a, b, c, d): ...", True),
        ("def run(a, b, c): ...", False),
        ("def run(a, b, c, d, e): ...", False),
        ("def run(a, b, c, d, *, e): ...", False),
        ("run = lambda a, b, c, d: None", True),
        ("run = lambda a, b: None", False),
        ("def run(a, b, c, d): ...\ndef stop(): ...", False),
        ("def run(a, b, c, d): ...\ndef start(x): ...", False),
    ],
)
def test_arguments_are_counted(tmp_path, text, fits):
    """E121 where the runtime's call would fail."""
    if fits:
        assert "run" in contract(tmp_path, text + "\n").functions
        return
    with pytest.raises(ContractError) as error:
        contract(tmp_path, text + "\n")
    assert error.value.code == "E121"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("def run(a, b, c, d): ...\ninit = 5", "E122", 2),
        ("run = None", "E122", 1),
        ("run = None\ndef run(a, b, c, d): ...", None, 0),
        ("try:\n    import x\nexcept ImportError:\n    init = None\ndef run(a, b, c, d): ...", None, 0),
        ("def run(a, b, c, d): ...\ndel run", "E120", None),
        ("def run(a, b, c, d):\n    for e in b:\n        yield e", "E122", 3),
        ("async def run(a, b, c, d):\n    x = yield", "E122", 2),
        ("def run(a, b, c, d):\n    def pieces():\n        yield 1\n    c.write(*pieces())", None, 0),
        ("def start():\n    yield 1\ndef run(a, b, c, d): ...", "E122", 2),
        ("@wrapped\ndef run(a, b, c, d):\n    yield 1", None, 0),
    ],
)
def test_what_cannot_be_called_is_refused(tmp_path, text, code, line):
    """A value, a deleted function, a generator: each would be built and never work."""
    if code is None:
        assert "run" in contract(tmp_path, text + "\n").functions
        return
    with pytest.raises(ContractError) as error:
        contract(tmp_path, text + "\n")
    assert error.value.code == code and error.value.fix
    assert error.value.place is not None and error.value.place.line == line


def script(tmp_path: Path, text: str):
    return read_script(read_source(write(tmp_path / "effe.py", text)))


def test_the_script_block_is_read_with_places(tmp_path):
    """PEP 723: requires-python, dependencies, and where each stands."""
    found = script(
        tmp_path,
        '# /// script\n# requires-python = ">=3.9"\n# dependencies = [\n#   "a>=1",\n#   "b",\n# ]\n# ///\n',
    )
    assert (found.requires_python, found.dependencies) == (">=3.9", ("a>=1", "b"))
    assert [(place.line, place.column) for place in found.places if place] == [(4, 6), (5, 6)]


def test_no_block_is_no_fault(tmp_path):
    """The block is the author's choice."""
    assert script(tmp_path, "x = 1\n").present is False


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# /// script\n# ///\n# /// script\n# ///\n", 3),
        ("# /// script\n# dependencies = []\n#requires-python = 3\n# ///\n", 3),
        ("# /// script\n# dependencies = []\n# ///\n\n# /// script\n# dependencies = []\n# ///\n", 5),
        ("# /// script\n# dependencies = [\n# ///\n", 2),
        ('# /// script\n# dependencies = "a"\n# ///\n', 2),
        ('# /// script\n# dependancies = ["a"]\n# ///\n', 2),
        ("# /// script\n# requires-python = 3\n# ///\n", 2),
        ("# /// script\n# dependencies = []\nx = 1\n", 1),
    ],
)
def test_a_malformed_block_is_told(tmp_path, text, line):
    """E142 with its line: what pip and uv would pass over in silence."""
    with pytest.raises(DependencyError) as error:
        script(tmp_path, text)
    assert error.value.code == "E142"
    if line is not None:
        assert error.value.place is not None and error.value.place.line == line


def test_a_directory_that_cannot_be_entered_is_named(tmp_path, monkeypatch):
    """E150: it may hold an effe. The refusal is played: whoever runs this may be root, who enters all."""
    closed = tmp_path / "closed" / "logic.py"
    closed.parent.mkdir()
    real = Path.is_file

    def refuse(path):
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(SourceError) as error:
        find_all(tmp_path)
    assert error.value.code == "E150" and f"cannot read {closed.parent}" in error.value.message


@pytest.mark.parametrize("line", ["#///script", "# ///script", "#/// script", "# // script", "# /// Script"])
def test_a_line_that_nearly_begins_a_block_is_an_error(tmp_path: Path, line: str) -> None:
    """To pip, uv and this tool it would be a comment like any other, and what it declares lost."""
    path = tmp_path / "hello.py"
    path.write_text(f'"""Say hello."""\n{line}\n# dependencies = ["rich"]\n# ///\nINFO = {{}}\n')
    with pytest.raises(DependencyError, match="meant to begin a script block") as caught:
        read_script(read_source(path))
    assert caught.value.place is not None and caught.value.place.line == 2
    assert caught.value.fix == "write it exactly: # /// script"


def test_provided_is_a_list_of_strings(tmp_path: Path) -> None:
    path = tmp_path / "hello.py"
    path.write_text('# /// script\n# dependencies = []\n# [tool.effe]\n# provided = "gi"\n# ///\n')
    with pytest.raises(DependencyError, match="provided takes a list of strings") as caught:
        read_script(read_source(path))
    assert caught.value.place is not None and caught.value.place.line == 4
