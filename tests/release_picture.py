"""Draws docs/deploying.svg: deploy, status and rollback as they look in a terminal.

    .venv/bin/python -m tests.release_picture docs/deploying.svg

Everything in it is what the commands said on three servers that this makes and takes down again. No
picture is drawn of a run that failed.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.release_site import Site, clean_environ
from tests.support import ROOT

HOSTS = ("one", "two", "three")
SETTINGS = (
    "ENVIRONMENT=STAGING\nHOST=0.0.0.0\nPORT=8000\nPLAN_PORT=\nWORKERS=1\nREDIS_MANAGED=yes\n"
    "LOG_FORMAT=json\n"
)
COLUMNS = 118


def said(site: Site, *words: str) -> str:
    """What a command says to a terminal; ends this one when it fails."""
    upper, lower = pty.openpty()
    environ = clean_environ() | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color",
                                 "WINDLASS_DEPLOY": str(site.folder / "deploy.toml")}  # fmt: skip
    process = subprocess.Popen(site.command(*words), stdout=lower, stderr=lower, env=environ)
    os.close(lower)
    parts = []
    while True:
        try:
            part = os.read(upper, 65536)
        except OSError:  # the terminal's other side is closed
            break
        if not part:
            break
        parts.append(part)
    code = process.wait(timeout=600)
    os.close(upper)
    text = b"".join(parts).decode().replace("\r\n", "\n")
    if code != 0:
        sys.exit(f"windlass {' '.join(words)} ended with {code}; no picture is drawn:\n{text}")
    return text


def main(target: Path) -> None:
    """Make the servers, run the commands, draw what they said."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    with tempfile.TemporaryDirectory(prefix="windlass-picture-") as folder:
        site = Site(Path(folder), HOSTS)
        try:
            site.up()
            site.write_inventory(
                site.environment("staging", HOSTS, batch=3, window_s=60, bake={"seconds": 6})
            )
            first, second = site.release("4f1c2d9"), site.release("b07e553", version="1.1.0")
            site.set_up("staging", first, SETTINGS)
            said(site, "deploy", "staging", "--release", first)
            for words in (("deploy", "staging", "--release", second), ("status", "staging"),
                          ("rollback", "staging", "4f1c2d9"), ("status", "staging")):  # fmt: skip
                console.print(Text("$ windlass " + " ".join(words), style="bold cyan"))
                console.print(Text.from_ansi(said(site, *words).rstrip()))
                console.print()
        finally:
            site.down()
    svg = console.export_svg(title="windlass")
    # The fonts of the picture come from the reader's machine, not from elsewhere.
    target.write_text(re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
