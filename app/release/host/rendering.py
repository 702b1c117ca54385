"""What a release would change of a host's configuration, found out without touching it."""

from __future__ import annotations

import difflib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.errors import RefusedError
from app.release.host.service import run_release
from app.release.messages import Rendered

if TYPE_CHECKING:
    from app.release.host.site import Site
    from app.release.shell import Shell

_TIMEOUT_S = 60.0


def rendered(site: Site, shell: Shell, path: str) -> Rendered:
    """What a release would change of the configuration, and of the settings.

    Raises:
        RefusedError: it cannot render its configuration on this host.
    """
    with tempfile.TemporaryDirectory(prefix="windlass-render-") as folder:
        code, output = run_release(shell, path, ("render", folder), _TIMEOUT_S)
        if code != 0:
            raise RefusedError("unfit", output.strip())
        lines = [
            line
            for name in ("supervisord.conf", "nginx.conf")
            for line in _difference(site.stack / "conf" / name, Path(folder, name))
        ]
    new, old = _settings(shell, path), _settings(shell, site.current())
    given = {
        line.partition("=")[0].strip()
        for line in _lines(site.settings)
        if "=" in line and not line.lstrip().startswith("#")
    }
    at_default = sorted(new - old - given) if old else []
    return Rendered("\n".join(lines), at_default, sorted(given - new))


def _settings(shell: Shell, path: str) -> set[str]:
    """The names of the settings that a release has."""
    if not path:
        return set()
    code, output = run_release(shell, path, ("config", "--json"), _TIMEOUT_S)
    if code != 0:
        raise RefusedError("unfit", output.strip())
    return {row["name"] for row in msgspec.json.decode(output, type=list[dict[str, str]])}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _difference(old: Path, new: Path) -> list[str]:
    # Temporary files of a trial are named by its folder; that is no difference.
    changed = [line.replace(str(new.parent), str(old.parent)) for line in _lines(new)]
    return list(difflib.unified_diff(_lines(old), changed, old.name, f"{old.name} (new)",
                                     lineterm="", n=1))  # fmt: skip
