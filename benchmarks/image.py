"""Images: their size, what a changed line costs, the start to the first answer, the build.

    python benchmarks/image.py                      the table on stdout; some five minutes
    python benchmarks/image.py --write              into docs/explanation/images.md too
    python benchmarks/image.py --rounds 5 effe      the images whose names contain `effe`

The same hello, once by `effe-tool image` and otherwise as it is usually done: copied into an image of the kind of
python:slim (Debian's minimal system, Python from its packages) and into one of the kind of distroless (the packages of
its python3 image, unpacked), both made here. Needs podman, docker-registry, mmdebstrap and Debian's archive, and root.

The start runs from `podman run` to the first answer. Beside it stands the same container with a Python that does
nothing: from `podman run` to its first word, and to its end. Each round measures every image once, in random order;
the figures are medians.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.docs.shell import free_port  # noqa: E402
from tests.image.container import podman_environment  # noqa: E402
from tests.image.registries import serve_registry  # noqa: E402

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "effe-tool" / "benchmarks" / "image"
PAGE = ROOT / "docs/explanation/images.md"
BEGIN, END = "<!-- benchmarks/image.py -->", "<!-- end of the table -->"
# python3/BUILD and base/BUILD of GoogleContainerTools/distroless for debian12, which debug images add a shell to.
DISTROLESS = [
    "base-files", "ca-certificates", "dash", "libbz2-1.0", "libc-bin", "libc6", "libcom-err2", "libcrypt1",
    "libdb5.3", "libexpat1", "libffi8", "libgcc-s1", "libgomp1", "libgssapi-krb5-2", "libk5crypto3", "libkeyutils1",
    "libkrb5-3", "libkrb5support0", "liblzma5", "libncursesw6", "libnsl2", "libpython3.11-minimal",
    "libpython3.11-stdlib", "libreadline8", "libsqlite3-0", "libssl3", "libstdc++6", "libtinfo6", "libtirpc3",
    "libuuid1", "media-types", "netbase", "python3.11-minimal", "tzdata", "zlib1g",
]  # fmt: skip
FLASK = """\
from flask import Flask
app = Flask(__name__)
@app.get("/")
def hello():
    return "Hello"
"""


@dataclass
class Kind:
    """An image that is measured.

    Attributes:
        python: its interpreter.
        sent: bytes of its layers as a registry keeps them; `changed` of those that a changed line changes.
        build: seconds of the command that makes it when its base is there.
    """

    name: str
    tag: str
    python: str = "/usr/bin/python3"
    sent: int = 0
    changed: int = 0
    unpacked: int = 0
    build: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    floors: list[tuple[float, float]] = field(default_factory=list)


class Bench:
    """A directory with podman's storage, the bases and the effe."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = podman_environment(root)
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.bases: dict[str, tuple[str, int]] = {}

    def run(self, *words: str | Path, cwd: Path | None = None) -> str:
        done = subprocess.run(words, cwd=cwd or self.root, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, words))}: {done.stderr}")
        return done.stdout

    def tool(self, *words: str | Path, cwd: Path | None = None) -> str:
        return self.run(sys.executable, "-m", "effetool", *words, cwd=cwd)

    def timed(self, times: int, *words: str | Path, cwd: Path | None = None) -> list[float]:
        return [took(lambda: self.run(*words, cwd=cwd)) for _ in range(times)]

    def unpacked(self, tag: str) -> int:
        return int(self.run("podman", "image", "inspect", "--format", "{{.Size}}", tag))


def took(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def zipped(path: Path) -> int:
    """Return what a file takes as a gzipped layer."""
    with tempfile.TemporaryFile() as file:
        with path.open("rb") as source, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        return file.tell()


def base(bench: Bench, name: str) -> tuple[str, int]:
    """Make a base of that kind, kept between runs as a tar; return its tag and its size as it is sent."""
    tar = CACHE / f"{name}.tar"
    if not tar.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        print(f"making a base of the kind of {name}", file=sys.stderr)
        (slim if name == "slim" else distroless)(bench, tar)
    if name not in bench.bases:
        bench.run("podman", "import", "--quiet", tar, f"localhost/{name}:1")
        bench.bases[name] = f"localhost/{name}:1", zipped(tar)
    return bench.bases[name]


def slim(bench: Bench, tar: Path) -> None:
    """Debian's minimal system without documentation, as debian:slim is, with Python and certificates."""
    without = ("man", "doc", "locale", "info", "lintian", "doc-base", "groff", "linda")
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in without]
    bench.run("mmdebstrap", "--variant=minbase", "--include=python3,ca-certificates", *options, "bookworm", tar)


def distroless(bench: Bench, tar: Path) -> None:
    """Distroless's packages, unpacked."""
    with tempfile.TemporaryDirectory(dir=bench.root) as name:
        folder = Path(name)
        bench.run("apt-get", "-q", "download", *DISTROLESS, cwd=folder)
        for package in folder.glob("*.deb"):
            bench.run("dpkg-deb", "-x", package, folder / "root")
        root = folder / "root"
        for top in ("bin", "sbin", "lib", "lib64"):  # /usr is merged in Debian 12
            if (root / top).is_dir():
                bench.run("cp", "-a", f"{root / top}/.", root / "usr" / top)
                shutil.rmtree(root / top)
            (root / top).symlink_to(f"usr/{top}")
        (root / "usr/bin/python3").symlink_to("python3.11")
        bench.run("tar", "-C", root, "-cf", tar, ".")


def peer(bench: Bench, name: str, base_of: tuple[str, int], files: Path, command: Sequence[str]) -> Kind:
    """Copy files onto a base with a Containerfile."""
    tag, size = base_of
    kind = Kind(name, f"localhost/bench-{name.split(',')[0].replace(' ', '-')}-{files.name}:1")
    text = f"FROM {tag}\nCOPY . /app\nWORKDIR /app\nUSER 65532\nENTRYPOINT {json.dumps(list(command))}\n"
    (bench.root / f"{files.name}.Containerfile").write_text(text)
    words = ("podman", "build", "-q", "-f", bench.root / f"{files.name}.Containerfile", "-t", kind.tag, files)
    bench.run(*words)

    def again() -> None:
        (files / "touched").write_text(str(random.random()))
        bench.run(*words)

    kind.build = [took(again) for _ in range(5)]
    tar = bench.root / "layer.tar"
    bench.run("tar", "-C", files, "-cf", tar, ".")
    kind.changed = zipped(tar)
    kind.sent, kind.unpacked = size + kind.changed, bench.unpacked(kind.tag)
    return kind


def ours(bench: Bench) -> Kind:
    """`effe-tool image`, pushed once, and once more after a line changed."""
    kind = Kind("effe-tool image", "hello:1.0")
    bench.tool("image", "hello-1.0.pex", "--load", "-q")
    words = (sys.executable, "-m", "effetool", "image", "hello-1.0.pex", "-q")
    kind.build = bench.timed(15, *words)
    with serve_registry(bench.root / "registry") as address:
        first = json.loads(bench.tool("image", "hello-1.0.pex", "--push", f"{address}/", "--json"))
        logic = bench.root / "hello/logic.py"
        logic.write_text(logic.read_text().replace("Hello from Effe", "Good day"))
        bench.tool("build", "hello", "--out", "changed.pex", "-q")
        second = json.loads(bench.tool("image", "changed.pex", "--push", f"{address}/", "--json"))
    kind.sent, kind.changed, kind.unpacked = first["size"], second["sent"], bench.unpacked(kind.tag)
    return kind


def start(bench: Bench, kind: Kind) -> float:
    """Return the seconds from `podman run` to the first answer."""
    port = free_port()
    options = ["--network", "host", "--name", f"bench-{port}", "-e", f"EFFE_PORT={port}", "-e", f"PORT={port}"]
    began = time.perf_counter()
    process = subprocess.Popen(["podman", "run", *options, kind.tag], env=bench.environment, **SILENT)
    try:
        while time.perf_counter() - began < 60:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                answer.read()
                return time.perf_counter() - began
            time.sleep(0.004)
        raise SystemExit(f"{kind.name} does not answer")
    finally:
        subprocess.run(["podman", "rm", "-f", "-t", "0", f"bench-{port}"], env=bench.environment, **SILENT)
        process.wait()


def floor(bench: Bench, kind: Kind) -> tuple[float, float]:
    """Return the seconds until a Python that does nothing else says a word in the same container, and to its end."""
    name = f"bench-floor-{random.randrange(10**9)}"
    words = ["podman", "run", "--network", "host", "--name", name, "--entrypoint", kind.python, kind.tag]
    began = time.perf_counter()
    with subprocess.Popen([*words, "-c", "print(flush=True)"], env=bench.environment, **PIPED) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        word = time.perf_counter() - began
        process.wait()
        end = time.perf_counter() - began
    subprocess.run(["podman", "rm", "-f", name], env=bench.environment, **SILENT)
    return word, end


SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
PIPED = {**SILENT, "stdout": subprocess.PIPE}


def images(bench: Bench, words: Sequence[str]) -> Iterable[Kind]:
    """Make the images whose names contain one of the words, all without a word."""
    bench.tool("new", "hello", "-q")
    bench.tool("build", "hello", "-q")
    makers: dict[str, Callable[[str], Kind]] = {
        "effe-tool image": lambda name: ours(bench),
        "distroless, the .pex": lambda name: peer(bench, name, base(bench, "distroless"), *the_pex(bench)),
        "slim, the .pex": lambda name: peer(bench, name, base(bench, "slim"), *the_pex(bench)),
        "slim, flask and gunicorn": lambda name: peer(bench, name, base(bench, "slim"), *flask(bench)),
    }
    for name, make in makers.items():
        if not words or any(word in name for word in words):
            print(f"making {name}", file=sys.stderr)
            yield make(name)


def the_pex(bench: Bench) -> tuple[Path, list[str]]:
    folder = bench.root / "pex"
    folder.mkdir(exist_ok=True)
    shutil.copy(bench.root / "hello-1.0.pex", folder / "hello.pex")
    return folder, ["./hello.pex"]


def flask(bench: Bench) -> tuple[Path, list[str]]:
    folder = bench.root / "flask"
    bench.run(sys.executable, "-m", "pip", "install", "-q", "--target", folder / "lib", "flask", "gunicorn")
    (folder / "app.py").write_text(FLASK)
    gunicorn = "import sys; sys.path[:0] = ['lib']; from gunicorn.app.wsgiapp import run; run()"
    serve = f'exec python3 -c "{gunicorn}" -b 127.0.0.1:$PORT --worker-tmp-dir /dev/shm app:app'
    return folder, ["/bin/sh", "-c", serve]


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} KB"


def rows(kinds: Sequence[Kind]) -> list[str]:
    heads = (
        "image", "sent", "unpacked", "sent after a changed line", "build", "first answer", "Python's first word",
        "Python's end", "answer ÷ word", "answer ÷ end",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", f"|---{'|--:' * (len(heads) - 1)}|"]
    for kind in kinds:
        answer = statistics.median(kind.answers)
        word, end = (statistics.median(floor[place] for floor in kind.floors) for place in (0, 1))
        sizes = [megabytes(size) for size in (kind.sent, kind.unpacked, kind.changed)]
        times = [f"{seconds * 1e3:.0f} ms" for seconds in (answer, word, end)]
        build = f"{statistics.median(kind.build):.2f} s"
        cells = [kind.name, *sizes, build, *times, f"{answer / word:.2f}", f"{answer / end:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def machine(bench: Bench) -> str:
    with Path("/proc/cpuinfo").open() as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    podman = bench.run("podman", "--version").split()[-1]
    return (
        f"{os.cpu_count()} × {model}, load {os.getloadavg()[0]:.1f}, Linux {platform.release().split('-')[0]}, "
        f"podman {podman}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}."
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only the images whose names contain one of these")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="effe-bench-") as name:
        bench = Bench(Path(name))
        kinds = list(images(bench, options.words))
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            for kind in random.sample(kinds, len(kinds)):
                kind.floors.append(floor(bench, kind))
                kind.answers.append(start(bench, kind))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        bench.timed(10, sys.executable, "-m", "effetool", "image", "hello-1.0.pex", "-q")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 10
        table = [*rows(kinds), "", f"The build takes {spent:.2f} s of CPU. {machine(bench)}"]
    print("\n".join(table))
    if options.write:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        _, _, tail = rest.partition(END)
        PAGE.write_text(f"{head}{BEGIN}\n" + "\n".join(table) + f"\n{END}{tail}")


if __name__ == "__main__":
    main()
