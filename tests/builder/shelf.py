"""A package index of our own: wheels and source distributions made on the spot, served over HTTP as PEP 503 says."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from effetool.builder.requirements.requirement import normalise
from effetool.effe.project import Project, find_one


@dataclass
class Wishes:
    """The options of a build that concern its dependencies."""

    python: str | None = None
    platforms: tuple[str, ...] = ()
    lock: bool = False
    locked: bool = False
    offline: bool = False
    answer: Path | None = None


def metadata(name: str, version: str, requires: Sequence[str] = (), headers: Mapping[str, str] | None = None) -> str:
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
    lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
    return "\n".join([*lines, *(f"Requires-Dist: {text}" for text in requires)]) + "\n"


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    headers: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel; without `files` it is one module of its own name that tells its version."""
    module = normalise(name).replace("-", "_")
    inside = dict(files or {f"{module}.py": f"version = {version!r}\n"})
    info = f"{module}-{version}.dist-info"
    inside[f"{info}/METADATA"] = metadata(name, version, requires, headers)
    inside[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {str(tag.endswith('none-any')).lower()}\nTag: {tag}\n"
    )
    record = "".join(f"{path},sha256={_urlsafe(text)},{len(text.encode())}\n" for path, text in inside.items())
    inside[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in inside.items():
            archive.writestr(zipfile.ZipInfo(inner), text)
    return path


# A build backend inside the source distribution: nothing has to be installed to build it (PEP 517).
_BACKEND = """
import os, zipfile
NAME, VERSION, MODULE = {name!r}, {version!r}, {module!r}
INFO = MODULE + "-" + VERSION + ".dist-info"
FILES = {{
    MODULE + ".py": "version = " + repr(VERSION) + "\\n",
    INFO + "/METADATA": {metadata!r},
    INFO + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}}
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.mkdir(os.path.join(folder, INFO))
    for name in ("METADATA", "WHEEL"):
        with open(os.path.join(folder, INFO, name), "w") as file:
            file.write(FILES[INFO + "/" + name])
    return INFO
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = MODULE + "-" + VERSION + "-py3-none-any.whl"
    record = "".join(path + ",,\\n" for path in FILES) + INFO + "/RECORD,,\\n"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in [*FILES.items(), (INFO + "/RECORD", record)]:
            archive.writestr(path, text)
    return name
"""


def make_sdist(folder: Path, name: str, version: str = "1.0") -> Path:
    """Write a source distribution that builds itself."""
    module = normalise(name).replace("-", "_")
    said = metadata(name, version)
    inside = {
        "PKG-INFO": said,
        "backend.py": _BACKEND.format(name=name, version=version, module=module, metadata=said),
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for inner, text in inside.items():
            member = tarfile.TarInfo(f"{module}-{version}/{inner}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def _urlsafe(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Shelf:
    """A running index.

    Attributes:
        url: its address, without credentials.
        asked: the paths that were asked for.
        spoil: names of files to be served with a byte changed.
    """

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    spoil: set[str] = field(default_factory=set)


@contextmanager
def serve_shelf(folder: Path, user: str = "", password: str = "") -> Iterator[Shelf]:
    """Serve the wheels and source distributions of a folder, for whoever knows the password."""
    shelf = Shelf(folder)
    token = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shelf.asked.append(self.path)
            if user and self.headers.get("Authorization") != token:
                self.answer(401, b"no", {"WWW-Authenticate": 'Basic realm="shelf"'})
                return
            parts = unquote(self.path.split("?")[0]).strip("/").split("/")
            if parts[0] == "files" and (path := folder / parts[1]).is_file():
                data = path.read_bytes()
                self.answer(200, data[:-1] + bytes([data[-1] ^ 1]) if path.name in shelf.spoil else data)
                return
            files = [path for path in sorted(folder.glob("*.*")) if _owner(path.name) == parts[-1]]
            if parts[0] != "simple" or not files:
                self.answer(404, b"nothing")
                return
            links = "".join(
                f'<a href="/files/{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>\n'
                for path in files
            )
            self.answer(
                200, f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), {"Content-Type": "text/html"}
            )

        def do_HEAD(self) -> None:
            self.do_GET()

        def answer(self, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    shelf.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield shelf
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _owner(filename: str) -> str:
    stem = filename.removesuffix(".tar.gz")
    return normalise(stem.split("-")[0])


LOGIC = 'INFO = {"name": "hello", "version": "1.0"}\n\n\ndef run(context, error, response, request):\n    pass\n'


def make_effe(folder: Path, *dependencies: str, python: str | None = ">=3.9", imports: str = "") -> Project:
    """Write an effe with a script block into a folder."""
    lines = ["# /// script"]
    if python:
        lines.append(f'# requires-python = "{python}"')
    lines += ["# dependencies = [", *(f'#   "{text}",' for text in dependencies), "# ]", "# ///"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "logic.py").write_text("\n".join(lines) + f"\n{imports}\n{LOGIC}")
    return find_one(folder)


def make_plain(folder: Path, **files: str) -> Project:
    """Write an effe without a script block, and files beside it (`requirements_txt` is requirements.txt)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "logic.py").write_text(LOGIC)
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text)
    return find_one(folder)
