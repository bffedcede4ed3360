"""Compile sources for each Python, every one by its own interpreter, side by side, and only what is not cached.

The code is deflated here and not by those interpreters: each may have a zlib of its own, and other bytes.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import selectors
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import BuildError
from ..store.cache import Cache

__all__ = ["Source", "compile_for"]

Source = tuple[str, bytes]
TIMEOUT = 120.0
# Of zlib. 9 takes twice as long for 0.4 % less.
LEVEL = 6
# Frozen sets are marshalled in the order of their hashes before Python 3.11. `-I` would ignore the variable.
ENVIRONMENT = {"PYTHONHASHSEED": "0"}


def compile_for(
    pythons: Mapping[int, Path], sources: Sequence[Source], cache: Cache
) -> dict[int, tuple[bytes, list[bytes]]]:
    """Return, for each minor, its magic number and the code of each source, marshalled and deflated.

    Code is empty where a source does not compile for that Python. An interpreter that cannot be run, or is not the
    CPython it is named as, is left out: the artefact then runs from source there.

    Raises:
        BuildError: E135 when one hangs.
    """
    program = Path(__file__).with_name("bytecode_worker.py").read_text()
    question = marshal.dumps(list(sources), 2)
    digest = hashlib.sha256(repr(LEVEL).encode() + program.encode() + question).hexdigest()
    answers: dict[int, bytes] = {}
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for minor, path in pythons.items():
            kept = cache.get("code", f"3.{minor}-{digest}")
            if kept is not None:
                answers[minor] = kept
                continue
            try:
                running[minor] = subprocess.Popen(
                    [path, "-s", "-S", "-c", program],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT, cwd="/",
                )  # fmt: skip
            except OSError:
                continue
        for minor, answer in _converse(running, question).items():
            *python, codes = marshal.loads(answer)
            answers[minor] = answer = marshal.dumps(
                (*python, [code and zlib.compress(code, LEVEL) for code in codes]), 2
            )
            cache.put("code", f"3.{minor}-{digest}", answer)
    finally:
        for process in running.values():
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()
            process.wait()
    results = {}
    for minor in sorted(answers):
        name, version, magic, codes = marshal.loads(answers[minor])
        if name == "cpython" and tuple(version[:2]) == (3, minor):
            results[minor] = magic, codes
    return results


def _converse(running: Mapping[int, subprocess.Popen[bytes]], question: bytes) -> dict[int, bytes]:
    """Send every process the question and collect their answers at once."""
    written = dict.fromkeys(running, 0)
    heard: dict[int, list[bytes]] = {minor: [] for minor in running}
    failed = set()
    with selectors.DefaultSelector() as selector:
        for minor, process in running.items():
            for pipe, event in ((process.stdin, selectors.EVENT_WRITE), (process.stdout, selectors.EVENT_READ)):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, event, minor)
        while selector.get_map():
            ready = selector.select(TIMEOUT)
            if not ready:
                raise BuildError(
                    f"compiling for Python 3.{min(running)} hangs", code="E135", fix="try again; -v shows the steps"
                )
            for key, event in ready:
                minor = key.data
                if event == selectors.EVENT_WRITE:
                    try:
                        written[minor] += os.write(key.fd, question[written[minor] : written[minor] + 65536])
                    except BrokenPipeError:
                        written[minor] = len(question)
                    if written[minor] == len(question):
                        selector.unregister(key.fileobj)
                        running[minor].stdin.close()  # type: ignore[union-attr]
                elif data := os.read(key.fd, 1 << 20):
                    heard[minor].append(data)
                else:
                    selector.unregister(key.fileobj)
                    if running[minor].wait() != 0:
                        failed.add(minor)
    return {minor: b"".join(pieces) for minor, pieces in heard.items() if minor not in failed}
