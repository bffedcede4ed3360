"""A stand-in for `science` and for what it joins, for machines that reach no release of them; run as that program.

It reads the lift manifest that pex writes and is as strict as science's documentation is: a table or key that it does
not name, a file without `--file`, a placeholder that stands for nothing, a digest that does not fit end with 1. Then
it joins launcher, CPython, .pex and manifest into one executable, which unpacks itself below SCIE_BASE and runs the
command of the manifest as the launcher's documentation says. The launcher is a shell script and the CPython the one
that runs the tests; what pex and effe-tool do around them is the real thing.

Sources: https://science.scie.app/manifest.html, https://github.com/a-scie/jump/blob/main/docs/packaging.md
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

VERSION = "0.21.0"
TRIPLES = {
    "linux-x86_64": "x86_64-unknown-linux-gnu",
    "linux-aarch64": "aarch64-unknown-linux-gnu",
    "macos-aarch64": "aarch64-apple-darwin",
}
TABLES = {
    "lift": "name description base load_dotenv windowed platforms scie_jump ptex interpreters files commands bindings",
    "scie_jump": "version base_url",
    "ptex": "id version argv1 base_url",
    "interpreters": "id provider version release flavor libc lazy base_url",
    "files": "name key is_executable",
    "commands": "name env exe args",
    "bindings": "name env exe args",
    "env": "default replace remove_exact remove_re",
}
# The launcher: FETCH is there when the interpreter is not, its address and its digest.
JUMP = r"""#!/bin/sh
set -e
base=${SCIE_BASE:-${XDG_CACHE_HOME:-$HOME/.cache}/nce}/$(sha256sum <"$0" | cut -c 1-64)
if ! [ -d "$base" ]; then
  new=$base.$$
  mkdir -p "$new"
  line=$(grep -an -m 1 '^__FILES__$' "$0" | cut -d : -f 1)
  tail -n +$((line + 1)) "$0" | tar -xf - -C "$new" 2>/dev/null
  if [ -f "$new/FETCH" ]; then
    read -r url digest <"$new/FETCH"
    "$new/ptex" "$url" >"$new/python.tar.gz"
    echo "$digest  $new/python.tar.gz" | sha256sum -c >/dev/null
  fi
  tar -xzf "$new/python.tar.gz" -C "$new"
  mv "$new" "$base"
fi
exec "$(echo "$base"/python/bin/python3.*)" -IS "$base/jump.py" "$base" "$(realpath "$0")" "$@"
__FILES__
"""
PTEX = '#!/bin/sh\nexec curl -fsS "$1"\n'
# What the launcher does once the files are there; it runs on the Python that was unpacked.
LAUNCH = r"""
import json, os, re, subprocess, sys
base, scie, *rest = sys.argv[1:]
lift = json.load(open(base + "/lift.json"))["scie"]["lift"]
python = sys.executable
names = {file.get("key", file["name"]): base + "/" + file["name"] for file in lift["files"]}
bound = {}
def expand(text):
    text = text.replace("#{python-distribution:python}", python).replace("{scie}", scie)
    text = re.sub(r"\{scie\.bindings\.(\w+):(\w+)\}", lambda m: binding(m[1])[m[2]], text)
    return re.sub(r"\{([^{}]+)\}", lambda m: names[m[1]], text)
def environment(table):
    env = {**os.environ, "SCIE": scie}
    exact, patterns = table.get("remove_exact", []), table.get("remove_re", [])
    for name in [n for n in env if n in exact or any(re.fullmatch(p, n) for p in patterns)]:
        del env[name]
    env = {**{k: expand(v) for k, v in table.get("default", {}).items()}, **env}
    return {**env, **{k: expand(v) for k, v in table.get("replace", {}).items()}}
def binding(name):
    if name not in bound:
        one = next(b for b in lift["bindings"] if b["name"] == name)
        told = base + "/" + name + ".json"
        env = {**environment(one.get("env", {})), "SCIE_BINDING_JSON": told}
        subprocess.run([expand(one["exe"]), *map(expand, one["args"])], env=env, check=True)
        bound[name] = {one["key"]: one["value"] for one in json.load(open(told))}
    return bound[name]
(command,) = lift["commands"]
program = expand(command["exe"])
os.execve(program, [program, *map(expand, command["args"]), *rest], environment(command.get("env", {})))
"""


class Refused(Exception):
    """What science would not lift."""


def fill_mirror(folder: Path, minors: tuple[int, ...], platforms: tuple[str, ...]) -> Path:
    """Make what `science download` makes, and `science` in it; the same CPython stands for every platform and minor."""
    (pex,) = find_spec("pex").submodule_search_locations
    versions = dict(re.findall(r'^(\w+_VERSION) = "(.+)"$', Path(pex, "scie/science.py").read_text(), re.MULTILINE))
    for platform in platforms:
        _put(folder / f"jump/download/v{versions['SCIE_JUMP_VERSION']}/scie-jump-{platform}", JUMP.encode())
        _put(folder / f"ptex/download/v{versions['PTEX_VERSION']}/ptex-{platform}", PTEX.encode())
    provided = folder / "providers/PythonBuildStandalone"
    archive = _put(provided / "download/20261101/cpython-install_only.tar.gz", _interpreter())
    digest = {"size": archive.stat().st_size, "fingerprint": hashlib.sha256(archive.read_bytes()).hexdigest()}
    for minor in minors:
        assets = [
            {
                "name": archive.name,
                "rel_path": str(archive.relative_to(provided)),
                "digest": digest,
                "version": f"3.{minor}.9",
                "target_triple": TRIPLES[platform],
                "file_type": "tar.gz",
            }
            for platform in platforms
        ]
        told = json.dumps({"base_url": "", "release": "20261101", "assets": assets}).encode()
        _put(provided / f"latest/download/distributions-3.{minor}-install_only.json", told)
    program = _put(folder / "science", f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__)}" "$@"\n'.encode())
    program.chmod(0o755)
    return folder


def _put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.with_name(f"{path.name}.sha256").write_text(f"{hashlib.sha256(data).hexdigest()} *{path.name}\n")
    return path


def _interpreter() -> bytes:
    """Pack the CPython that runs this as an `install_only` archive is laid out, without what an effe never imports."""
    base = Path(sys.base_prefix)
    version = f"python3.{sys.version_info[1]}"
    left = {"test", "site-packages", "dist-packages", "__pycache__", "idlelib", "ensurepip", "tkinter", "lib2to3"}

    def chosen(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = entry.name.rpartition("/")[2]
        return None if name in left or name.startswith("config-3") else entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1, dereference=True) as archive:
        archive.add(Path(sys.executable).resolve(), f"python/bin/{version}")
        archive.add(base / "lib" / version, f"python/lib/{version}", filter=chosen)
        for library in base.glob(f"lib/lib{version}*.so.*"):
            archive.add(library, f"python/lib/{library.name}")
    return buffer.getvalue()


def main(arguments: list[str]) -> int:
    """Do as `science --version` or `science --cache-dir DIR lift --file NAME=PATH … build … MANIFEST` does."""
    if arguments == ["--version"]:
        print(VERSION)
        return 0
    try:
        _lift(arguments)
    except (Refused, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _lift(arguments: list[str]) -> None:
    import tomllib

    words = iter(arguments)
    given: dict[str, Path] = {}
    places: dict[str, str] = {}
    naming = False
    for word in words:
        if word == "--file":
            name, _, path = next(words).partition("=")
            given[name] = Path(path)
        elif word in ("--cache-dir", "--dest-dir"):
            places[word] = next(words)
        elif word in ("--use-platform-suffix", "--no-use-platform-suffix"):
            naming = word.startswith("--use")
        elif word not in ("lift", "build"):
            places["manifest"] = word
    manifest = Path(places["manifest"])
    lift = _checked(tomllib.loads(manifest.read_text())["lift"], given)
    platform = manifest.stem.removeprefix(f"{lift['name']}-lift-")
    data = _joined(lift, given, platform)
    made = Path(places["--dest-dir"]) / (f"{lift['name']}-{platform}" if naming else lift["name"])
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(data)
    made.chmod(0o755)


def _checked(lift: dict, given: dict[str, Path]) -> dict:
    for kind, table in _tables("lift", lift):
        if strange := set(table) - set(TABLES[kind].split()):
            raise Refused(f"lift manifest: [{kind}] has no {', '.join(sorted(strange))}")
    files = {file.get("key", file["name"]) for file in lift["files"]}
    if files != set(given):
        raise Refused(f"lift manifest: files {sorted(files)}, --file {sorted(given)}")
    known = {"#{python-distribution:python}", "{scie}", *(f"{{{name}}}" for name in files)}
    known |= {f"{{scie.bindings.{one['name']}:{key}}}" for one in lift["bindings"] for key in ("PYTHON", "PEX")}
    for command in [*lift["commands"], *lift["bindings"]]:
        for text in [command["exe"], *command["args"], *command.get("env", {}).get("replace", {}).values()]:
            for placeholder in re.findall(r"#?\{[^{}]*\}?", text):
                if placeholder not in known:
                    raise Refused(f"lift manifest: {placeholder} stands for nothing")
    return lift


def _tables(kind: str, value: object) -> Iterator[tuple[str, dict]]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and kind in TABLES:
            yield kind, one
            for key, inner in one.items():
                yield from _tables(key, inner)


def _joined(lift: dict, given: dict[str, Path], platform: str) -> bytes:
    (interpreter,) = lift["interpreters"]
    jump, provided = lift["scie_jump"], interpreter["base_url"]
    head = _fetch(f"{jump['base_url']}/download/v{jump['version']}/scie-jump-{platform}")
    listed = f"{provided}/latest/download/distributions-{interpreter['version']}-{interpreter['flavor']}.json"
    assets = json.loads(_fetch(listed, proven=False))["assets"]
    asset = next((one for one in assets if one["target_triple"] == TRIPLES[platform]), None)
    if asset is None:
        raise Refused(f"no CPython {interpreter['version']} for {platform} in {listed}")
    archive = f"{provided}/{asset['rel_path']}"
    files = {file["name"]: given[file.get("key", file["name"])].read_bytes() for file in lift["files"]}
    files["jump.py"] = LAUNCH.encode()
    if interpreter["lazy"]:
        ptex = lift["ptex"]
        files["ptex"] = _fetch(f"{ptex['base_url']}/download/v{ptex['version']}/ptex-{platform}")
        files["FETCH"] = f"{archive} {asset['digest']['fingerprint']}\n".encode()
    else:
        files["python.tar.gz"] = _fetch(archive)
    manifest = json.dumps({"scie": {"lift": lift}}).encode()
    files["lift.json"] = manifest
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return head + buffer.getvalue() + manifest


def _fetch(url: str, *, proven: bool = True) -> bytes:
    try:
        with urllib.request.urlopen(url) as answer:
            data = answer.read()
    except OSError as error:
        raise Refused(f"cannot fetch {url}: {error}") from error
    if proven and _fetch(f"{url}.sha256", proven=False).split()[0].decode() != hashlib.sha256(data).hexdigest():
        raise Refused(f"{url} does not have the digest that {url}.sha256 says")
    return data


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
