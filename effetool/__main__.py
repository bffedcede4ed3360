"""`python -m effetool`, and the script `effe-tool`."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command line and return its exit code."""
    if sys.implementation.name != "cpython":
        print(f"error: effe-tool runs on CPython, and {sys.executable} is {sys.implementation.name}", file=sys.stderr)
        print("  fix: install it for CPython 3.11 or newer", file=sys.stderr)
        return 1
    gc.set_threshold(50_000)  # imports make many objects, and nothing to collect
    try:
        return _main()
    except KeyboardInterrupt:  # typed while modules are still imported
        return 130
    finally:
        gc.freeze()  # the process ends: looking through all objects once more would take 8 ms


def _main() -> int:
    if sys.argv[1:] in (["--version"], ["-V"]):  # the quickest question is answered before anything is imported
        from . import __version__

        try:
            print(f"effe-tool {__version__}", flush=True)
        except OSError as error:
            from .cli import unwritten

            return unwritten(error)
        return 0
    from .cli import main as cli_main

    return cli_main()


if __name__ == "__main__":
    sys.exit(main())
