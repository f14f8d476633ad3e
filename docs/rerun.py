"""Runs the commands in the documentation and puts in what they print: `python docs/rerun.py [PAGE…]`.

Blocks with a title are files, and lines that begin with `$ ` in console blocks are commands. All of them are run in one
folder, page by page in the order of `PAGES`; with pages named, those before them are run too, but only those are written.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
PAGES = [
    "getting-started.md",
    "zero-stability.md",
    "cookbook/own-scheme.md",
    "cookbook/own-network.md",
    "cookbook/attacks.md",
    "cookbook/gate.md",
    "cookbook/many-machines.md",
    "study-file.md",
]
BLOCK = re.compile(r"^```(?P<language>\w+)(?: title=\"(?P<file>[^\"]+)\")?\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)


def main(wanted: list[str]) -> None:
    """Run all pages up to the last wanted one, and write the wanted ones."""
    last = max((PAGES.index(page) for page in wanted), default=len(PAGES) - 1)
    with tempfile.TemporaryDirectory() as folder:
        for page in PAGES[: last + 1]:
            path = DOCS / page
            text = path.read_text(encoding="utf-8")
            rerun = BLOCK.sub(lambda block: _block(block, Path(folder)), text)
            if not wanted or page in wanted:
                path.write_text(rerun, encoding="utf-8")


def _block(block: re.Match[str], folder: Path) -> str:
    if block["file"]:
        (folder / block["file"]).write_text(block["body"], encoding="utf-8")
    if block["language"] != "console":
        return block[0]
    commands = [line for line in block["body"].splitlines() if line.startswith("$ ")]
    return "\n".join(["```console", "\n\n".join(_output(command, folder) for command in commands), "```"])


def _output(command: str, folder: Path) -> str:
    """The command and what it prints; what goes to standard error is left out unless the command fails.

    Commands are the interpreter's own, so that an environment need not be active.
    """
    environment = os.environ | {"COLUMNS": "160", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    print(command, file=sys.stderr)
    done = subprocess.run(command[2:], shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}\nends with {done.returncode}: {done.stderr}")
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    return "\n".join([command, *lines])


if __name__ == "__main__":
    main(sys.argv[1:])
