"""What was found, as tables, as a plot, and in the page of the docs."""

from __future__ import annotations

import platform
import subprocess
import time
from html import escape

from . import load
from .peers import ROOT
from .scenarios import Found

PAGE = ROOT / "docs" / "explanation" / "server.md"
PLOT = PAGE.with_name("server.svg")
BEGIN, END = "<!-- benchmarks/serve.py writes from here -->\n", "<!-- to here -->\n"


def tables(found: Found, rounds: int, seconds: int) -> str:
    """Write all that was found as Markdown."""
    parts = [_peers(found), _mixed(found), _own(found), _method(rounds, seconds)]
    return "\n".join(part for part in parts if part)


def _peers(found: Found) -> str:
    titles = {
        "hello": "hello, 64 connections",
        "headers": "nine more headers",
        "post": "POST, JSON echoed",
        "close": "a new connection each",
        "one": "1 connection",
    }
    columns = [name for name in titles if name in found]
    if not columns:
        return ""
    rows = ["| CPU µs a request (ratio) | " + " | ".join(titles[name] for name in columns) + " |"]
    rows.append("|---" * (len(columns) + 1) + "|")
    for server in found[columns[0]]:
        cells = [_cpu(found[name][server]) for name in columns]
        rows.append(f"| {server} | " + " | ".join(cells) + " |")
    rows += ["", "| requests/s (p50, p99 in ms) | " + " | ".join(titles[name] for name in columns) + " |"]
    rows.append("|---" * (len(columns) + 1) + "|")
    for server in found[columns[0]]:
        cells = [_rate(found[name][server]) for name in columns]
        rows.append(f"| {server} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _cpu(values: dict[str, float]) -> str:
    return f"{values['cpu']:.1f} ({values['ratio']:.2f})"


def _rate(values: dict[str, float]) -> str:
    failed = f", {values['errors']:.0f} failed" if values["errors"] else ""
    return f"{values['rate']:,.0f} ({values['p50']:.2f}, {values['p99']:.2f}{failed})"


def _mixed(found: Found) -> str:
    rows = []
    for name, title, ideal in (
        ("sleepers", "16 connections, beside 8 on a function that sleeps 50 ms", "of 160 slow calls/s"),
        ("burners", "16 connections, beside 2 on a function that computes 50 ms", "computing calls/s"),
    ):
        if name in found:
            rows += [f"| {title} | requests/s | p50 ms | p99 ms | {ideal} |", "|---" * 5 + "|"]
            for server, v in found[name].items():
                rows.append(f"| {server} | {v['rate']:,.0f} | {v['p50']:.2f} | {v['p99']:.1f} | {v['others']:.0f} |")
            rows.append("")
    return "\n".join(rows)


def _own(found: Found) -> str:
    rows = []
    if "to hello" in found.get("post", {}).get("effe", {}):
        rows.append(f"| POST, JSON echoed: CPU a request, to hello | {found['post']['effe']['to hello']:.2f} |")
    if "free" in found:
        rows.append(
            f"| one process free to use every CPU: CPU a request, to pinned | {found['free']['free']['ratio']:.2f} |"
        )
    if "workers" in found:
        two, one = found["workers"]["two"], found["workers"]["one"]
        rows.append(f"| `-workers 2`, runs that compute: calls/s, to one process | {two['rate'] / one['rate']:.2f} |")
    if "admin" in found:
        rows.append(f"| `-admin`: CPU a request, to without | {found['admin']['on']['ratio']:.2f} |")
    if "idle" in found:
        v = found["idle"]["effe"]
        rows.append(f"| {v['connections']:,.0f} idle connections: memory, MB | {v['memory']:.1f} |")
        rows.append(f"| … threads | {v['threads']:.0f} |")
        rows.append(f"| … requests/s of 16 beside them, to without them | {v['part']:.2f} |")
    return "\n".join(["| effe alone | |", "|---|---|", *rows, ""]) if rows else ""


def where() -> str:
    """Name the machine, Python and Go that were measured with."""

    def said(*command: str) -> str:
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    go = said("go", "env", "GOVERSION")
    python = f"Python {platform.python_version()}"
    return ", ".join(part for part in (load.machine(), python, go and f"Go {go.removeprefix('go')}") if part)


def _method(rounds: int, seconds: int) -> str:
    return (
        f"Measured on {time.strftime('%-d %B %Y')}: {where()}. Each server on one CPU, wrk on another; every server in "
        f"turn, {rounds} rounds of {seconds} s. A figure is the median of the rounds; a ratio is to the effe in the "
        "same round, so that what else the machine does falls on both. CPU is user and system time of all the server's "
        "processes.\n"
    )


_BAR, _LEFT, _WIDTH = 15, 110, 440


def plot(found: Found) -> str:
    """Draw CPU time a request: a pair of bars for each server, hello and with nine more headers."""
    hello, headers = found["hello"], found.get("headers", {})
    longest = max(v["cpu"] for values in (hello, headers) for v in values.values())
    lines = []
    y = 34
    for server in sorted(hello, key=lambda name: hello[name]["cpu"]):
        lines.append(f'<text class="name" x="{_LEFT - 8}" y="{y + 12}">{escape(server)}</text>')
        kind = " own" if server == "effe" else ""
        for shade, values in (("hello", hello), ("headers", headers)):
            if server in values:
                cpu = values[server]["cpu"]
                width = max(1.0, cpu / longest * _WIDTH)
                lines.append(
                    f'<rect class="{shade}{kind}" x="{_LEFT}" y="{y}" width="{width:.0f}" height="{_BAR - 2}"/>'
                )
                lines.append(f'<text x="{_LEFT + width + 6:.0f}" y="{y + 11}">{cpu:.1f}</text>')
                y += _BAR
        y += 8
    text = "CPU time a request in µs, 64 connections: hello (dark), with nine more headers (light)"
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 {y + 4}" role="img" aria-label="{text}">
<style>
text {{ font: 12px sans-serif; fill: #333 }} .name {{ text-anchor: end }}
.hello {{ fill: #7a8699 }} .headers {{ fill: #c3cad6 }}
.hello.own {{ fill: #0b6e4f }} .headers.own {{ fill: #7cc6a8 }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} }}
</style>
<text x="0" y="16">{text}</text>
{chr(10).join(lines)}
</svg>
"""


def write_docs(found: Found, text: str) -> None:
    """Put the tables into their page, and the plot beside it."""
    page = PAGE.read_text()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE} has no place for the figures: two lines, {BEGIN.strip()} and {END.strip()}")
    picture = "![CPU time a request, by server](server.svg)\n\n" if "hello" in found else ""
    if picture:
        PLOT.write_text(plot(found))
    PAGE.write_text(before + begin + "\n" + picture + text + "\n" + end + after)
