"""Compile modules to .pyc files that name no time: run by the Python they are for, `python3.N -S compile_worker.py`.

A process of its own, so that it can be another Python, and because `marshal` marks what is referred to twice in the
whole process: equal sources give equal bytes only where nothing else runs. Standard library, Python 3.9.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Answer on stdout what stands on stdin: a marshalled list of (file name, source)."""
    sys.path.pop(0)  # this directory
    import marshal
    import warnings
    from importlib.util import MAGIC_NUMBER, source_hash

    warnings.simplefilter("ignore")
    sys.setrecursionlimit(20000)
    results = []
    for name, source in marshal.loads(sys.stdin.buffer.read()):  # noqa: S302
        try:
            code = compile(source, name, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            results.append(b"")  # syntax of another Python, behind a version check: never imported here
            continue
        # PEP 552: flags 0b01 = the hash of the source is there, and is not checked.
        results.append(MAGIC_NUMBER + b"\x01\0\0\0" + source_hash(source) + marshal.dumps(code))
    sys.stdout.buffer.write(marshal.dumps((sys.implementation.cache_tag, results), 2))


if __name__ == "__main__":
    main()
