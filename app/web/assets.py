"""Static files under addresses that carry a hash of their content.

A file's address changes exactly when its content does, so it may be cached for ever; an address
whose hash is not the content's own is not found, so that no cache keeps a wrong pair.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

PREFIX = "/static/"
_HASH_DIGITS = 12


class Assets:
    """The files of one folder, read once.

    Args:
        folder: holds the files under their plain names; subfolders are not looked into. `NAME.gz`
            beside `NAME` is the same file, packed when the release was built.
    """

    def __init__(self, folder: Path) -> None:
        self._plain: dict[str, str] = {}
        self.files: dict[str, Path] = {}
        """Each hashed name and the file that it stands for."""
        for path in sorted(filter(Path.is_file, folder.iterdir())):
            if path.suffix == ".gz" and path.with_suffix("").is_file():
                continue
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:_HASH_DIGITS]
            hashed = f"{path.stem}.{digest}{path.suffix}"
            self._plain[path.name] = hashed
            self.files[hashed] = path

    def address(self, name: str) -> str:
        """The address of the file with this plain name; raises `KeyError` where there is none."""
        return PREFIX + self._plain[name]
