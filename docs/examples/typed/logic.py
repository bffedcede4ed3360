# /// script
# requires-python = ">=3.10"
# dependencies = []
# ///
"""typed: the contract with type hints; mypy --strict and pyright accept it."""

from __future__ import annotations

from dataclasses import dataclass

from effetool.runtime import HTTPError, Request, Response

INFO = {"name": "typed", "version": "1.0", "doc": "Square a number"}


@dataclass
class Context:
    served: int = 0


def start() -> Context:
    return Context()


def run(context: Context | None, error: Exception | None, response: Response, request: Request) -> Exception | None:
    if context is None:  # exactly when start has failed
        response.status = 503
        return error
    try:
        number = int(request.query.get("n", ""))
    except ValueError as problem:
        raise HTTPError(400, "n is a whole number") from problem
    context.served += 1
    response.json({"n": number, "square": number * number})
    return None
