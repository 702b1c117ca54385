"""What the host agent has of the service: how it is, and the way to have it run another release.

Everything goes by the commands of the release in question (`windlass status --json`, `check`,
`reload`), never by imports: the agent and the release that it handles are different code.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.errors import CommandError, RefusedError, ReleaseError
from app.release import argv
from app.release.messages import HostStatus, Reply
from app.release.shell import last_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.release.host.site import Site
    from app.release.messages import SmokeTest
    from app.release.shell import Shell

_STATUS_TIMEOUT_S = 30.0
_POLL_S = 0.2


class ServiceProcess(msgspec.Struct):
    """One process of it; `state` as `windlass status` has it."""

    name: str
    state: str
    release: str = ""


class ServiceStatus(msgspec.Struct):
    """What `windlass status --json` says that matters here."""

    running: bool
    problem: str = ""
    release: str = ""
    reload: str = ""
    addresses: list[str] = []
    processes: list[ServiceProcess] = []

    def workers(self) -> dict[str, list[ServiceProcess]]:
        """The workers of each slot that serve, or should."""
        found: dict[str, list[ServiceProcess]] = {}
        for process in self.processes:
            if process.name.startswith("web/"):
                slot = found.setdefault(process.name, [])
                if process.state not in {"stopping", "standby"}:
                    slot.append(process)
        return found


@dataclass(frozen=True, slots=True)
class Service:
    """The service of a host.

    Attributes:
        site: of the host.
        shell: runs the commands, in the service's environment.
    """

    site: Site
    shell: Shell

    def status(self) -> ServiceStatus:
        """How it is, as the release in force says; not running where that cannot be asked."""
        program = self._program(self.site.current() or str(self.site.agent))
        try:
            done = self.shell.attempt((program, "status", "--json"), timeout_s=_STATUS_TIMEOUT_S)
            return msgspec.json.decode(done.output, type=ServiceStatus)
        except (CommandError, msgspec.MsgspecError) as error:
            return ServiceStatus(
                running=False, problem=f"how the service is cannot be had: {error}"
            )

    def fault(self, name: str, smoke: Sequence[SmokeTest] = ()) -> str:
        """Why the service is not healthy as the release of that name; empty when it is."""
        found = self.status()
        why = fault_of(found, name)
        if why or not smoke:
            return why
        # Most orders ask nothing by HTTP, and each is a process of its own.
        from app.release.host.smoke import first_fault

        return first_fault(found.addresses[0], smoke)

    def check(self, path: str) -> None:
        """Raise unless a release says of itself that it is fit to serve on this host."""
        try:
            done = self.shell.attempt(
                (self._program(path), "check"), timeout_s=self.site.config().start_timeout_s
            )
        except CommandError as error:
            raise RefusedError("unfit", str(error)) from error
        if done.code != 0:
            raise RefusedError("unfit", f"windlass check says no:\n{last_words(done)}")

    def check_agent(self, path: str) -> None:
        """Raise unless a release can be the agent of this host: once confirmed it takes the orders.

        What could answer none could not be replaced by a further release either.
        """
        base, asked = str(self.site.base), " ".join(argv.order("status"))
        try:
            done = self.shell.attempt(
                (self._program(path), "host", "--base", base, "gate"),
                timeout_s=self.site.config().start_timeout_s, given="{}",
                environ={**self.shell.environ, "SSH_ORIGINAL_COMMAND": asked},
            )  # fmt: skip
            reply = msgspec.json.decode(done.output, type=Reply[HostStatus])
        except CommandError as error:
            raise RefusedError("unfit", f"as this host's agent it fails: {error}") from error
        except msgspec.MsgspecError as error:
            raise RefusedError(
                "unfit", f"as this host's agent it gives no answer:\n{last_words(done)}"
            ) from error
        if reply.answer is None:
            why = reply.refusal.reason if reply.refusal else "it says nothing"
            raise RefusedError("unfit", f"as this host's agent it fails: {why}")

    def activate(self, path: str) -> None:
        """Have the service run a release: the profile first, then the hot upgrade.

        Where the service is down, its unit starts it from the profile.

        Raises:
            ReleaseError: it does not run it; the profile names it all the same.
        """
        timeout_s = self.site.config().start_timeout_s
        self.set_profile(path)
        name = self.site.release_file(path).name
        found = self.status()
        # What is too busy to say how it is must not be taken for down: no unit would start it.
        if found.running or found.problem:
            done = self.shell.attempt((self._program(path), "reload"), timeout_s=timeout_s)
            if done.code != 0:
                said = last_words(done).splitlines() or [f"windlass reload ended with {done.code}"]
                raise ReleaseError(said[-1].removeprefix("windlass: "))
        self._wait(lambda: self.fault(name), timeout_s)

    def deactivate(self) -> None:
        """Have the service run nothing: there was no release before the first."""
        program = self._program(self.site.current() or str(self.site.agent))
        self.site.profile.unlink(missing_ok=True)
        self.shell.run((program, "down"), timeout_s=self.site.config().start_timeout_s)

    def restart(self, path: str) -> None:
        """End the service and have its unit start it from the profile: with a gap, but surely."""
        timeout_s = self.site.config().start_timeout_s
        name = self.site.release_file(path).name
        self.shell.run((self._program(path), "down"), timeout_s=timeout_s)
        self._wait(lambda: self.fault(name), timeout_s)

    def set_profile(self, path: str) -> None:
        """Have the profile name a release.

        Raises:
            CommandError: Nix cannot, and no generation of before can be pointed to instead.
        """
        if self.site.current() == path:
            return
        try:
            self.shell.run(argv.set_profile(self.site.profile, path), timeout_s=60.0)
        except CommandError:
            if not self._repoint(path):
                raise

    def _repoint(self, path: str) -> bool:
        """Point to a generation that is there: on a full disk Nix cannot make another."""
        for link in self.site.links.glob("profile-*-link"):
            if link.is_symlink() and str(link.readlink()) == path:
                half = self.site.links / ".profile"
                half.unlink(missing_ok=True)
                half.symlink_to(link.name)
                half.replace(self.site.profile)
                return True
        return False

    def _wait(self, fault: Callable[[], str], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while why := fault():
            if time.monotonic() >= deadline:
                raise ReleaseError(f"after {timeout_s:g} s {why}; see: windlass logs")
            time.sleep(_POLL_S)

    @staticmethod
    def _program(path: str) -> str:
        return str(Path(path, "bin", "windlass"))


def run_release(shell: Shell, path: str, words: Sequence[str], timeout_s: float) -> tuple[int, str]:
    """Run a command of a release; returns its exit code and what it printed."""
    done = shell.attempt((str(Path(path, "bin", "windlass")), *words), timeout_s=timeout_s)
    return done.code, done.output + done.errors


def fault_of(found: ServiceStatus, name: str) -> str:
    """Why what runs is not all of the release of that name, and ready; empty when it is."""
    if found.problem or not found.running:
        return found.problem or "the service is down"
    workers = found.workers()
    for slot, processes in workers.items():
        good = [p for p in processes if p.state == "ready" and p.release == name]
        if len(good) != 1 or len(processes) != 1:
            states = ", ".join(f"{p.state} of {p.release}" for p in processes) or "gone"
            return f"worker {slot.removeprefix('web/')} is {states}, not ready of {name}"
    return "" if workers and found.addresses else "the service has no workers"
