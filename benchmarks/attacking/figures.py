"""What was found, as tables and in the page of the docs."""

from __future__ import annotations

import os
import subprocess
import time

from figures import ROOT, table, write_between
from serving.figures import where
from serving.peers import install

from .attacks import ATTACKS
from .clients import COMING, PATIENCE, PAUSE, STAYING, Answers
from .scenarios import CONNECTIONS, Found, Row
from .servers import FILES, HOUSE

PAGE = ROOT / "docs" / "explanation" / "server.md"
MARK = "attacks"


def tables(found: Found, seconds: float, load: float) -> str:
    """Write all that was found as Markdown; `load` is the machine's load average before it."""
    parts = []
    for limit, attacks in found.items():
        text = f"{HOUSE} connections" if limit == CONNECTIONS else f"{FILES} open files"
        servers = list(next(iter(attacks.values())))
        rows = []
        for name, row in attacks.items():
            for kind in ("come", "stay"):
                title = ATTACKS[name].title if kind == "come" else "…"
                rows.append([title, kind, *[cell(row[server], kind) for server in servers]])
        parts.append(table([f"{text}: answered (p50, p99 ms)", "clients", *servers], rows) + "\n")
    return "\n".join([*parts, _method(found, seconds, load)])


def cell(row: Row, kind: str) -> str:
    """Write what one kind of good client got: `98 % (0.4, 12)`; a dash where no answer came in time."""
    answers = row.coming if kind == "come" else row.staying
    died = ", ended" if row.died else ""
    # Rounded down: 100 % is all of them.
    return f"{int(answers.share * 100)} % ({_ms(answers, 0.5)}, {_ms(answers, 0.99)}){died}"


def _ms(answers: Answers, part: float) -> str:
    seconds = answers.percentile(part)
    return "–" if seconds >= PATIENCE else f"{seconds * 1000:.3g}"


def worse(found: Found) -> list[str]:
    """Name the rows in which the effe is worse than the better peer, beyond what a shared machine does to one run.

    That is 1 % of the requests, or a p99 of twice as much and 10 ms.
    """
    lines = []
    for limit, attacks in found.items():
        for name, row in attacks.items():
            peers = [row[server] for server in row if server != "effe"]
            if "effe" not in row or not peers:
                continue
            for kind in ("coming", "staying"):
                ours: Answers = getattr(row["effe"], kind)
                theirs: list[Answers] = [getattr(peer, kind) for peer in peers]
                best = max(answers.share for answers in theirs)
                p99, least = ours.percentile(0.99), min(answers.percentile(0.99) for answers in theirs)
                if ours.share < best - 0.01:
                    lines.append(f"{limit}, {name}, {kind}: effe {ours.share:.1%}, the better peer {best:.1%}")
                elif p99 > 2 * least + 0.01:
                    lines.append(
                        f"{limit}, {name}, {kind}: effe's p99 {p99 * 1000:.0f} ms, the better peer's {least * 1000:.0f}"
                    )
    return lines


def _method(found: Found, seconds: float, load: float) -> str:
    servers = {server for attacks in found.values() for row in attacks.values() for server in row}
    python = install("granian") if "granian" in servers else ""
    granian = f", granian {_version(python)}" if python else ""
    return (
        f"Measured on {time.strftime('%-d %B %Y')}: {where()}{granian}; load average {load:.1f} before, "
        f"{os.getloadavg()[0]:.1f} after. Each server on one CPU, all clients on another, {seconds:g} s for each "
        f"figure. A request counts as answered when a 200 is there within {PATIENCE:g} s. Clients that come: a new "
        f"connection each {COMING * 1000:.0f} ms. Clients that stay: {STAYING}, a request each {PAUSE * 1000:.0f} ms; "
        "one whose connection is closed has failed. Attacks that hold connections open half as many again as the "
        "limit, and open each that is closed anew.\n"
    )


def _version(python: str) -> str:
    ask = "import importlib.metadata as m; print(m.version('granian'))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def write_docs(text: str) -> None:
    """Put the tables into their page."""
    write_between(PAGE, MARK, text)
