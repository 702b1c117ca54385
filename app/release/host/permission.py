"""Whether a release may run on this host: signed by a builder and, where asked, approved."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from app.errors import RefusedError
from app.release import argv, statements
from app.release.host.site import write_durably
from app.release.messages import Nothing, Signed
from app.release.statements import APPROVAL, RELEASE, Approval, ReleaseStatement

if TYPE_CHECKING:
    from pathlib import Path

    from app.release.host.site import Site
    from app.release.shell import Shell

_DAY_S = 86_400
LONGEST_S = 7 * _DAY_S
"""An approval that is older counts no more."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Says which releases may run."""

    site: Site
    shell: Shell

    def require(self, path: str, release: Signed | None) -> None:
        """Raise unless a path is whole, is signed as a release, and was approved where it must be.

        Raises:
            RefusedError: with what is missing.
        """
        self._require_signed(path, release)
        if self.site.config().needs_approval and path != self.site.current():
            self._require_approval(path)

    def require_confirmed_before(self, path: str) -> None:
        """Raise unless a release was confirmed on this host and is still whole."""
        if all(entry.path != path for entry in self.site.confirmed()):
            raise RefusedError("unknown", f"{path} was never confirmed on this host; deploy it")
        self._require_whole(path)

    def accept(self, signed: Signed) -> Nothing:
        """Keep an approval, where its signature is an approver's and it is for this environment."""
        approval = self._approval(signed)
        if approval.environment != self.site.config().environment:
            raise RefusedError("unapproved", f"this approval is for {approval.environment}")
        self.site.require_store_path(approval.path)
        self._require_fresh(approval)
        self.site.approvals.mkdir(mode=0o700, exist_ok=True)
        write_durably(self._file(approval.path), msgspec.json.encode(signed))
        return Nothing()

    def use_up(self, path: str) -> None:
        """Have the approval of a path count no more, nor again when it is sent once more.

        To be called when every host has it: a run that is taken back may be tried again.
        """
        with contextlib.suppress(FileNotFoundError):
            self._file(path).replace(self._file(path, "used"))

    def _require_fresh(self, approval: Approval) -> None:
        environment, path = approval.environment, approval.path
        ask = f"to approve it again: windlass approve {environment} --release {path}"
        if time.time() - approval.at > LONGEST_S:
            days = LONGEST_S // _DAY_S
            raise RefusedError("unapproved", f"its approval is older than {days} days; {ask}")
        used = self._read(path, "used")
        if used is not None and approval.at <= self._approval(used).at:
            raise RefusedError("unapproved", f"its approval was used up by a deployment; {ask}")

    def _require_signed(self, path: str, release: Signed | None) -> None:
        self._require_whole(path)
        if release is None:
            raise RefusedError("unsigned", f"{path} comes without the signature of a builder")
        statement, _ = statements.verified(
            self.shell, release, ReleaseStatement, self.site.signers, RELEASE
        )
        if statement.release != path:
            raise RefusedError("unsigned", f"the signature is of {statement.release}, not {path}")

    def _require_approval(self, path: str) -> None:
        environment = self.site.config().environment
        ask = f"to approve it: windlass approve {environment} --release {path}"
        signed = self._read(path)
        if signed is None:
            raise RefusedError("unapproved", f"nobody approved {path} here; {ask}")
        approval = self._approval(signed)
        if (approval.environment, approval.path) != (environment, path):
            raise RefusedError("unapproved", f"the approval is of another release; {ask}")
        self._require_fresh(approval)
        if approval.base != self.site.current():
            raise RefusedError(
                "unapproved",
                f"{approval.by} approved it as a change from {approval.base or 'nothing'}, but "
                f"this host is at {self.site.current() or 'nothing'}; {ask}",
            )

    def _approval(self, signed: Signed) -> Approval:
        approval, who = statements.verified(
            self.shell, signed, Approval, self.site.signers, APPROVAL
        )
        if approval.by != who:
            raise RefusedError("unapproved", f"{who} signed an approval in {approval.by}'s name")
        return approval

    def _read(self, path: str, kind: str = "json") -> Signed | None:
        try:
            return msgspec.json.decode(self._file(path, kind).read_bytes(), type=Signed)
        except (OSError, msgspec.MsgspecError):
            return None

    def _file(self, path: str, kind: str = "json") -> Path:
        return self.site.approvals / f"{path.rpartition('/')[2]}.{kind}"

    def _require_whole(self, path: str) -> None:
        self.site.require_store_path(path)
        done = self.shell.attempt(argv.invalid([path]), timeout_s=60.0)
        if done.code != 0 or done.output.strip():
            raise RefusedError("unfit", f"{path} is not whole in this host's store; copy it anew")
        self.site.release_file(path)
