"""`effe-tool invoke`."""

from __future__ import annotations

import json as _json
import re
import shlex
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from .console import Console, plain, size_text
from .options import EnvFile, command

if TYPE_CHECKING:
    from ..develop.httpfile import Saved
    from ..develop.invoke import Answered, Target


@command
def invoke(
    console: Console,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH|PEX] [METHOD] [URLPATH]",
            help="The effe, the method, the path; or events/NAME.http, a saved request.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="The body: text, @FILE, or - for stdin.", show_default=False)
    ] = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="`Name: value`.")] = None,
    include: Annotated[bool, typer.Option("--include", "-i", help="Print status and headers too.")] = False,
    url: Annotated[
        str | None, typer.Option("--url", help="Ask this server instead of starting the effe.", show_default=False)
    ] = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit 1 when the status is 400 or more.")] = False,
    env_file: EnvFile = None,
) -> None:
    """Send one request to an effe and print the answer. Nothing stays running."""
    path, method, target, saved = _words(words or [])
    if saved is None:
        saved = [_request(method, target, data, header or [])]
    elif data is not None or header:
        raise UsageError("-d and -H do not go with a .http file", code="E001", fix="write them into the file")
    worst = 0
    reached: Target | None = None
    try:
        with _target(path, url, env_file, console, len(saved)) as reached:
            for one in saved:
                answer = reached.send(one)
                worst = max(worst, answer.status)
                _print(console, answer, include)
    finally:  # where an answer was cut, they say why
        for error in reached.faults if reached is not None and not console.json else ():
            console.error(error)
    if fail and worst >= 400:
        raise typer.Exit(1)


def _words(words: list[str]) -> tuple[Path | None, str | None, str, list[Saved] | None]:
    """Tell path, method and URL path apart; a file ending in .http holds all but the path."""
    rest = list(words)
    path: Path | None = None
    if rest and not _is_method(rest[0]) and not _is_event(rest[0]) and _is_path(rest[0]):
        path = Path(rest.pop(0))
    if rest and _is_event(rest[0]):
        from ..develop.httpfile import read_http_file

        name, _, wanted = rest.pop(0).partition("#")
        saved = read_http_file(Path(name))
        if wanted:
            chosen = [one for one in saved if one.name == wanted]
            if not chosen:
                names = ", ".join(one.name for one in saved if one.name) or "none has a name"
                raise UsageError(f"no request {wanted!r} in {name}", code="E153", fix=f"there are: {names}")
            saved = chosen
        if path is None:
            around = Path(name).resolve().parent
            path = next((d for d in (around, around.parent) if (d / "logic.py").is_file()), None)
        if rest:
            raise UsageError(f"{rest[0]!r} is too much behind a .http file", code="E001", fix="one file at a time")
        return path, None, "/", saved
    if len(rest) == 2 and re.fullmatch("[A-Za-z-]+", rest[0]) and not _is_method(rest[0]):
        meant = [*([str(path)] if path is not None else []), rest[0].upper(), rest[1]]
        raise UsageError(
            f"a method is written in capitals (RFC 9110, 9.1): {rest[0]}",
            code="E001",
            fix=shlex.join(["effe-tool", "invoke", *meant]),
        )
    method = rest.pop(0) if rest and _is_method(rest[0]) else None
    target = rest.pop(0) if rest else "/"
    if rest or not target.startswith("/"):
        raise UsageError(
            f"{(rest or [target])[0]!r} is not a path of a URL", code="E001", fix="effe-tool invoke hello POST /path"
        )
    return path, method, target, None


def _is_method(word: str) -> bool:
    return re.fullmatch(r"[A-Z][A-Z-]+", word) is not None and not Path(word).exists()


def _is_path(word: str) -> bool:
    """Tell an effe from a URL's path: both may begin with a slash, but only one is there."""
    return not word.startswith("/") or Path(word).is_file() or Path(word, "logic.py").is_file()


def _is_event(word: str) -> bool:
    return word.partition("#")[0].endswith(".http")


def _request(method: str | None, target: str, data: str | None, header: list[str]) -> Saved:
    from ..develop.httpfile import Saved

    fields = []
    for line in header:
        name, colon, value = line.partition(":")
        if not colon or re.search("[\r\n]", line) or not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name):
            raise UsageError(f"no header field: {line!r}", code="E001", fix="-H 'Name: value'")
        fields.append((name, value.strip()))
    body, kind = _body(data)
    if kind and not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("Content-Type", kind))
    from urllib.parse import quote

    return Saved(
        method or ("GET" if data is None else "POST"), quote(target, safe="%/:?[]@!$&'()*+,;=~"), tuple(fields), body
    )


def _body(data: str | None) -> tuple[bytes, str | None]:
    """Return the body, and what it looks like: JSON where it parses, a file by its name, else text."""
    import mimetypes

    if data is None:
        return b"", None
    if data == "-":
        body, kind = sys.stdin.buffer.read(), None
    elif data.startswith("@"):
        try:
            body = Path(data[1:]).read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {data[1:]}: {error.strerror}", code="E001", fix="check the path") from None
        kind = mimetypes.guess_type(data[1:])[0]
    else:
        body, kind = data.encode("utf-8", "surrogateescape"), None
    if kind:
        return body, kind
    try:
        if isinstance(_json.loads(body), dict | list):
            return body, "application/json"
    except (ValueError, RecursionError):
        pass
    try:
        body.decode()
    except UnicodeDecodeError:
        return body, "application/octet-stream"
    return body, "text/plain; charset=utf-8"


def _target(
    path: Path | None, url: str | None, env_file: Path | None, console: Console, requests: int
) -> AbstractContextManager[Target]:
    from ..develop import invoke as operation

    if url is not None:
        return operation.remote(url)
    if path is not None and path.is_file() and path.suffix != ".py":
        return operation.built(path)
    from ..builder.environment import environment_of
    from ..effe.project import find_one

    project = find_one(path)
    _ = project.contract
    python = environment_of(project, console.write).python
    return operation.source(project, python, operation.environ_of(env_file), requests)


def _print(console: Console, answer: Answered, include: bool) -> None:
    if console.json:
        body = b"".join(answer.pieces)
        document: dict[str, Any] = {"status": answer.status, "reason": answer.reason, "headers": answer.headers}
        try:
            document["body"] = body.decode()
        except UnicodeDecodeError:
            import base64

            document["base64"] = base64.b64encode(body).decode()
        console.document({**document, "seconds": answer.times})
        return
    out = sys.stdout.buffer
    if include:
        head = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.headers)]
        out.write(("\n".join(head) + "\n\n").encode("latin-1", "replace"))
    size, last = 0, b"\n"
    for piece in answer.pieces:
        out.write(piece)
        out.flush()
        size, last = size + len(piece), piece[-1:]
    out.flush()
    if last != b"\n" and out.isatty():
        console.write()
    times = "  ".join(f"{phase} {seconds * 1000:.1f} ms" for phase, seconds in answer.times.items())
    style = "green" if answer.status < 400 else "yellow" if answer.status < 500 else "red"
    status = console.styled(f"{answer.status} {plain(answer.reason)}", style)
    console.write(f"{status}  {size_text(size)}  {console.styled(times, 'dim')}")
