"""The two revisions side by side: checkouts in a temporary folder, with one benchmark source.

Both are `git worktree`s with names of equal length, and are taken away at the end. The base's own
`benchmarks/` and test data make place for the head's, so that both do the same work; where the
head's benchmark cannot run on the base, that benchmark is named as failed. A base whose lock
differs gets an environment of its own, made by its own `./run`, or by Nix where Nix made ours.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.gate import accepted, closures, declaration
from benchmarks.gate.git import GitError, git
from benchmarks.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.gate.declaration import Declaration

_INSTALL_TIMEOUT_S = 600
_SHARED = ("benchmarks", "tests/data")
"""Taken from the head in both arms."""
_JUDGES = (*_SHARED, "pipeline", ".github")
"""What measures and judges a change, and may be changed with it."""
_LOCKS = ("requirements.txt", "requirements-dev.txt")


class GateError(Exception):
    """The gate cannot be run; says what failed and what to do next."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One revision, ready to run.

    Attributes:
        role: "base" or "head".
        commit: full SHA-1.
        root: its checkout.
        python: interpreter of the environment that has what it requires.
        search_path: folders of its Nginx, as in PATH; empty for those of this process.
    """

    role: Literal["base", "head"]
    commit: str
    root: Path
    python: Path
    search_path: str = ""

    @property
    def environ(self) -> dict[str, str]:
        """What its processes have in their environment because of its revision."""
        return {"PATH": self.search_path} if self.search_path else {}


@dataclass(frozen=True, slots=True)
class Arms:
    """Both revisions.

    Attributes:
        declared: benchmarks of the head.
        base_names: names of the benchmarks that the base declares itself.
        scratch: a folder for sockets, logs and results, removed at the end.
        base_primary: names of the base's metrics that decide.
        base_accepted: the base's own accepted.toml.
        altered: files of what measures and judges that differ between the two.
    """

    base: Arm
    head: Arm
    declared: Declaration
    base_names: set[str]
    scratch: Path
    base_primary: frozenset[str] = frozenset()
    base_accepted: str = ""
    altered: tuple[str, ...] = ()

    @property
    def environments_differ(self) -> bool:
        """Whether base and head run in environments of their own."""
        base, head = self.base, self.head
        return (base.python, base.search_path) != (head.python, head.search_path)

    def missing(self) -> list[str]:
        """Benchmarks that only the base has, and metrics that decide on the base alone."""
        gone = self.base_names - self.declared.names()
        primary = {metric.name for metric in self.declared.metrics() if metric.primary}
        lost = {m for m in self.base_primary - primary if m.partition(" ")[0] not in gone}
        return sorted(gone | lost)

    def of(self, letter: str) -> Arm:
        """The arm of "A1", "A2", "B1" or "B2"."""
        return self.base if letter.startswith("A") else self.head


@contextmanager
def prepared(base: str, head: str, say: Callable[[str], None], root: Path = ROOT) -> Iterator[Arms]:
    """Check both revisions out, for as long as the block takes.

    Args:
        base: any name of a commit.
        head: likewise.
        say: told of what takes long.
        root: of the checkout whose repository has both.

    Raises:
        GateError: a revision is not known, or cannot be made ready.
    """
    commits = {"base": resolve(base, root), "head": resolve(head, root)}
    with tempfile.TemporaryDirectory(prefix="windlass-gate-") as folder:
        trees = {role: Path(folder) / role for role in commits}
        try:
            git(root, "worktree", "prune")  # of a gate that was killed
            for role, tree in trees.items():
                git(root, "worktree", "add", "--quiet", "--detach", str(tree), commits[role])
            before = _declared_by(trees["base"])
            base_accepted = _text_of(trees["base"] / accepted.FILE.relative_to(ROOT))
            declared = _declared(trees["head"])
            differing = git(root, "diff", "--name-only", *commits.values(), "--", *_JUDGES)
            share(trees["head"], trees["base"])
            scratch = Path(folder) / "scratch"
            scratch.mkdir()
            yield Arms(
                Arm("base", commits["base"], trees["base"], *_made(trees["base"], root, say)),
                Arm("head", commits["head"], trees["head"], *_made(trees["head"], root, say)),
                declared,
                before.names(),
                scratch,
                frozenset(metric.name for metric in before.metrics() if metric.primary),
                base_accepted,
                tuple(differing.splitlines()),
            )
        except GitError as error:
            raise GateError(f"the revisions cannot be checked out: {error}") from error
        finally:
            for tree in trees.values():
                with contextlib.suppress(GitError):  # it was not made yet
                    git(root, "worktree", "remove", "--force", str(tree))


def resolve(name: str, root: Path = ROOT) -> str:
    """The full SHA-1 of a commit.

    Raises:
        GateError: there is no such commit here.
    """
    try:
        return git(root, "rev-parse", "--verify", f"{name}^{{commit}}").strip()
    except GitError as error:
        raise GateError(
            f"{name!r} names no commit here ({error}); a shallow clone may lack it: "
            "git fetch --unshallow"
        ) from error


def share(head: Path, base: Path) -> None:
    """Put the head's benchmarks and test data in the place of the base's."""
    for name in _SHARED:
        shutil.rmtree(base / name, ignore_errors=True)
        if (head / name).is_dir():
            shutil.copytree(head / name, base / name, ignore=shutil.ignore_patterns("__pycache__"))


def _declared(tree: Path) -> Declaration:
    file = tree / declaration.FILE.relative_to(ROOT)
    try:
        return declaration.parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise GateError("the head declares no benchmarks; it has no declared.toml") from error
    except ValueError as error:
        raise GateError(f"declared.toml of the head: {error}") from error


def _declared_by(tree: Path) -> Declaration:
    """What a base declares; nothing where it is older than the gate or has a broken file."""
    try:
        return declaration.parse(_text_of(tree / declaration.FILE.relative_to(ROOT)))
    except ValueError:
        return declaration.Declaration(())


def _text_of(file: Path) -> str:
    """The text of a base's file; empty where it has none, or none that is text."""
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _made(tree: Path, root: Path, say: Callable[[str], None]) -> tuple[Path, str]:
    """An interpreter with what a checkout requires, and where its programs are."""
    ours = Path(sys.executable)
    if closures.are_used(ours):
        if closures.are_equal(tree, root):
            return ours, ""
        say(f"the Nix files of {tree.name} differ; building its closure")
        try:
            found = closures.build(_nix(), tree)
        except closures.ClosureError as error:
            raise GateError(f"no closure could be built for {tree.name}: {error}") from error
        return Path(found.python), found.search_path
    if all(_same(tree / name, root / name) for name in _LOCKS):
        return ours, ""
    say(f"the lock of {tree.name} differs; making an environment for it")
    return _environment(tree), ""


def _nix() -> tuple[str, ...]:
    return tuple(shlex.split(os.environ.get("WINDLASS_NIX", "nix")))


def _environment(tree: Path) -> Path:
    command = (str(tree / "run"), "python", "-V")
    # Else it would take the environment that is ours.
    environ = {name: value for name, value in os.environ.items() if name != "WINDLASS_PYTHON"}
    try:
        subprocess.run(
            command, cwd=tree, capture_output=True, text=True, check=True,
            timeout=_INSTALL_TIMEOUT_S, stdin=subprocess.DEVNULL, env=environ,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or "").strip()[-1000:]
        raise GateError(f"no environment could be made for {tree.name}: {error}\n{said}") from error
    return tree / ".venv" / "bin" / "python"


def _same(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except FileNotFoundError:
        return False
