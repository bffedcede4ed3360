"""The servers: how each is installed and started."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import venv
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "effe-tool" / "benchmarks" / "serve"
ROOT = Path(__file__).resolve().parents[2]
APPS = Path(__file__).parent / "apps"
# What each peer needs from PyPI. bjoern is compiled, and needs libev's headers (Debian: libev-dev).
PACKAGES = {
    "granian": ["granian"],
    "uvicorn": ["uvicorn", "uvloop", "httptools"],
    "gunicorn": ["gunicorn"],
    "waitress": ["waitress"],
    "bjoern": ["bjoern"],
}
NAMES = ("effe", "bare", "thread each", "bjoern", "go", "granian", "uvicorn", "gunicorn", "waitress", "http.server")
# Written for the comparison, on the standard library and, for one, the effe's own parser.
OURS = {"bare": "bare.py", "thread each": "each.py", "http.server": "threads.py"}


def prepare(names: list[str]) -> dict[str, list[str]]:
    """Build and install what the named servers need; return their commands (`PORT` stands for the port).

    One that cannot be had here is left out, and said so.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    commands: dict[str, list[str]] = {}
    for name in names:
        try:
            commands[name] = _command(name)
        except (OSError, subprocess.CalledProcessError) as error:
            if name == "effe":
                raise SystemExit(f"the effe was not built: {error}") from None
            print(f"left out: {name}: {error}", file=sys.stderr)
    return commands


def _command(name: str) -> list[str]:
    if name == "effe":
        folder = CACHE / "effe"
        folder.mkdir(exist_ok=True)
        source = shutil.copy(APPS / "hello.py", folder)
        tool = [sys.executable, "-m", "effetool", "build", "--quiet", source]
        subprocess.run(tool, cwd=folder, env=environ(), check=True, stdout=subprocess.PIPE)
        return [str(folder / "bench-1.0.pex"), "-port", "PORT"]
    if name == "go":
        binary = CACHE / "hello-go"
        go = environ() | {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
        subprocess.run(["go", "build", "-o", binary, APPS / "hello.go"], env=go, check=True)
        return [str(binary), "PORT"]
    if name in OURS:
        return [sys.executable, str(APPS / OURS[name]), "PORT"]
    python = install(name)
    if name == "bjoern":
        return [python, str(APPS / "wsgi.py"), "PORT"]
    if name == "waitress":
        return [python, "-m", "waitress", "--listen=127.0.0.1:PORT", "--threads=16", "wsgi:app"]
    if name == "gunicorn":
        return [python, "-m", "gunicorn", "-b", "127.0.0.1:PORT", "-k", "gthread", "--threads", "16", "wsgi:app"]
    address = ["--host", "127.0.0.1", "--port", "PORT", "--log-level", "warning"]
    if name == "granian":
        return [python, "-m", "granian", *address, "--no-ws", "--interface", "wsgi", "wsgi:app"]
    fast = ["--http", "httptools", "--loop", "uvloop", "--no-access-log"]
    return [python, "-m", "uvicorn", *address, *fast, "asgi:app"]


def install(name: str) -> str:
    """Install a peer into the cache's environment unless it is there; return the interpreter."""
    python = CACHE / "bin" / "python"
    done = CACHE / f"{name}.ready"
    if not python.exists():
        venv.create(CACHE, with_pip=True)
    if not done.exists():
        print(f"installing {name} into {CACHE}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[name]], check=True)
        done.touch()
    return str(python)


def environ() -> dict[str, str]:
    """Return the environment of a server and of what builds it."""
    # Both change what is measured; they are usual in images and in tests.
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    return {k: v for k, v in os.environ.items() if k not in dropped} | {"PYTHONPATH": str(ROOT)}


class Running:
    """A server that runs, on the given CPUs; `with` ends it. It has `files` descriptors; `tls`: it speaks TLS."""

    def __init__(
        self, command: list[str], cpus: set[int], folder: Path = APPS, files: int = 0, tls: bool = False
    ) -> None:
        def prepare() -> None:
            os.sched_setaffinity(0, cpus)
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        self._tls = ssl._create_unverified_context() if tls else None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._log = (CACHE / "server.log").open("w")
        self.process = subprocess.Popen(
            [word.replace("PORT", str(self.port)) for word in command],
            cwd=folder,
            env=environ(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=prepare,
        )
        end = time.monotonic() + 30
        while b"Hello from Effe" not in self.ask():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} does not serve: see {CACHE / 'server.log'}")
            time.sleep(0.02)

    def ask(self, path: str = "/") -> bytes:
        """Ask once; empty where nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as client:
                if self._tls:
                    client = self._tls.wrap_socket(client)
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
                return b"".join(iter(lambda: client.recv(65536), b""))
        except OSError:
            return b""

    def _processes(self) -> list[tuple[int, list[str]]]:
        """Every process of the server's session, with the fields of /proc/PID/stat from the state on (proc(5))."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            if int(fields[3]) == self.process.pid:
                found.append((int(folder.name), fields))
        return found

    @property
    def seconds(self) -> float:
        """CPU time, user and system, of the server and all its children, the ended ones too."""
        ticks = sum(sum(map(int, fields[11:15])) for _, fields in self._processes())
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def threads(self) -> int:
        """Threads of all its processes."""
        return sum(int(fields[17]) for _, fields in self._processes())

    @property
    def memory(self) -> float:
        """Resident memory in MB, shared pages counted in part (Pss)."""
        total = 0
        for pid, _ in self._processes():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        self._log.close()
