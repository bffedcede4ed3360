"""How the developer's loop and the client of tests hear of runs and answers. Types only: never imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Any

    from ..contract.request import Request
    from ..contract.response import Response


class Observer(Protocol):
    """Hears of every run. Its methods are called in the thread of the run and must be quick.

    With an observer, the server writes neither the errors of runs nor the access log: both are the observer's to tell.
    """

    def failed(self, error: BaseException, request: Request, answer: Response | None) -> None:
        """Take the error of a run that failed, before anything else of its answer is sent.

        `error` is what run raised or returned, or a TypeError for a value that is not an error. An HTTPError that run
        raises before its response has begun is an answer and not a failure. `answer` is the response with status 500
        that is sent next, for the observer to write; where it writes nothing, the body is one line of text. None where
        another answer is sent or has begun.
        """

    def answered(self, request: Request, response: Response, seconds: float, result: Any) -> None:
        """Take a request that has its answer: `seconds` in run, and what run returned or raised (None: no error).

        `response` is what was sent, which is not run's own where the run failed. Called after the answer is sent to
        its end or to where its reader waits. Not called for a request that was answered 504, or was never run.
        """
