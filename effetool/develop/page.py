"""How a client sees a fault: a page in browsers, JSON for other clients."""

from __future__ import annotations

import html

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .fault import Fault

__all__ = ["EVENTS", "SAVE", "write_fault"]

EVENTS = "text/event-stream"
# Where a page waits for the next save. The author owns every path: this one is his in production.
SAVE = "/.effe-tool/save"

# The page waits on a stream that ends when the next save is served, and only then loads again: nobody polls the
# author's code. A page that came by POST would be sent twice, so it stays.
_AGAIN = (
    '<script>const e=new EventSource("/.effe-tool/save");'
    'e.addEventListener("error",()=>{e.close();location.reload()})</script>'
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">
<style>
:root{{color-scheme:light dark;--ink:#1d2129;--paper:#fff;--rule:#c62828;--soft:#f4f4f6;--mark:#c62828}}
@media(prefers-color-scheme:dark){{:root{{--ink:#e7e9ee;--paper:#16181d;--soft:#20242c;--mark:#ff7b72}}}}
body{{margin:0;padding:2.5rem 1.5rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;
border-top:6px solid var(--rule)}}
main{{max-width:60rem;margin:auto}}h1{{font-size:1.35rem;margin:0 0 .25rem;overflow-wrap:anywhere}}
p{{margin:.25rem 0 1rem}}pre{{background:var(--soft);padding:1rem;border-radius:6px;overflow-x:auto;
font:14px/1.45 ui-monospace,monospace}}.caret{{color:var(--mark);font-weight:700}}
</style></head><body><main>
<h1>{message}</h1>
<p>{place}</p>
<pre>{text}</pre>
<p>{hint}</p>
</main>{script}</body></html>
"""


def write_fault(fault: Fault, response: Any, request: Any) -> None:
    """Answer 500 with the text of the terminal, in the form the client accepts."""
    response.status = 500
    response.headers["Cache-Control"] = "no-store"
    if "text/html" not in (request.headers.get("accept") or ""):
        response.json({"error": fault.as_dict()})
        return
    place = f"{fault.file}:{fault.line}" if fault.file else ""
    drawn = "\n".join(
        line.replace("^", '<span class="caret">^</span>') if line.strip(" |") == "^" else html.escape(line)
        for line in str(fault).splitlines()
    )
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    response.write(
        _PAGE.format(
            title=html.escape(fault.message),
            message=html.escape(fault.message),
            place=html.escape(place),
            text=drawn,
            hint="This page is back by itself after the next good save." if request.method == "GET" else "",
            script=_AGAIN if request.method == "GET" else "",
        )
    )
