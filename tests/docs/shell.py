"""Type a page into one bash: its directory, its variables and its background jobs last from block to block."""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .page import Block, Command, Page, PageError, matches

__all__ = ["MISSING", "PageFailure", "Shell", "complete", "free_port"]

SECONDS = 180.0  # a command that takes longer hangs, however busy the machine
MISSING = 127


class PageFailure(AssertionError):
    """A command of the page did something else than the page says."""


def free_port() -> int:
    """Return a port nobody listens on, below the range the system itself hands out for outgoing connections."""
    while True:
        port = random.randrange(10_000, 32_000)
        try:
            for family, host in ((socket.AF_INET, ""), (socket.AF_INET6, "::1")):
                with socket.socket(family) as sock:
                    sock.bind((host, port))
        except OSError:
            continue
        return port


def complete(text: str) -> bool:
    """Tell whether bash has read a whole command: no open quote, brace, here-document or line continuation."""
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if done.returncode and "unexpected end of file" not in done.stderr and "unexpected EOF" not in done.stderr:
        raise PageError(f"bash does not read {text!r}: {done.stderr}")
    return not done.stderr and not re.search(r"\\\n?$", text)


class Shell:
    """One bash for one page, in `directory`; a context manager that ends every process the page started.

    Args:
        directory: an existing directory, the page's own.
        page: says which ports to replace by free ones.
        cache: where what pages build once may be kept for the next one.
    """

    def __init__(self, directory: Path, page: Page, cache: Path) -> None:
        self.page = page
        self.root = directory.parent
        self.cwd = directory
        self.ports = {port: str(free_port()) for port in sorted(page.ports)}
        self._number = 0
        self._serving: list[tuple[int, Path]] = []
        self._said, said = os.pipe()
        self._say = said
        with (self.root / "bash.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=self._environment(cache),
                pass_fds=[said],
                start_new_session=True,
            )
        self._buffer = b""
        self._feed("set -m\n")

    def _environment(self, cache: Path) -> dict[str, str]:
        """Return the environment of a reader who has just logged in, with the tool on PATH."""
        old_home, home = Path.home(), self.root / "home"
        home.mkdir()
        for name in (".config/pip", ".pip", ".config/uv", ".netrc", ".npmrc", ".gitconfig"):
            if (old_home / name).exists():
                (home / name).parent.mkdir(exist_ok=True)
                (home / name).symlink_to(old_home / name)
        (home / ".curlrc").write_text("silent\nshow-error\n")  # as curl is on a terminal
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("EFFE", "PYTEST", "COV_", "PEX_", "GIT_", "XDG_"))
            and name not in ("PORT", "NO_COLOR", "FORCE_COLOR", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
        }
        caches = Path(os.environ.get("XDG_CACHE_HOME", old_home / ".cache"))
        return {
            "PIP_CACHE_DIR": str(caches / "pip"),
            "UV_CACHE_DIR": str(caches / "uv"),
            **kept,
            "HOME": str(home),
            "XDG_CACHE_HOME": str(cache),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PORT": self.ports["8080"],  # what an effe takes without a flag
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
            "TERM": "dumb",
        }

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal_all(number)
            deadline = time.monotonic() + 10
            while self._members() and time.monotonic() < deadline:
                self.process.poll()
                time.sleep(0.02)  # a process of a process cannot be waited for
        self.process.wait()
        for end in (self._said, self._say):
            os.close(end)
        self.process.stdin.close()  # type: ignore[union-attr]

    def run(self, block: Block) -> None:
        """Do what a reader does with the block: type its commands and compare, or write its file.

        Raises:
            PageFailure: another output, another exit status, a server that does not come up.
        """
        if block.name is not None:
            path = self.cwd / block.name
            if not path.resolve().is_relative_to(self.root.resolve()):
                raise PageError(f"line {block.line}: {block.name} leaves the page's directory")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._ported(block.text))
        elif block.language == "console":
            commands = block.commands()
            for command in commands:
                self._type(command, block, last=command is commands[-1])
        elif block.language == "sh":
            commands = list(self._split(block))
            for command in commands:
                self._type(command, block, last=command is commands[-1])

    def _split(self, block: Block) -> list[Command]:
        found: list[Command] = []
        text = ""
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            text += line + "\n"
            if not text.strip() or text.lstrip().startswith("#"):
                text = ""
            elif complete(text):
                found.append(Command(text.rstrip("\n"), number))
                text = ""
        if text:
            raise PageError(f"line {block.line}: the last command is not whole: {text!r}")
        return found

    def _type(self, command: Command, block: Block, last: bool) -> None:
        status = int(block.markers.get("exit", 0)) if last else 0
        varies = block.markers.get("varies", "").split()
        if command.background or command.interrupted or (last and "serves" in block.markers):
            self._serve(command, varies, status)
            return
        output = self._output()
        # bash tells of an ended job when it next looks, which may be in the midst of another command.
        ended = re.fullmatch(r"kill (%\d+)", command.text)
        then = f"; ended=$?; {{ wait {ended[1]}; }} 2>/dev/null; (exit $ended)" if ended else ""
        whole = f"{{ {self._ported(command.text)}\n}} >{output} 2>&1 </dev/null{then}"
        got = self._ask(f'{whole}; echo $? "$PWD" >&{self._say}')
        text = output.read_text(errors="replace")
        if got != status:
            raise self._failure(command, f"exit status {got}, not {status}", text)
        if command.expected is not None and not matches(self._ported_lines(command.expected), text, varies):
            raise self._failure(command, "another output", text)

    def _serve(self, command: Command, varies: list[str], status: int) -> None:
        """Start a command that stays; wait until it says what the page shows, or until its port answers."""
        output = self._output()
        text = re.sub(r"\s#[^'\"]*$", "", self._ported(command.text)).rstrip()
        text = text.removesuffix("&").rstrip()
        # A lone command is the job's own process, so that a signal reaches it and the exit status is its own.
        alone = not re.search(r"[;|&\n]", re.sub(r"\d?>&\d", "", text))
        # What the reader redirects stands last and wins.
        streams = f">{output} 2>&1 </dev/null"
        whole = f"{streams} {text}" if alone else f"{{ {text}\n}} {streams}"
        pid = self._ask(f'{whole} & echo $! "$PWD" >&{self._say}')
        self._serving.append((pid, output))
        expected = self._ported_lines(command.expected or [])
        before = expected[: expected.index("^C")] if command.interrupted else expected
        deadline = time.monotonic() + SECONDS

        def said() -> str:
            return output.read_text(errors="replace")

        def up() -> bool:
            return matches(before, said(), varies, whole=False) if before else self._listening(text)

        while not up():
            if pid not in self._members() and not (before and up()):
                raise self._failure(command, "it ended", said())
            if time.monotonic() > deadline:
                raise self._failure(command, "it does not come up", said())
            time.sleep(0.02)  # neither a file nor a port to come can be waited for
        if command.interrupted:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGINT)
            got = self._ask(f'wait {pid}; echo $? "$PWD" >&{self._say}')
            if got != status:
                raise self._failure(command, f"exit status {got}, not {status}, after ^C", said())
            if not matches([line for line in expected if line != "^C"], said(), varies):
                raise self._failure(command, "another output", said())

    def _listening(self, text: str) -> bool:
        """Tell whether the port of a command answers: the one it names, else the one effes take by themselves."""
        named = [port for port in self.ports.values() if re.search(rf"\b{port}\b", text)]
        port = int(named[0] if named else self.ports["8080"])
        for host in ("127.0.0.1", "::1"):
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5):
                return True
        return False

    def _ask(self, script: str) -> int:
        """Run a script in the shell itself; returns the number it says, and learns where the shell stands."""
        self._feed(script + "\n")
        deadline = time.monotonic() + SECONDS
        while b"\n" not in self._buffer:
            if self.process.poll() is not None:
                raise PageFailure(f"the page ended its shell: {script}")
            if time.monotonic() > deadline:
                self._signal_all(signal.SIGQUIT)
                raise PageFailure(f"not done after {SECONDS:.0f} s: {script}")
            if select.select([self._said], [], [], 0.5)[0]:
                self._buffer += os.read(self._said, 65536)
        line, _, self._buffer = self._buffer.partition(b"\n")
        number, _, where = line.decode().partition(" ")
        self.cwd = Path(where)
        return int(number)

    def _feed(self, text: str) -> None:
        self.process.stdin.write(text.encode())  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]

    def _output(self) -> Path:
        self._number += 1
        output = self.root / f"output-{self._number}"
        output.touch()
        return output

    def _ported(self, text: str) -> str:
        return re.sub(r"\b\d{4,5}\b", lambda match: self.ports.get(match.group(), match.group()), text)

    def _ported_lines(self, lines: list[str]) -> list[str]:
        return [self._ported(line) for line in lines]

    def _failure(self, command: Command, what: str, text: str) -> PageFailure:
        for written, real in self.ports.items():
            text = re.sub(rf"\b{real}\b", written, text)
        for pid, output in self._serving:
            if output.name != f"output-{self._number}":
                text += f"\n--- job {pid} says\n{output.read_text(errors='replace')[-3000:]}"
        expected = "\n".join(command.expected or ["(nothing said)"])
        return PageFailure(
            f"line {command.line}: $ {command.text}\n{what}\n--- the page shows\n{expected}\n--- it prints\n{text}"
        )

    def _members(self) -> set[int]:
        """Return the processes of the page: every living one in bash's session, bash left out."""
        found = set()
        for pid in _processes():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if pid != self.process.pid and os.getsid(pid) == self.process.pid:
                    found.add(pid)
        return found

    def _signal_all(self, number: int) -> None:
        for pid in self._members() | {self.process.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def needs(block: Block) -> str | None:
    """Return the program a block needs and this machine lacks."""
    for program in block.markers.get("needs", "").split():
        if shutil.which(program) is None:
            return program
    return None


def _processes() -> list[int]:
    """Return every process that lives: not those that ended and that nobody has waited for."""
    if not Path("/proc/self/stat").exists():
        done = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True)
        return [int(row.split()[0]) for row in done.stdout.splitlines() if "Z" not in row.split()[1]]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append(int(entry.name))
    return found
