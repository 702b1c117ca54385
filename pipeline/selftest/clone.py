"""A scratch clone of this checkout, as it stands, which is broken and mended again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import running
from pipeline.jobs import ROOT, PipelineError
from pipeline.security import environment
from pipeline.ship import bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.selftest.breaks import Break

_GIT_TIMEOUT_S = 120
_KEYGEN_TIMEOUT_S = 30
COMMAND_TIMEOUT_S = 1800
OUT_OF_TIME = 124
"""The exit code of a command that was not done in time, as that of `timeout`."""
_NOT_INHERITED = ("COV", "GITHUB_", "PYTEST", "PYTHON", "WINDLASS")
_RELEASE = "/nix/store/00000000000000000000000000000000-windlass-1.0.0"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command of the clone ended."""

    code: int
    seconds: float
    output: str


class Clone:
    """A clone in a folder, with the environments of this checkout.

    Args:
        folder: that is not there yet.
        root: of the checkout, on whatever branch it is.
    """

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder = folder
        self._root = root
        self._git("clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder), at=root)
        listed = self._git("ls-files", "--cached", "--others", "--exclude-standard", "-z", at=root)
        for name in filter(None, listed.split("\0")):
            if (root / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / name, target)
        if environment.FOLDER.is_dir():
            (folder / environment.FOLDER.name).symlink_to(environment.FOLDER)
        for cache in (".mypy_cache", ".ruff_cache"):
            if (root / cache).is_dir():
                shutil.copytree(root / cache, folder / cache)
        self.commit("as it stands")
        # What a change is compared with is the clone's own main, and not that of this checkout,
        # whose locks may be others.
        self._git("remote", "remove", "origin")
        self._git("checkout", "--quiet", "-B", "main")
        self._make_bundle()
        (folder / "needs.json").write_text('{"check": {"result": "success"}}')

    def run(self, argv: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> Ended:
        """Run a command of the pipeline in the clone; one that takes too long is ended."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
        environ = inherited | {
            "WINDLASS_PYTHON": sys.executable, "WINDLASS_DEPLOY": str(self.folder / "deploy.toml"),
            "NEEDS": (self.folder / "needs.json").read_text(), "NO_COLOR": "1",
        }  # fmt: skip
        begun = time.monotonic()
        # To a file: a pipe would stay open for as long as anything that the command left behind.
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            process = subprocess.Popen(
                argv, cwd=self.folder, env=environ, stdout=said, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, process_group=0,
            )  # fmt: skip
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                code = OUT_OF_TIME
            finally:
                running.end(process)
            said.seek(0)
            output = said.read()
        if code == OUT_OF_TIME:
            output += f"\nnot done after {timeout_s:g} s; ended\n"
        return Ended(code, time.monotonic() - begun, output)

    def broken(self, one: Break) -> Ended:
        """Break one thing, run its command, and mend it.

        Raises:
            PipelineError: there is nothing to break: the text is not there.
        """
        file = self.folder / one.file
        before = file.read_text() if file.exists() else None
        old, new = self._filled(one.old), self._filled(one.new)
        if one.old and (before is None or old not in before):
            raise PipelineError(
                f"{one.file} no longer has {one.old!r}: the self-test's break of it has to be "
                "written anew (pipeline/selftest/breaks.py)"
            )
        file.write_text(new if before is None else before.replace(old, new, 1))
        self._git("add", "--intent-to-add", one.file)
        if one.committed:
            self.commit(one.what)
        try:
            return self.run(one.argv)
        finally:
            self._mend(file, before, committed=one.committed)

    @contextlib.contextmanager
    def changed(self, file: str, old: str, new: str) -> Iterator[None]:
        """Have other text in a file for as long as the block lasts."""
        path = self.folder / file
        before = path.read_text()
        if old not in before:
            raise PipelineError(f"{file} no longer has {old!r}")
        path.write_text(before.replace(old, new, 1))
        try:
            yield
        finally:
            path.write_text(before)

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self._git("add", "--all")
        self._git("-c", "user.name=selftest", "-c", "user.email=selftest@localhost", "commit",
                  "--quiet", "--allow-empty", "--no-verify", "--no-gpg-sign", "--message",
                  message)  # fmt: skip

    def _mend(self, file: Path, before: str | None, *, committed: bool) -> None:
        if before is None:
            file.unlink()
        else:
            file.write_text(before)
        self._git("reset", "--quiet", *(("HEAD~1",) if committed else ()))

    def _filled(self, text: str) -> str:
        texts = {
            "{signature}": (self.folder / "bundle" / bundle.SIGNATURE).read_text,
            "{other signature}": (self.folder / "other.sig").read_text,
        }
        return texts[text]() if text in texts else text

    def _make_bundle(self) -> None:
        """A small bundle, signed as a real one is, and the deploy.toml that knows its key."""
        folder = self.folder / "bundle"
        folder.mkdir()
        (folder / bundle.CLOSURE).write_text("a whole closure\n")
        about = {"name": "windlass", "release": "1.0.0-0000000", "commit": "0" * 40}
        for name in ("other", "builder"):
            key = self.folder / name
            _ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key))
            bundle.seal(folder, _RELEASE, about, key)
            shutil.copy(folder / bundle.SIGNATURE, self.folder / f"{name}.sig")
        public = " ".join((self.folder / "builder.pub").read_text().split()[:2])
        (self.folder / "deploy.toml").write_text(
            "[environments.staging]\n"
            'deploy_key = "keys/deploy"\nsigning_key = "keys/builder"\nstore_key = "keys/store"\n'
            f'builders = ["{public}"]\ntrusted_store_keys = ["site-1:{"A" * 43}="]\n'
            "[[environments.staging.hosts]]\n"
            f'name = "one"\naddress = "192.0.2.1"\nhost_key = "{public}"\n'
        )
        # Of this test, and nothing for a secret scan to find.
        with (self.folder / ".git" / "info" / "exclude").open("a") as file:
            file.write("/bundle/\n/deploy.toml\n/needs.json\n/builder*\n/other*\n")

    def _git(self, *words: str, at: Path | None = None) -> str:
        command = ("git", "-c", f"safe.directory={self._root}", *words)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        done = subprocess.run(
            command, cwd=at or self.folder, env=environ, capture_output=True, text=True,
            check=False, timeout=_GIT_TIMEOUT_S,
        )  # fmt: skip
        if done.returncode and words[0] != "add":
            raise PipelineError(f"git {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout


def _ssh_keygen(*words: str) -> None:
    subprocess.run(("ssh-keygen", *words), check=True, timeout=_KEYGEN_TIMEOUT_S)
