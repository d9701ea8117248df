"""Turn what a terminal shows into an SVG for the documentation.

Run with ``tmux capture-pane -e -p | .venv/bin/python scripts/terminal_picture.py OUT.svg TITLE``.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def main() -> None:
    """Read ANSI text from standard input and write the picture."""
    path, title = sys.argv[1:]
    lines = sys.stdin.read().rstrip().split("\n")
    text = Text("\n").join(Text.from_ansi(line) for line in lines)
    width = max(Text.from_ansi(line).cell_len for line in lines)
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(text, no_wrap=True, crop=False)
    picture = console.export_svg(title=title)
    # The fonts of the viewer will do: a picture in the documentation fetches nothing.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    Path(path).write_text(picture.replace("Fira Code", "monospace"))


if __name__ == "__main__":
    main()
