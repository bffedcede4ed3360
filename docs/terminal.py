"""Draw docs/terminal.svg: the README's three lines, run for real, as a terminal shows them.

python docs/terminal.py [FILE]
"""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 84
# rich's own frame loads a font from another host; a picture in a README must not.
FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw() -> str:
    """Run the three lines in an empty directory; returns the picture."""
    screen = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="standard", force_terminal=True)
    tool = Path(sys.executable).with_name("effe-tool")
    environ = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(WIDTH)}
    environ.pop("NO_COLOR", None)
    environ["PATH"] = f"{tool.parent}{os.pathsep}{environ['PATH']}"

    def show(command: str, output: str) -> None:
        screen.print(Text.assemble(("$ ", "green"), (command, "bold")))
        screen.print(Text.from_ansi(output), end="")
        screen.print()

    with tempfile.TemporaryDirectory() as here:
        for command in ("effe-tool new hello", "effe-tool build"):
            done = subprocess.run(
                command.split(), cwd=here, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            if done.returncode:
                raise SystemExit(done.stdout)
            show(command, done.stdout)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        effe = subprocess.Popen(
            ["./hello-1.0.pex", "-port", str(port), "-log", "text"], cwd=here, stderr=subprocess.PIPE, text=True
        )
        try:
            assert effe.stderr is not None
            ready = effe.stderr.readline()
            if str(port) not in ready:
                raise SystemExit(ready + effe.stderr.read())
            show("./hello-1.0.pex -port 8080 &", ready.replace(str(port), "8080"))
            ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            show("curl localhost:8080", ask.open(f"http://127.0.0.1:{port}", timeout=60).read().decode())
        finally:
            effe.terminate()
            effe.communicate()
    picture = screen.export_svg(title="effe-tool", code_format=FRAME, unique_id="effe")
    return re.sub(r"[ \t]+$", "", picture, flags=re.M)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("terminal.svg")
    target.write_text(draw())
    print(target)
