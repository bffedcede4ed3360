"""Run what was built, before anyone else does: `-info` must answer with INFO, and a start may have a limit."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from ...errors import BuildError, Place

__all__ = ["ask_info", "measure_start", "start_once"]

TIMEOUT = 60.0
STARTS = 5


def _environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what would change how a .pex starts."""
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if not name.startswith(("PEX_", "EFFE_", "PYTHON"))}


def ask_info(path: Path, expected: str, base: Path | None = None, pythons: Iterable[Path] = ()) -> float:
    """Run `path -info` and compare; returns the seconds it took.

    `sh` runs it, as the kernel would: a file that another thread's child still holds open cannot be executed
    itself (ETXTBSY), nor one on a file system mounted noexec. A native executable, which no thread of this process has
    written, is run itself and unpacks to `base`. pex's boot finds `pythons` too: those that the build found may be
    out of PATH.

    Raises:
        BuildError: E137 when it does not answer with `expected`.
    """
    started = time.perf_counter()
    command: list[str | Path] = ["/bin/sh", path, "-info"] if base is None else [path, "-info"]
    environment = _environment()
    folders = dict.fromkeys([*filter(None, [environment.get("PATH")]), *(str(one.parent) for one in pythons)])
    if folders:
        environment["PATH"] = os.pathsep.join(folders)
    if base is not None:
        environment["SCIE_BASE"] = str(base)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(
            f"the built file does not answer -info within {TIMEOUT:.0f} s", code="E137", place=Place(path), fix="-v"
        ) from error
    taken = time.perf_counter() - started
    answer = done.stdout.decode(errors="replace")
    if done.returncode != 0 or answer.rstrip("\n") != expected.rstrip("\n"):
        said = (done.stderr.decode(errors="replace") or answer).strip().splitlines()
        raise BuildError(
            f"the built file does not answer -info with INFO: {said[-1] if said else f'exit code {done.returncode}'}",
            code="E137",
            fix="effe-tool doctor",
            notes=tuple(said[-20:]),
        )
    return taken


def measure_start(path: Path) -> float:
    """Start the artefact as a server and return the seconds from exec to its first answer, the best of several.

    Runs the author's code, which nothing else in a build does.

    Raises:
        BuildError: E137 when it does not answer.
    """
    return min(_start(path) for _ in range(STARTS))


def start_once(path: Path, variables: Mapping[str, str], errors: IO[bytes]) -> float:
    """Start the artefact with further variables, its standard error to a file; return the seconds to its first answer.

    Raises:
        BuildError: E137 when it does not answer.
    """
    return _start(path, {**_environment(), **variables}, errors)


def _start(
    path: Path, environment: Mapping[str, str] | None = None, stderr: IO[bytes] | int = subprocess.PIPE
) -> float:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["/bin/sh", str(path.resolve()), "-host", "127.0.0.1", "-port", str(port)]
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=environment or _environment(),
    )
    try:
        while time.perf_counter() - started < TIMEOUT and process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: effe\r\nConnection: close\r\n\r\n")
                    if client.recv(4096).startswith(b"HTTP/1."):
                        return time.perf_counter() - started
            except ConnectionRefusedError:
                time.sleep(0.0005)
            except OSError:
                break
    finally:
        process.kill()
        _, errors = process.communicate()
    said = (errors or b"").decode(errors="replace").strip().splitlines()
    raise BuildError(
        f"the built file does not start: {said[-1] if said else 'no answer'}", code="E137", fix=f"{path} -port 8080",
        notes=tuple(said[-20:]),
    )  # fmt: skip
