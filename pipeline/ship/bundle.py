"""A release as it travels from the job that builds it to those that deploy it.

A bundle is a folder: the closure as a packed binary cache, the image, the bill of materials of the
closure, and `ship.json`, which names the release and the SHA-256 of every other file. A builder's
key signs `ship.json`; its public half stands in deploy.toml, which is reviewed. So what is deployed
is what was built, however the bundle travelled.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.jobs import PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MANIFEST, SIGNATURE = "ship.json", "ship.json.sig"
CLOSURE, IMAGE = "closure.tar", "image.tar"
NAMESPACE = "windlass-bundle"
BUILDER = "builder"
_KEYGEN_TIMEOUT_S = 30
_BLOCK = 1 << 20


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """What a bundle is.

    Attributes:
        path: store path of the release.
        name: of the image, without a registry.
        release: VERSION-COMMIT, the image's tag.
        commit: forty hexadecimal digits.
        files: SHA-256 of each file, in hexadecimal.
    """

    path: str
    name: str
    release: str
    commit: str
    files: dict[str, str]


def seal(folder: Path, path: str, about: dict[str, str], key: Path) -> Manifest:
    """Write the manifest of the files that are in a folder, and sign it.

    Args:
        folder: of the bundle.
        path: of the release.
        about: name, release and commit of its `release.json`.
        key: the builder's private key.
    """
    files = {file.name: _sha256(file) for file in _contents(folder)}
    manifest = Manifest(path, about["name"], about["release"], about["commit"], files)
    text = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
    (folder / MANIFEST).write_bytes(text)
    (folder / SIGNATURE).unlink(missing_ok=True)
    sign = ("ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE,
            str(folder / MANIFEST))  # fmt: skip
    done = subprocess.run(
        sign, capture_output=True, text=True, check=False, timeout=_KEYGEN_TIMEOUT_S
    )
    if done.returncode:
        raise PipelineError(f"the bundle cannot be signed: {done.stderr.strip()}")
    return manifest


def verified(folder: Path, builders: Iterable[str]) -> Manifest:
    """The manifest of a bundle of which every byte is as a builder signed it.

    Args:
        folder: of the bundle.
        builders: public keys that count.

    Raises:
        PipelineError: nobody of them signed it, or a file is another, missing, or too many.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise PipelineError(f"{folder} is no bundle: {error}") from error
    _require_signature(folder, text, list(builders))
    manifest = msgspec.json.decode(text, type=Manifest)
    found = {file.name: _sha256(file) for file in _contents(folder)}
    wrong = sorted(
        name for name in found | manifest.files if found.get(name) != manifest.files.get(name)
    )
    if wrong:
        raise PipelineError(f"{folder}: not as it was signed: {', '.join(wrong)}; build it anew")
    return manifest


def _require_signature(folder: Path, text: bytes, builders: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="windlass-verify-") as temporary:
        signers = Path(temporary, "signers")
        signers.write_text("".join(f'{BUILDER} namespaces="{NAMESPACE}" {x}\n' for x in builders))
        verify = ("ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", BUILDER, "-n", NAMESPACE,
                  "-s", str(folder / SIGNATURE))  # fmt: skip
        done = subprocess.run(
            verify, input=text, capture_output=True, check=False, timeout=_KEYGEN_TIMEOUT_S
        )
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise PipelineError(
            f"{folder / MANIFEST} has no signature of a builder of deploy.toml ({said}); "
            "it must not be deployed"
        )


def _contents(folder: Path) -> list[Path]:
    files = (each for each in folder.iterdir() if each.name not in {MANIFEST, SIGNATURE})
    return sorted(files, key=lambda file: file.name)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
