"""Whether an unpacked image archive is what it should be: `image_check.py FOLDER RELEASE_JSON`.

Prints what the image weighs, by store path, and ends at the first thing that is wrong.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

_LARGEST = 12
_LABEL = "org.opencontainers.image."


def main(folder: Path, release: dict[str, Any]) -> None:
    """Check; raises `AssertionError` at the first thing that is wrong."""
    (manifest,) = json.loads((folder / "manifest.json").read_text())
    config = json.loads((folder / manifest["Config"]).read_text())
    _check_config(config["config"], release)
    _expect(manifest["RepoTags"] == [f"{release['name']}:{release['release']}"], "its tag")
    _check_layers(folder, manifest["Layers"])


def _check_config(config: dict[str, Any], release: dict[str, Any]) -> None:
    user = config["User"].split(":")
    _expect(all(part.isdigit() and int(part) > 0 for part in user), "a user by number, not root")
    _expect(config["Entrypoint"][0].endswith("/bin/windlass"), "windlass as its command")
    _expect(config["Cmd"] == ["up", "--init"], "supervisord as its init")
    _expect(config["Healthcheck"]["Test"][-2:] == ["status", "--serving"], "a health check")
    _expect(set(config["ExposedPorts"]) == {"8000/tcp", "8888/tcp"}, "its ports")
    labels = config["Labels"]
    _expect(labels[f"{_LABEL}version"] == release["version"], "the version as a label")
    _expect(labels[f"{_LABEL}revision"] == release["commit"], "the commit as a label")
    _expect(labels[f"{_LABEL}created"] == release["time"], "the commit's time as a label")
    secrets = [entry for entry in config["Env"] if re.match(r"\w*(PASSWORD|SECRET|TOKEN)", entry)]
    _expect(not secrets, "no secret in its environment")


def _check_layers(folder: Path, layers: list[str]) -> None:
    """No file gives rights away; prints what the layers weigh."""
    weights: Counter[str] = Counter()
    for layer in layers:
        with tarfile.open(folder / layer) as archive:
            for member in archive:
                parts = member.name.lstrip("./").split("/")
                weights["/".join(parts[:3])] += member.size
                _expect(not member.mode & 0o6000, f"{member.name} is not set-user-id")
    print(f"{len(layers)} layers, {sum(weights.values()) / 1e6:.1f} MB:")
    for name, size in weights.most_common(_LARGEST):
        print(f"{size / 1e6:8.1f} MB  {name}")


def _expect(is_so: bool, what: str) -> None:  # noqa: FBT001 - reads as the sentence that it is
    if not is_so:
        raise AssertionError(f"the image lacks {what}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
