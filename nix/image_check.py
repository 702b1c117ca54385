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
    _check_layers(folder, manifest["Layers"], config["config"])


def _check_config(config: dict[str, Any], release: dict[str, Any]) -> None:
    user = config["User"].split(":")
    _expect(all(part.isdigit() and int(part) > 0 for part in user), "a user by number, not root")
    _expect(config["Entrypoint"][0].endswith("/bin/windlass"), "windlass as its command")
    _expect(config["Cmd"] == ["up", "--init"], "supervisord as its init")
    _expect(config["Healthcheck"]["Test"][-2:] == ["status", "--serving"], "a health check")
    _expect(set(config["ExposedPorts"]) == {"8000/tcp", "8888/tcp"}, "its ports")
    said = {"title": "name", "description": "description", "version": "version",
            "revision": "commit", "created": "time", "ref.name": "release"}  # fmt: skip
    for label, entry in said.items():
        _expect(config["Labels"][_LABEL + label] == release[entry], f"{entry} as a label")
    _expect(bool(config["Labels"][f"{_LABEL}licenses"]), "its licence as a label")
    secrets = [entry for entry in config["Env"] if re.match(r"\w*(PASSWORD|SECRET|TOKEN)", entry)]
    _expect(not secrets, "no secret in its environment")


def _check_layers(folder: Path, layers: list[str], config: dict[str, Any]) -> None:
    """What the configuration names is there, no file gives rights away; prints what they weigh."""
    weights: Counter[str] = Counter()
    members: dict[str, tarfile.TarInfo] = {}
    users = ""
    for layer in layers:
        with tarfile.open(folder / layer) as archive:
            for member in archive:
                name = member.name.lstrip("./")
                members[name] = member
                weights["/".join(name.split("/")[:3])] += member.size
                _expect(not member.mode & 0o6000, f"safe rights: {name} is set-user-id")
                if name == "etc/passwd" and (text := archive.extractfile(member)):
                    users = text.read().decode()
    certificates = dict(entry.split("=", 1) for entry in config["Env"])["SSL_CERT_FILE"]
    for path in (config["Entrypoint"][0], config["Healthcheck"]["Test"][1], certificates):
        _expect(path.lstrip("/") in members, f"{path}, which its configuration names")
    user, group = map(int, config["User"].split(":"))
    _expect(f":x:{user}:{group}:" in users, f"the user {user} in etc/passwd")
    state = members[config["WorkingDir"].lstrip("/")]
    _expect((state.uid, state.gid, state.mode & 0o777) == (user, group, 0o700),
            f"a folder of state that is the user's alone: {state.name}")  # fmt: skip
    _expect(members["tmp"].mode & 0o7777 == 0o1777, "a folder /tmp for everybody")
    print(f"{len(layers)} layers, {sum(weights.values()) / 1e6:.1f} MB:")
    for name, size in weights.most_common(_LARGEST):
        print(f"{size / 1e6:8.1f} MB  {name}")


def _expect(is_so: bool, what: str) -> None:  # noqa: FBT001 - reads as the sentence that it is
    if not is_so:
        raise AssertionError(f"the image lacks {what}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
