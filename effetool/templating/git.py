"""A template from a git repository: fetched without a checkout, so that nothing in it is run and no link is made.

`git+https://host/path@tag#subdirectory=dir`, as pip spells it ("VCS Support" in its documentation).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import Place, ScaffoldError
from .render import MAX_FILE, MAX_FILES, MAX_TEXT

__all__ = ["read_repository"]

SCHEMES = ("https", "ssh", "file")
# What git would take as an option, a refspec or an expression of its own is none of these.
REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. /-]*")
PATIENCE = 120.0  # seconds for all that git does
SILENCE = 60  # seconds without a byte
PACK = 64 * 1024 * 1024  # bytes of one file that git writes
LISTING = 4 * 1024 * 1024  # bytes of the list of a repository's files


@dataclass(frozen=True)
class Reference:
    """A repository, a tag, branch or commit of it (HEAD where none is named), and a directory in that."""

    url: str
    ref: str
    folder: str

    @property
    def shown(self) -> str:
        """The URL without a password."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def read_repository(word: str, say: Callable[[str], None] = lambda line: None) -> dict[str, str]:
    """Return the text of each `.jinja` file, by its path.

    Raises:
        ScaffoldError: E206 when the URL is none, or git cannot fetch it; E203 for links, submodules, too much.
    """
    reference = _reference(word)
    if shutil.which("git") is None:
        raise ScaffoldError("git is not installed", code="E206", fix="install git, or -t ./DIRECTORY")
    say(f"fetching {reference.shown} {reference.ref}")
    with tempfile.TemporaryDirectory(prefix="effe-template-") as folder:
        git = Git(folder)
        git.run("init", "--quiet", "--bare", "--template=", ".")
        try:
            git.run(
                "fetch",
                "--quiet",
                "--depth=1",
                "--no-tags",
                "--no-recurse-submodules",
                "--",
                reference.url,
                reference.ref,
            )
        except subprocess.CalledProcessError as error:
            raise _refused(reference, error) from None
        return _files(git, reference)


def _reference(word: str) -> Reference:
    parts = urlsplit(word.removeprefix("git+"))
    path, at, ref = parts.path.rpartition("@")
    if not at:
        path, ref = parts.path, "HEAD"
    host = parts.netloc.rpartition("@")[2]
    folder = unquote(parts.fragment).removeprefix("subdirectory=").strip("/")
    whole = word.isprintable() and " " not in word and not parts.query and path.strip("/")
    known = word.startswith("git+") and parts.scheme in SCHEMES and bool(host) == (parts.scheme != "file")
    folders = not parts.fragment or (FOLDER.fullmatch(folder) and ".." not in folder.split("/"))
    if not whole or not known or host.startswith("-") or not REF.fullmatch(ref) or ".." in ref or not folders:
        raise ScaffoldError(
            f"no URL of a template: {word}",
            code="E206",
            fix="-t git+https://HOST/PATH@TAG, also git+ssh:// and git+file:///PATH, with #subdirectory=DIR",
        )
    return Reference(parts._replace(path=path, fragment="").geturl(), ref, folder)


class Git:
    """git in one directory, with nothing of the user's that would run a program on what is fetched."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        # What git sets for its hooks would lead it to another repository (git rev-parse --local-env-vars).
        local = (
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_COMMON_DIR",
            "GIT_NAMESPACE",
        )
        self._environ = {key: value for key, value in os.environ.items() if key not in local}
        self._environ |= {"GIT_ALLOW_PROTOCOL": ":".join(SCHEMES), "LC_ALL": "C"}
        # Nobody is asked for a password, in a terminal or a window; what a credential helper knows is used.
        self._environ |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GCM_INTERACTIVE": "never"}
        self._environ.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")

    def run(self, *words: str, stdin: bytes = b"", most: int = LISTING) -> bytes:
        """Return the output of a command, at most `most` bytes and one.

        Raises:
            subprocess.CalledProcessError: git failed, or took too long.
        """
        # The last two: a helper of git that waits for a silent server ends by itself, and is not left behind.
        settings = (
            *("core.hooksPath=/dev/null", "fetch.unpackLimit=1", "gc.auto=0", "core.bigFileThreshold=1m"),
            *("http.lowSpeedLimit=1", f"http.lowSpeedTime={SILENCE}"),
        )
        command = ["git", *(word for setting in settings for word in ("-c", setting)), *words]
        with tempfile.TemporaryFile() as answer, _bounded():
            try:
                done = subprocess.run(
                    command,
                    cwd=self._folder,
                    env=self._environ,
                    input=stdin,
                    stdout=answer,
                    stderr=subprocess.PIPE,
                    timeout=PATIENCE,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise subprocess.CalledProcessError(1, command, stderr=b"no answer within two minutes") from None
            if done.returncode:
                raise subprocess.CalledProcessError(done.returncode, command, stderr=done.stderr)
            answer.seek(0)
            return answer.read(most + 1)


@contextmanager
def _bounded() -> Iterator[None]:
    """Have what is started write no file larger than PACK; this process writes none meanwhile."""
    import resource

    before = soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    bound = PACK if soft == resource.RLIM_INFINITY else min(PACK, soft)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _files(git: Git, reference: Reference) -> dict[str, str]:
    tree = f"FETCH_HEAD:{reference.folder}" if reference.folder else "FETCH_HEAD"
    try:
        listing = git.run("ls-tree", "-r", "-z", "-l", "--full-tree", tree)
    except subprocess.CalledProcessError:
        raise _faulty(f"no directory {reference.folder!r} in it" if reference.folder else "it is empty", "") from None
    if len(listing) > LISTING:
        raise _faulty("holds too many files", "")
    found: dict[str, str] = {}
    whole = 0
    for entry in listing.split(b"\0")[:-1]:
        head, _, name = entry.partition(b"\t")
        mode, _, blob, size = head.split()
        path = name.decode("utf-8", "replace")
        if mode == b"120000":
            raise _faulty("is a link", path)
        if mode == b"160000":
            raise _faulty("is a submodule", path)
        if path.endswith(".jinja"):
            if int(size) > MAX_FILE:
                raise _faulty(f"is larger than {MAX_FILE} bytes", path)
            found[path] = blob.decode()
            whole += int(size)
    if len(found) > MAX_FILES or whole > MAX_TEXT:
        raise _faulty(f"holds more than {MAX_FILES} files or {MAX_TEXT} bytes", "")
    return {path: _text(git.run("cat-file", "blob", blob, most=MAX_FILE), path) for path, blob in found.items()}


def _text(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _faulty(f"cannot read it: {error}", path) from None


def _faulty(message: str, path: str) -> ScaffoldError:
    return ScaffoldError(
        f"the template cannot be used: {message}",
        code="E203",
        place=Place(Path(path)) if path else None,
        fix="take another tag, or tell its author",
    )


def _refused(reference: Reference, error: subprocess.CalledProcessError) -> ScaffoldError:
    text = error.stderr.decode(errors="replace").replace(reference.url, reference.shown)
    lines = [line for line in text.splitlines() if line.strip()]
    fix = f"git ls-remote {reference.shown} shows what there is"
    if "could not read Username" in text or "could not read Password" in text or "Authentication failed" in text:
        fix = f"have git know the password (gitcredentials(7)): git ls-remote {reference.shown} must ask nothing"
    elif "certificate" in text:
        fix = "GIT_SSL_CAINFO=FILE names the authority that signed it, where you trust that"
    return ScaffoldError(
        f"cannot fetch {reference.shown} {reference.ref}", code="E206", notes=tuple(lines[:3]), fix=fix
    )
