"""Two runs of main may reach an environment in the wrong order: what is older is not deployed.

Older is what git says: a commit from which the running one descends. Rollback is not asked.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import msgspec

from pipeline.jobs import PipelineError

if TYPE_CHECKING:
    from pathlib import Path

_GIT_TIMEOUT_S = 60
_IS_ANCESTOR = 0


class Host(msgspec.Struct):
    """What `windlass status --json` says of a host; without a commit where it runs nothing."""

    commit: str = ""


def running(text: str) -> dict[str, str]:
    """The commit that each host runs, of those that run one and can be reached.

    Args:
        text: what `windlass status ENVIRONMENT --json` prints.

    Raises:
        PipelineError: it is something else.
    """
    try:
        found = msgspec.json.decode(text, type=dict[str, Host])
    except msgspec.MsgspecError as error:
        raise PipelineError(f"the status of the hosts cannot be read: {error}") from error
    return {name: host.commit for name, host in found.items() if host.commit}


def require_not_older(root: Path, commit: str, runs: str, host: str) -> None:
    """Refuse a commit from which the one that a host runs descends.

    One that this repository does not know is no descendant.

    Raises:
        PipelineError: it is older.
    """
    asked = ("git", "-c", f"safe.directory={root}", "-C", str(root), "merge-base", "--is-ancestor",
             commit, runs)  # fmt: skip
    done = subprocess.run(asked, capture_output=True, check=False, timeout=_GIT_TIMEOUT_S)
    if commit != runs and done.returncode == _IS_ANCESTOR:
        raise PipelineError(
            f"{host} runs {runs[:7]} already, which comes after {commit[:7]}: a later run of main "
            "was here first. To go back, use the workflow rollback"
        )
