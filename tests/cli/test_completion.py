"""Completion as an author meets it: a tab typed in the real shells."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.parts import need
from tests.terminal import Terminal

pytestmark = pytest.mark.slow

# How each starts without the user's own set-up, and how it takes in what `--show-completion` prints.
SHELLS = {
    "bash": (["--noprofile", "--norc", "-i"], 'eval "$(effe-tool --show-completion)"'),
    "zsh": (["-f", "-i"], 'autoload -U compinit; compinit -u -D; eval "$(effe-tool --show-completion)"'),
    "fish": (["--no-config", "-i"], "effe-tool --show-completion | source"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_tab_completes_commands_flags_and_templates(shell: str, environment: dict[str, str], tmp_path: Path) -> None:
    """`effe-tool n⇥w web -t web⇥ --vsc⇥` makes an effe from the template webhook, with .vscode/launch.json."""
    flags, load = SHELLS[shell]
    (tmp_path / "home").mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {key: value for key, value in environment.items() if not key.startswith(("ZDOT", "XDG_"))}
    need(shell)
    with Terminal([shell, *flags], tmp_path, {**quiet, "PATH": path}) as terminal:
        terminal.type("echo up and run''ning\n")
        terminal.wait("up and running")
        terminal.type(f"{load}; echo load''ed\n")
        terminal.wait("loaded")
        terminal.type("effe-tool ne\tmail -t web\t--vsc\t\n")
        terminal.wait("next:")
    assert "hmac" in (tmp_path / "mail" / "logic.py").read_text()
    assert (tmp_path / "mail" / ".vscode" / "launch.json").is_file()
