"""A submitted HTML form: its fields by name, and its files."""

from __future__ import annotations

from ..errors import HTTPError
from .multipart import parameters, read_multipart
from .query import Query, parse
from .upload import Upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


class Files(dict[str, Upload]):
    """First files by name; `get_all` returns every file of a name, in order."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[str, Upload]]) -> None:
        super().__init__(reversed(pairs))
        self._pairs = pairs

    def get_all(self, name: str) -> list[Upload]:
        """Return every file of the name."""
        return [file for key, file in self._pairs if key == name]


class Form(Query):
    """The fields, as a `Query`: always str, so that a file where a word was expected is a missing field. `files`."""

    __slots__ = ("files",)

    def __init__(self, pairs: list[tuple[str, str]], files: list[tuple[str, Upload]]) -> None:
        super().__init__(pairs)
        self.files = Files(files)


def read_form(kinds: list[str], body: BinaryIO) -> Form:
    """Read a form of the type that its Content-Type names.

    Raises HTTPError: 415 for another type, 400 and 413 as the readers do.
    """
    try:
        media, values = parameters(kinds[0]) if kinds else ("", {})
    except ValueError:
        media, values = "", {"malformed": ""}
    if len(kinds) > 1 or "malformed" in values:
        raise HTTPError(400, "malformed Content-Type")
    if media == "multipart/form-data":
        return Form(*read_multipart(body, values.get("boundary", "")))
    if media in ("", "application/x-www-form-urlencoded"):
        return Form(parse(body.read())._pairs, [])
    raise HTTPError(415, "a form is multipart/form-data or application/x-www-form-urlencoded")
