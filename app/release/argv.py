"""Every command line of a release, as a pure function: who runs it, and when, is said elsewhere.

On hosts only nix-store and nix-env are used, and nix-copy-closure between machines: commands that
have not changed since Nix 2.3 and that Lix has too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Argv = tuple[str, ...]
SERVE_STORE: Argv = ("nix-store", "--serve", "--write")
"""What nix-copy-closure asks a host for: to receive paths."""


def ssh(config: Path, host: str, remote: Sequence[str]) -> Argv:
    """Run a command on a host; its words must need no quoting, as a shell joins them there."""
    return ("ssh", "-F", str(config), "-T", host, "--", *remote)


def order(name: str) -> Argv:
    """Give a host's agent an order; what the forced command lets through."""
    return ("windlass", "host", name)


def copy_closure(host: str, path: str) -> Argv:
    """Send a store path with all that it needs; ssh's options go by NIX_SSHOPTS."""
    return ("nix-copy-closure", "--to", host, path)


def build(flake: str) -> Argv:
    """Build the release of a flake and print its path."""
    enabled = ("--extra-experimental-features", "nix-command flakes")
    return ("nix", *enabled, "build", "--no-link", "--print-out-paths", f"{flake}#release")


def sign_store_paths(path: str, key: Path) -> Argv:
    """Sign a path and all that it needs, so that the hosts' stores take it."""
    enabled = ("--extra-experimental-features", "nix-command")
    return ("nix", *enabled, "store", "sign", "--recursive", "--key-file", str(key), path)


def sign(file: Path, key: Path, namespace: str) -> Argv:
    """Sign a file by an ssh key; writes FILE.sig beside it."""
    return ("ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", namespace, str(file))


def verify(signers: Path, identity: str, namespace: str, signature: Path) -> Argv:
    """Verify standard input against a signature of `identity`."""
    return (
        "ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", identity, "-n", namespace,
        "-s", str(signature),
    )  # fmt: skip


def find_principals(signers: Path, signature: Path) -> Argv:
    """Print whose key made a signature."""
    return ("ssh-keygen", "-Y", "find-principals", "-f", str(signers), "-s", str(signature))


def closure(path: str) -> Argv:
    """Print all store paths that a path needs, itself too."""
    return ("nix-store", "--query", "--requisites", path)


def sizes(paths: Sequence[str]) -> Argv:
    """Print the size in bytes of each path, in order."""
    return ("nix-store", "--query", "--size", *paths)


def invalid(paths: Sequence[str]) -> Argv:
    """Print those of the paths that the store does not have whole."""
    return ("nix-store", "--check-validity", "--print-invalid", *paths)


def verify_path(path: str) -> Argv:
    """Fail unless the content of a path is what was registered for it."""
    return ("nix-store", "--verify-path", path)


def keep(link: Path, path: str) -> Argv:
    """Make a link that keeps a path from being collected."""
    return ("nix-store", "--add-root", str(link), "--indirect", "--realise", path)


def set_profile(profile: Path, path: str) -> Argv:
    """Have a profile be a path: a new generation, in one step."""
    return ("nix-env", "--profile", str(profile), "--set", path)


def delete_generations(profile: Path, keep_last: int) -> Argv:
    """Forget all but the last generations of a profile; the current one stays."""
    return ("nix-env", "--profile", str(profile), "--delete-generations", f"+{keep_last}")


def collect_garbage() -> Argv:
    """Remove what no root keeps."""
    return ("nix-store", "--gc")


def commits(repository: Path, base: str, target: str) -> Argv:
    """Print a line for each commit that `target` has and `base` has not, newest first."""
    return (
        "git", "-C", str(repository), "log", "--no-decorate", "--format=%h %s (%an)",
        "--max-count=200", f"{base}..{target}", "--",
    )  # fmt: skip
