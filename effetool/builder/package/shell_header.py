"""The straight start: a shell header in front of the zip that runs the effe without pex's own boot.

The header finds an interpreter by its exact name and hands it one section of the file: marshalled code for that
Python (see `loader`). Whatever is not the plain case goes to pex's boot, which is in the file untouched: a PEX_*
variable that changes what runs, a pexrc, no interpreter of an exact name, an implementation other than CPython.

EFFE_PYTHON, a path or a name on PATH, is taken instead of all that is found.

`-I -S` keeps the environment and site-packages of the machine out, and saves 4 ms; EFFE_SITE=1 lets them in
(instrumentation by sitecustomize, certificates by .pth). PYTHONUNBUFFERED and PYTHON_GIL, which `-I` ignores, are
passed on. With the
global lock one arena of glibc's malloc is enough; of several, each keeps room that the others lack (mallopt(3)).
"""

from __future__ import annotations

import marshal
import re
import shlex
import zlib
from collections.abc import Mapping, Sequence

__all__ = ["HEADER_SIZE", "header", "program", "section"]

# Room for the header: its length must not depend on the offsets it names.
HEADER_SIZE = 4096
# Every variable by which a user asks pex for something else than to start the effe (pex --help-variables).
# PEX_ROOT, PEX_VERBOSE, PEX_EMIT_WARNINGS, PEX_MAX_INSTALL_JOBS change how pex's boot works, not what it starts.
CONTROL = (
    *("TOOLS", "INTERPRETER", "INTERPRETER_HISTORY", "MODULE", "SCRIPT", "PYTHON", "PYTHON_PATH", "PATH"),
    *("EXTRA_SYS_PATH", "INHERIT_PATH", "IGNORE_RCFILES", "IGNORE_ERRORS", "VENV", "VENV_BIN_PATH", "UNZIP"),
    *("VENV_SITE_PACKAGES_COPIES", "FORCE_LOCAL", "ALWAYS_CACHE", "COVERAGE", "COVERAGE_FILENAME", "PROFILE"),
    *("PROFILE_FILENAME", "PROFILE_SORT", "TEARDOWN_VERBOSE", "DISABLE_VARIABLES"),
)
SHELL = """#!/bin/sh
# {title}, built by effe-tool: a PEX with a straight start. What follows is a zip; -help tells its flags.
IFS=: i=-IS
straight() {{
  set -f
  for d in $PATH /usr/local/bin /usr/bin /bin /opt/homebrew/bin; do
    case $d in */shims) ;; /*)
      for v in $1; do
        [ -x "$d/python3.$v" ] && [ -f "$d/python3.$v" ] && p=$d/python3.$v && return
      done ;;
    esac
  done
  set +f
  for v in $1; do for p in "${{PYENV_ROOT:-${{HOME-}}/.pyenv}}/versions/3.$v."*/bin/python3.$v; do
    [ -x "$p" ] && return
  done; done
  return 1
}}
chosen() {{
  [ "${{EFFE_PYTHON-}}" ] || {{ straight {first} || straight {second}; return; }}
  p=$(command -v "$EFFE_PYTHON") && v=$("$p" -ISc 'import sys;print(sys.version_info[1])') && return
  echo "$0: EFFE_PYTHON=$EFFE_PYTHON is not a Python that starts" >&2
  exit 1
}}
if [ -z "{control}" ] && ! [ -f /etc/pexrc ] && ! [ -f "${{HOME-}}/.pexrc" ] && ! [ -f "${{0%/*}}/.pexrc" ] &&
  chosen
then
  o={source_offset} n={source_size} h={source_size} c={source_sum}
  case $v in
{cases}
  esac
  [ -z "${{EFFE_SITE-}}" ] || i=
  export MALLOC_ARENA_MAX="${{MALLOC_ARENA_MAX-1}}"
  exec "$p" $i ${{PYTHONUNBUFFERED:+-u}} ${{PYTHON_GIL:+-Xgil=$PYTHON_GIL}} \
    -c "import sys,marshal as m,zlib as z,_frozen_importlib_external as e;\
x=lambda w:sys.exit(sys.argv[1]+': this file is '+w+': copy or build it again');\
f=open(sys.argv[1],'rb');f.seek(0,2)<{size} and x('incomplete');\
f.seek($o);d=f.read($n);z.crc32(d[:$h])-$c and x('damaged');f.seek({source_offset});\
c=m.loads(d[8:])if d[:4]==e.MAGIC_NUMBER else f.read({source_size});f.close();\
exec(c,{{'__name__':'effe','data':d}})" "$0" "$@"
fi
chosen && exec "$p" "$0" "$@"
unset IFS
set +f
for p in python3 python; do
  p=$(command -v $p) && exec "$p" "$0" "$@"
done
echo "$0 needs {needs}, and no Python is on PATH ($PATH)" >&2
exit 1
"""
# The same for a launcher that has the interpreter and names itself in a second argument. No braces: those are its own.
PROGRAM = (
    "import sys,marshal as m,_frozen_importlib_external as e;s=sys.argv.pop(2);f=open(sys.argv[1],'rb');"
    "f.seek({offset});d=f.read({size});f.seek({source_offset});"
    "c=m.loads(d[8:])if d[:4]==e.MAGIC_NUMBER else f.read({source_size});f.close();"
    "exec(c,dict(__name__='effe',data=d,launcher=s))"
)


def section(loader: bytes, facts: Mapping[str, object], modules: Sequence[bytes], magic: bytes) -> bytes:
    """Return what the loader of one Python is handed; `loader` tells the layout."""
    told = marshal.dumps(dict(facts), 2)
    return b"".join((magic, len(loader).to_bytes(4, "little"), loader, len(told).to_bytes(4, "little"), told, *modules))


def header(
    title: str,
    needs: str,
    taken: Sequence[int],
    sections: Mapping[int, tuple[int, bytes]],
    source: tuple[int, bytes],
    size: int,
) -> bytes:
    """Return the shell header.

    Args:
        title: the effe in a few words, for whoever opens the file.
        needs: the Python it needs, in words.
        taken: minors of Python 3 it runs on, newest first.
        sections: offset and content of the section of each minor it is compiled for.
        source: offset and content of the loader as source, for the others.
        size: of the whole file: a shorter one is a copy that was cut off.
    """
    first = [minor for minor in taken if minor in sections]
    second = [minor for minor in taken if minor not in sections]
    text = SHELL.format(
        title=_comment(title),
        control="".join(f"${{PEX_{name}+x}}" for name in CONTROL),
        first=":".join(map(str, first)) or "none",
        second=":".join(map(str, sorted(second)[:12])) or "none",
        size=size,
        source_offset=source[0],
        source_size=len(source[1]),
        source_sum=zlib.crc32(source[1]),
        cases="\n".join(_case(minor, *place) for minor, place in sorted(sections.items())),
        needs=_quoted(needs),
    ).encode()
    # A comment fills the rest, so that no byte of the header can be taken for a command.
    gap = HEADER_SIZE - len(text) - 2
    if gap < 0:
        raise ValueError(f"the header has {len(text)} bytes")
    return text + b"#" + b"." * gap + b"\n"


def _case(minor: int, offset: int, section: bytes) -> str:
    """Return where a section is and the checksum of what is before its modules: those have one each."""
    loader = 8 + int.from_bytes(section[4:8], "little")
    head = loader + 4 + int.from_bytes(section[loader : loader + 4], "little")
    return f"  {minor}) o={offset} n={len(section)} h={head} c={zlib.crc32(section[:head])} ;;"


def program(header: bytes, minor: int) -> str:
    """Return what `python3.minor -c` runs to start the .pex that begins with `header`, when a launcher calls it.

    Its arguments are the .pex, the launcher, and those of the effe.
    """
    text = header.decode()
    sections = {int(m[1]): (m[2], m[3]) for m in re.finditer(r"^  (\d+)\) o=(\d+) n=(\d+) ", text, re.MULTILINE)}
    source = re.search(r"^  o=(\d+) n=(\d+) ", text, re.MULTILINE)
    assert source is not None, "it is what `header` writes"
    offset, size = sections.get(minor, source.groups())
    return PROGRAM.format(offset=offset, size=size, source_offset=source[1], source_size=source[2])


def _comment(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._ -]", "_", text)[:80]


def _quoted(text: str) -> str:
    """Keep a specifier from being read by the shell inside double quotes."""
    return shlex.quote(text).strip("'").replace("$", "").replace("`", "").replace('"', "")
