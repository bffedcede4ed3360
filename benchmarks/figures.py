"""What the benchmarks share: an environment for the peers, the machine in words, a table and a plot for a page."""

from __future__ import annotations

import html
import os
import platform
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "effe-tool" / "benchmarks"
COLOURS = ("#9db4c0", "#2f6690")


def environment(folder: Path, *packages: str, pip: bool = True) -> Path:
    """Make a virtual environment with `packages` unless it is there; return its interpreter."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing {', '.join(packages)} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=pip, clear=True)
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *packages]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        (folder / "ready").touch()
    return python


def machine() -> str:
    """Say in a sentence what the figures were measured on."""
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return (
        f"{time.strftime('%B %Y')}, {system}, {len(os.sched_getaffinity(0))} cores shared with other work, "
        f"CPython {platform.python_version()}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all but the first column are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_between(page: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->` on a page."""
    before, _, rest = page.read_text().partition(f"<!-- {name} -->\n")
    _, mark, after = rest.partition(f"<!-- /{name} -->")
    if not mark:
        raise SystemExit(f"{page} has no <!-- {name} --> … <!-- /{name} -->")
    page.write_text(f"{before}<!-- {name} -->\n{text.strip()}\n{mark}{after}")


def bars(title: str, groups: Mapping[str, Mapping[str, Sequence[float]]], series: Sequence[str], unit: str) -> str:
    """Return an SVG of horizontal bars: groups of names, each with one bar for each of `series`."""
    width, left, line = 760, 190, 16
    longest = max(value for names in groups.values() for values in names.values() for value in values)
    height = 44 + sum(28 + len(names) * (len(series) * line + 8) for names in groups.values())
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(title)}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="18" font-size="14">{html.escape(title)}</text>',
    ]
    for number, word in enumerate(series):
        x = left + number * 140
        out.append(f'<rect x="{x}" y="27" width="10" height="10" fill="{COLOURS[number]}"/>')
        out.append(f'<text x="{x + 15}" y="36">{html.escape(word)}</text>')
    y = 44
    for group, names in groups.items():
        y += 20
        out.append(f'<text x="8" y="{y}" font-weight="bold">{html.escape(group)}</text>')
        y += 8
        for name, values in names.items():
            middle = y + len(values) * line / 2 + 4
            out.append(f'<text x="{left - 8}" y="{middle:.0f}" text-anchor="end">{html.escape(name)}</text>')
            for number, value in enumerate(values):
                length = max(1.0, value / longest * (width - left - 90))
                out.append(
                    f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{line - 2}" fill="{COLOURS[number]}"/>'
                    f'<text x="{left + length + 5:.0f}" y="{y + 11}">{value:.0f} {unit}</text>'
                )
                y += line
            y += 8
    return "\n".join([*out, "</svg>", ""])
