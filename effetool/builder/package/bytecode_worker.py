"""Compile modules to marshalled code whose bytes depend on the source and the Python version alone.

Runs in two places: inside the tool, and as a program of each Python that an artefact is compiled for
(`python3.N -I -S bytecode_worker.py`), so it keeps to the standard library and to Python 3.9.

`marshal` flags an object as "may be referred to" when its reference count is above one at that moment, so equal
code gives unequal bytes from one process to the next. `normalise` drops every flag that nothing refers to and
counts the others anew.
"""

from __future__ import annotations

import marshal
import sys

__all__ = ["compile_all", "normalise"]

REF = 0x80
CONTAINERS = {"(": 4, "[": 4, "<": 4, ">": 4, ")": 1}
SIZED = {"s": 4, "u": 4, "t": 4, "a": 4, "A": 4, "z": 1, "Z": 1}
FIXED = {"N": 0, "T": 0, "F": 0, ".": 0, "S": 0, "0": 0, "i": 4, "I": 8, "g": 8, "y": 16}


def _code_layout(version: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return how many longs and objects a code object is: longs, objects, longs, objects (Python/marshal.c)."""
    if version >= (3, 11):
        return 5, 8, 1, 2  # …, firstlineno, linetable, exceptiontable
    return 6, 8, 1, 1  # …, firstlineno, lnotab


class _Reader:
    def __init__(self, data: bytes, version: tuple[int, int]) -> None:
        self.data = data
        self.at = 0
        self.layout = _code_layout(version)
        self.flags: list[int] = []  # position of each flagged type byte, in order
        self.uses: list[tuple[int, int]] = []  # position of each reference, what it refers to

    def take(self, size: int) -> int:
        value = int.from_bytes(self.data[self.at : self.at + size], "little")
        self.at += size
        return value

    def value(self) -> None:
        byte = self.data[self.at]
        if byte & REF:
            self.flags.append(self.at)
        self.at += 1
        kind = chr(byte & ~REF)
        if kind in FIXED:
            self.at += FIXED[kind]
        elif kind in SIZED:
            size = self.take(SIZED[kind])
            self.at += size
        elif kind == "r":
            self.uses.append((self.at, self.take(4)))
        elif kind in CONTAINERS:
            for _ in range(self.take(CONTAINERS[kind])):
                self.value()
        elif kind == ":":  # a slice of constants, since Python 3.14
            for _ in range(3):
                self.value()
        elif kind == "l":
            digits = self.take(4)
            self.at += 2 * abs(digits - (1 << 32) if digits >> 31 else digits)
        elif kind == "c":
            longs, objects, more, last = self.layout
            self.at += 4 * longs
            for _ in range(objects):
                self.value()
            self.at += 4 * more
            for _ in range(last):
                self.value()
        else:
            raise ValueError("marshal type " + repr(kind))


def normalise(data: bytes, version: tuple[int, int]) -> bytes:
    """Return the marshalled object in `data`, written by Python `version`, free of the accidents of its process.

    Raises:
        ValueError: for a type that code objects do not have, or data left over.
    """
    reader = _Reader(data, version)
    reader.value()
    if reader.at != len(data):
        raise ValueError("data after the object")
    used = sorted({index for _, index in reader.uses})
    number = {index: position for position, index in enumerate(used)}
    result = bytearray(data)
    for index, position in enumerate(reader.flags):
        if index not in number:
            result[position] &= ~REF
    for position, index in reader.uses:
        result[position : position + 4] = number[index].to_bytes(4, "little")
    return bytes(result)


def compile_all(sources: list[tuple[str, bytes]]) -> list[bytes]:
    """Return the normalised marshalled code of each (file name, source), empty where it does not compile."""
    import warnings

    version = sys.version_info[0], sys.version_info[1]
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, source in sources:
            try:
                code = compile(source, name, "exec", dont_inherit=True, optimize=0)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                results.append(b"")  # newer syntax behind a version check: imported from source, or not at all
                continue
            results.append(normalise(marshal.dumps(code), version))
    return results


def _main() -> None:
    """Answer what stands on stdin: a marshalled list of (file name, source)."""
    from _frozen_importlib_external import MAGIC_NUMBER  # importlib.util has it too, and takes longer to import

    sys.setrecursionlimit(20000)
    sources = marshal.loads(sys.stdin.buffer.read())
    answer = (sys.implementation.name, sys.version_info[:3], MAGIC_NUMBER, compile_all(sources))
    sys.stdout.buffer.write(marshal.dumps(answer, 2))


if __name__ == "__main__":
    _main()
