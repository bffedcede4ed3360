"""Templates that somebody else wrote: from a directory and from git; hostile ones write nothing."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from effetool.errors import ScaffoldError
from effetool.templating.scaffold import NewOptions, new
from tests.parts import need

LOGIC = """{# Shout: in capitals #}
INFO = {"name": {{ name | literal }}, "version": {{ version | literal }}, "doc": {{ doc | literal }}}


def run(context, error, response, request):
    response.write("{{ name | upper }}")
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A sound template of two files, and one that is not rendered."""
    root = tmp_path / "template"
    (root / "{{ name }}").mkdir(parents=True)
    (root / "logic.py.jinja").write_text(LOGIC)
    (root / "{{ name }}" / "words.txt.jinja").write_text("{% if single %}no{% else %}{{ doc }}{% endif %}\n")
    (root / "README.md").write_text("About this template.\n")
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where nothing may be written by a hostile template: a directory of its own to look at."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work" / "mail"


def git(cwd: Path, *words: str) -> None:
    who = {f"GIT_{role}_{what}": "x@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *words], cwd=cwd, env={**os.environ, **who}, check=True, capture_output=True)


def committed(root: Path, tag: str = "v1") -> str:
    """Make a repository of a directory, and return its URL."""
    if not (root / ".git").exists():
        git(root, "init", "-q")
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "-m", "x")
    git(root, "tag", tag)
    return f"git+file://{root}"


def refused(target: Path, template: str | Path) -> ScaffoldError:
    """Have it refused, quickly, with nothing written; return the error."""
    with pytest.raises(ScaffoldError) as caught:
        new(NewOptions(target, str(template)))
    assert list(target.parent.iterdir()) == []
    return caught.value


def test_a_directory(template: Path, target: Path) -> None:
    """Paths and text are rendered; what does not end in .jinja stays; the first comment is the default doc."""
    made = new(NewOptions(target, str(template), version="2.0"))
    assert sorted(made.files) == ["logic.py", "mail/words.txt"]
    assert (target / "logic.py").read_text().startswith('INFO = {"name": "mail", "version": "2.0", "doc": "Shout"}')
    assert (target / "mail" / "words.txt").read_text() == "Shout"


def test_a_repository_at_a_tag(template: Path, target: Path) -> None:
    """The tag's files, not the newest ones; no tag: the newest."""
    need("git")
    url = committed(template)
    (template / "logic.py.jinja").write_text(LOGIC.replace("upper", "lower"))
    committed(template, "v2")
    said: list[str] = []
    new(NewOptions(target, f"{url}@v1"), said.append)
    assert said == [f"fetching file://{template} v1"]
    assert 'write("MAIL")' in (target / "logic.py").read_text()
    new(NewOptions(target.with_name("post"), url))
    assert 'write("post")' in (target.with_name("post") / "logic.py").read_text()


def test_a_directory_of_a_repository(template: Path, target: Path) -> None:
    """#subdirectory, as pip spells it."""
    need("git")
    (template / "one" / "two").mkdir(parents=True)
    (template / "one" / "two" / "logic.py.jinja").write_text(LOGIC.replace("upper", "title"))
    url = committed(template)
    made = new(NewOptions(target, f"{url}@v1#subdirectory=one/two"))
    assert list(made.files) == ["logic.py"] and 'write("Mail")' in made.files["logic.py"]
    with pytest.raises(ScaffoldError, match="no directory 'none'"):
        new(NewOptions(target.with_name("post"), f"{url}@v1#subdirectory=none"))


def test_one_file_of_it(template: Path, target: Path) -> None:
    """A template with more than logic.py cannot be one file."""
    assert refused(target.with_suffix(".py"), template).code == "E205"


HOSTILE = {
    "attributes": ("logic.py", "{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
    "attributes by filter": ("logic.py", "{{ ''|attr('__class__') }}", "unsafe|undefined|no attribute"),
    "format": ("logic.py", "{{ '{0.__class__.__init__.__globals__}'.format(doc) }}", "unsafe"),
    "globals": ("logic.py", "{{ cycler.__init__.__globals__.os.system('touch hacked') }}", "unsafe"),
    "another file": ("logic.py", "{% include '/etc/passwd' %}", "loader"),
    "a name that is not given": ("logic.py", "{{ nmae }}", "'nmae' is undefined"),
    "syntax": ("logic.py", "{% if %}", "Expected an expression"),
    "the end of the directory": ("{{ '../' }}hacked", "x", "outside the directory"),
    "an absolute path": ("{{ '/' }}hacked", "x", "outside the directory"),
    "git's directory": ("{{ '.GIT' }}{{ '/' }}config", "x", "repository's own directory"),
    "control characters": ("{{ '\\x1b[2J' }}", "x", "no name for a file"),
    "a name too long": ("{{ 'x' * 300 }}", "x", "no name for a file"),
    "two of one name": ("logic.{{ 'py' }}", "x", "two files render to"),
    "a file in a file": ("logic.py{{ '/' }}x", "x", "within a file"),
    "a loop without end": (
        "x",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "did not end",
    ),
    "a loop of a gigabyte": ("x", "{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}", "makes more than"),
    "range": ("x", "{% for a in range(10**9) %}x{% endfor %}", "Range too big"),
    "memory": ("x", "{{ ('x' * 10**10)|length }}", "MemoryError"),
    "a number": ("x", "{{ 9**(9**9) }}", "did not end"),
    "recursion": ("x", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
    "brackets": ("x", "{{ " + "(" * 20_000 + ")" * 20_000 + " }}", "recursion|did not end"),
}


@pytest.mark.parametrize(
    "what",
    [pytest.param(what, marks=[pytest.mark.slow] if "did not end" in HOSTILE[what][2] else []) for what in HOSTILE],
)
def test_a_hostile_template_writes_nothing(what: str, template: Path, target: Path, tmp_path: Path) -> None:
    """E203 with what it did; it ends by itself, within the bounds, whatever it does."""
    name, text, message = HOSTILE[what]
    path = template / f"{name}.jinja"
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    error = refused(target, template)
    assert error.code == "E203"
    assert re.search(message, error.message), error.message
    assert "hacked" not in {found.name for found in tmp_path.rglob("*")}


def test_a_place_is_named(template: Path, target: Path) -> None:
    """The template's own file and line."""
    (template / "words.jinja").write_text("a\n{{ nmae }}\n")
    error = refused(target, template)
    assert error.place is not None and (error.place.file, error.place.line) == (template / "words.jinja", 2)


@pytest.mark.parametrize("kind", ["link", "linked directory", "fifo", "large", "many", "bytes", "nothing", "no logic"])
def test_what_is_no_template(kind: str, template: Path, target: Path) -> None:
    """Links, pipes, large files, many of them, what is no text: refused before anything of it is rendered."""
    odd = template / "odd.jinja"
    if kind == "link":
        odd.symlink_to("/etc/passwd")
    elif kind == "linked directory":
        (template / "etc").symlink_to("/etc")
    elif kind == "fifo":
        os.mkfifo(odd)
    elif kind == "large":
        with odd.open("wb") as file:
            file.truncate(1 << 30)
    elif kind == "many":
        for number in range(300):
            (template / f"{number}.jinja").touch()
    elif kind == "bytes":
        odd.write_bytes(b"\xff\xfe")
    else:
        (template / "logic.py.jinja").unlink()
        if kind == "nothing":
            (template / "{{ name }}" / "words.txt.jinja").unlink()
    assert refused(target, template).code == "E203"


@pytest.mark.parametrize("kind", ["link", "submodule", "large"])
def test_what_is_no_template_in_a_repository(kind: str, template: Path, target: Path) -> None:
    """The same of what git holds: nothing is checked out to find out."""
    need("git")
    if kind == "link":
        (template / "odd").symlink_to("/etc")
    elif kind == "large":
        (template / "odd.jinja").write_bytes(b"x" * (2 << 20))
    else:
        committed(template, "v0")
        git(template, "update-index", "--add", "--cacheinfo", "160000," + "1" * 40 + ",module")
        git(template, "commit", "-q", "-m", "x")
        git(template, "tag", "v1")
        error = refused(target, f"git+file://{template}@v1")
        assert error.code == "E203" and "submodule" in error.message
        return
    assert refused(target, f"{committed(template)}@v1").code == "E203"


def test_no_hook_and_no_filter_runs(template: Path, target: Path, tmp_path: Path, monkeypatch) -> None:
    """Not the user's own hooks either, which git would run on a checkout; nor what .gitattributes asks for."""
    need("git")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    ran = tmp_path / "ran"
    for name in ("post-checkout", "reference-transaction", "post-merge", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (hooks / name).chmod(0o755)
    (template / ".gitattributes").write_text("* filter=odd\n")
    url = committed(template)
    config = tmp_path / "config"
    config.write_text(f'[core]\nhooksPath = {hooks}\n[filter "odd"]\nsmudge = touch {ran}\nclean = cat\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    new(NewOptions(target, f"{url}@v1"))
    assert (target / "logic.py").is_file() and not ran.exists()


@pytest.mark.parametrize(
    "url",
    [
        "git+file://{root}@--upload-pack=touch {ran}",
        "git+file://{root}@--upload-pack=touch$IFS{ran}",
        "git+file://{root}@v1:refs/heads/x",
        "git+file://{root}@+v1",
        "git+file://{root}@v1..v2",
        "git+file://{root}@",
        "git+file://--upload-pack=touch{root}",
        "git+ssh://-oProxyCommand=touch%20{ran}/x@v1",
        "git+ssh://git@-oProxyCommand=touch%20{ran}/x@v1",
        "git+ext::sh -c touch% {ran}@v1",
        "git+ext::touch% {ran}",
        "git+http://127.0.0.1/x@v1",
        "git+https:///x@v1",
        "https://example.org/x",
        "git+file://{root}@v1#subdirectory=../..",
        "git+file://{root}@v1#subdirectory=-x",
        "git+file://{root}@v1#egg=x",
        "git+file://{root}@v1\n",
    ],
)
def test_a_url_that_would_do_something_else(url: str, template: Path, target: Path, tmp_path: Path) -> None:
    """E206 before git is asked: no option, no refspec, no other protocol."""
    need("git")
    committed(template)
    ran = tmp_path / "ran"
    error = refused(target, url.format(root=template, ran=ran))
    assert error.code == "E206" and "git+https://HOST/PATH@TAG" in (error.fix or "")
    assert not ran.exists()


@pytest.mark.parametrize("url", ["git+file://{root}@v9", "git+file://{root}/none@v1", "git+ssh://127.0.0.1:1/x@v1"])
def test_what_git_cannot_fetch(url: str, template: Path, target: Path) -> None:
    """E206 with git's own words; a password in the URL is not shown."""
    need("git")
    committed(template)
    error = refused(target, url.format(root=template))
    assert error.code == "E206" and error.notes
    secret = refused(target, "git+https://me:secret@127.0.0.1:1/x@v1")
    assert "secret" not in f"{secret.message} {secret.notes} {secret.fix}"


@pytest.mark.slow
def test_the_bounds_hold_for_the_time_too(template: Path, target: Path) -> None:
    """What burns CPU ends after seconds of it, however long it would take."""
    (template / "x.jinja").write_text("{{ 9**(9**9) }}")
    began = time.process_time()
    refused(target, template)
    assert time.process_time() - began < 5  # none of it in this process
