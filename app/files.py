"""Files that are whole or not there: what another process reads is never half written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` in the place of what `path` holds, in one step.

    Args:
        path: of the file; its folder must exist.
        content: all of it.
        mode: permissions, which hold from the first byte on.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
