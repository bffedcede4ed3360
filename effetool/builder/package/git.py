"""The commit that the author's files are of, when they are exactly that commit's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["clean_commit", "is_of_commit"]

TIMEOUT = 10


def clean_commit(root: Path, files: Iterable[Path]) -> str | None:
    """Return the commit checked out at `root`, None when there is none or one of `files` is not as committed.

    What else lies in the working tree does not matter: an artefact built there must not make the next one differ.
    """
    resolved = root.resolve()
    top = next((folder for folder in (resolved, *resolved.parents) if (folder / ".git").exists()), None)
    if top is None:
        return None
    import subprocess

    # A repository's own configuration must not run programs of its choice.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(resolved), "status"]
    command += ["--porcelain=v2", "--branch", "--untracked-files=all", "--no-renames", "-z", "--", "."]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"}, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    commit = None
    changed = set()
    for record in done.stdout.decode(errors="surrogateescape").split("\0"):
        if record.startswith("# branch.oid "):
            commit = record.removeprefix("# branch.oid ")
        elif record.startswith("? "):
            changed.add(record[2:])
        elif record.startswith("1 "):
            changed.add(record.split(" ", 8)[8])
        elif record.startswith("u "):
            changed.add(record.split(" ", 10)[10])
    if commit is None or commit == "(initial)":
        return None
    ours = {str(path.resolve().relative_to(top)) for path in files if path.resolve().is_relative_to(top)}
    return None if changed & ours else commit


def is_of_commit(root: Path, commit: str, files: Iterable[Path]) -> bool | None:
    """Tell whether `files` are as that commit has them, None where git or the commit is not there to tell."""
    import subprocess

    command = ["git", "-c", "core.fsmonitor=false", "-C", str(root), "diff", "--quiet", "--no-ext-diff"]
    command += ["--no-textconv", commit, "--", *(str(path.resolve()) for path in files)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIMEOUT,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"}, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {0: True, 1: False}.get(done.returncode)
