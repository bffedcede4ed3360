"""What can go wrong between a client and an author's function.

Exception
├── HTTPError        an answer with a status; raised by an author, by the parser, by a limit
├── StartError       a context that serves one request and is never pooled
├── LogicError       the author's module cannot be served (exit 1, one line)
└── ConnectionError
    └── Disconnected the client went away while the author wrote or read
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class HTTPError(Exception):
    """Answer the request with this status.

    Raise it anywhere below `run`. The message is the body of the answer, so it must hold nothing secret; without
    one the reason phrase is sent. Nothing is logged and the context stays in the pool.

    `status` is the status code (int, 200 to 599; ValueError for another); `headers` are added to the answer.
    """

    def __init__(self, status: int, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        given: object = status
        if not isinstance(given, int) or not 200 <= status <= 599:
            raise ValueError(f"the status of an answer is a number from 200 to 599, not {status!r}")
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status} {self.message}".rstrip()


class StartError(Exception):
    """Hand on a context that is good for one request only.

    Raised by `start` (usually `from` the error that spoiled it): `run` gets the context together with this error,
    and the context is stopped after that one request instead of being pooled.
    """

    def __init__(self, context: Any = None, message: str = "") -> None:
        super().__init__(message)
        self.context = context

    def __str__(self) -> str:
        return str(self.args[0]) or (
            str(self.__cause__) if self.__cause__ else "the context is good for one request only"
        )


class LogicError(Exception):
    """Say in one line why the author's module cannot be served, and what to write instead."""


class Disconnected(ConnectionError):
    """Tell the author's code that the client went away; not logged as a crash."""
