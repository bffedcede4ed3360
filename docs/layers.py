"""Draw docs/how-to/layers.svg: the layers of a real image, made on the spot, each with its size and what changes it.

python docs/layers.py [FILE]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ABOUT = {
    "base": ("Python and CA certificates", "a new Debian package"),
    "dependencies": ("what the lock names, as pip would spread it", "a new lock"),
    "runtime": ("the server, the same for every effe", "a new effe-tool"),
    "code": ("logic.py and the files beside it", "every save"),
}
COLOURS = {"base": "#8a94a6", "dependencies": "#6f9bd1", "runtime": "#5aa9a0", "code": "#e0a458"}
WIDTH, HEIGHT, GAP, LEFT = 760, 56, 8, 20


def layers(folder: Path) -> list[tuple[str, int]]:
    """Make hello with a dependency and its image; return its layers, lowest first, with their packed sizes."""

    def tool(*words: str) -> None:
        subprocess.run([sys.executable, "-m", "effetool", *words, "-q"], cwd=folder, check=True, capture_output=True)

    tool("new", "hello")
    logic = folder / "hello/logic.py"
    text = logic.read_text()
    if "dependencies = []" not in text:
        text = f"# /// script\n# dependencies = []\n# ///\n{text}"
    logic.write_text(text.replace("dependencies = []", 'dependencies = ["markdown-it-py"]'))
    tool("build", "hello")
    tool("image", "hello-1.0.pex", "-o", "hello.tar")
    with tarfile.open(folder / "hello.tar") as tar:

        def read(name: str) -> dict[str, object]:
            file = tar.extractfile(name)
            assert file is not None
            return json.load(file)

        (entry,) = read("index.json")["manifests"]
        manifest = read(f"blobs/{entry['digest'].replace(':', '/')}")
        config = read(f"blobs/{manifest['config']['digest'].replace(':', '/')}")
    names = [line.get("comment") or "base" for line in config["history"]]
    return [
        (name if name in ABOUT else "base", layer["size"])
        for name, layer in zip(names, manifest["layers"], strict=True)
    ]


def size_text(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{size / 1e3:.0f} KB"


def draw(found: list[tuple[str, int]]) -> str:
    """Return the picture, with the code layer on top."""
    height = 40 + len(found) * (HEIGHT + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' font-family="system-ui, sans-serif" font-size="15">',
        "<title>The layers of an effe's image</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" fill="#555">layer</text>'
        f'<text x="{WIDTH - 240}" y="24" text-anchor="end" fill="#555">sent</text>'
        f'<text x="{WIDTH - 200}" y="24" fill="#555">changes with</text>',
    ]
    for number, (name, size) in enumerate(reversed(found)):
        top = 36 + number * (HEIGHT + GAP)
        what, when = ABOUT[name]
        middle = top + HEIGHT / 2
        lines.append(
            f'<rect x="{LEFT}" y="{top}" width="{WIDTH - 2 * LEFT}" height="{HEIGHT}" rx="6" fill="{COLOURS[name]}"'
            ' fill-opacity="0.35"/>'
            f'<text x="{LEFT + 14}" y="{middle - 4}" font-weight="600" fill="#111">{name}</text>'
            f'<text x="{LEFT + 14}" y="{middle + 16}" font-size="13" fill="#333">{what}</text>'
            f'<text x="{WIDTH - 240}" y="{middle + 5}" text-anchor="end" fill="#111">{size_text(size)}</text>'
            f'<text x="{WIDTH - 200}" y="{middle + 5}" fill="#111">{when}</text>'
        )
    return "\n".join([*lines, "</svg>\n"])


def main() -> None:
    """Make the image and write the picture."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "how-to/layers.svg"
    with tempfile.TemporaryDirectory() as folder:
        target.write_text(draw(layers(Path(folder))))


if __name__ == "__main__":
    main()
