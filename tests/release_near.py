"""Hosts without machines: the real agent and its records in a folder, a service that is only said.

What decides (lease, fence, switch, confirmation, the way back, the deployer's run) is the product's
own code; what a host would run is a link, and ssh is a call.
"""
# ruff: noqa: ARG002 - what stands in for a part takes what that part takes

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from app.errors import RefusedError, ReleaseError, UnreachableError
from app.release.change import Change
from app.release.deploy import carry_out
from app.release.host.agent import Agent
from app.release.host.permission import Permission
from app.release.host.service import Service, ServiceProcess, ServiceStatus
from app.release.host.site import Site, SiteConfig
from app.release.host.switching import Switching
from app.release.inventory import Bake, Environment, Host
from app.release.messages import Nothing, Reply, Signed
from app.release.progress import Event, Progress
from app.release.remote import Remote
from app.release.shell import Done, Shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from app.release.change import Outcome
    from app.release.messages import SmokeTest
    from app.release.remote import Extend

_Answer = TypeVar("_Answer", bound=msgspec.Struct)
_KEY = "ssh-ed25519 " + "A" * 60


@dataclass(frozen=True, slots=True)
class NearShell(Shell):
    """Of the commands only this happens: a link that keeps a path is made.

    Attributes:
        failing: a command with one of these words fails.
    """

    failing: set[str] = field(default_factory=set)

    def attempt(
        self, argv: Sequence[str], *, timeout_s: float, given: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> Done:  # fmt: skip
        if self.failing.intersection(argv):
            return Done(1, "", "it is meant to fail")
        if "--add-root" in argv:
            link, path = argv[2], argv[-1]
            if os.path.lexists(link):
                os.unlink(link)  # noqa: PTH108
            os.symlink(path, link)  # noqa: PTH211
        return Done(0, "", "")


@dataclass(frozen=True, slots=True)
class NearService(Service):
    """A service that runs what the profile names, unless that is in `broken`.

    Attributes:
        mute: releases that cannot be the agent.
        said: faults that it says of itself first, one after the other.
    """

    broken: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    def status(self) -> ServiceStatus:
        name = self.site.release_file(self.site.current()).name
        return ServiceStatus(
            running=True, release=name, addresses=["http://127.0.0.1:1"],
            processes=[ServiceProcess("web/0", "ready", name)],
        )  # fmt: skip

    def fault(self, name: str, smoke: Sequence[SmokeTest] = ()) -> str:
        if self.said:
            return self.said.pop()
        return "it is broken" if self.site.current() in self.broken else ""

    def check(self, path: str) -> None:
        pass

    def check_agent(self, path: str) -> None:
        if path in self.mute:
            raise RefusedError("unfit", "as this host's agent it gives no answer")

    def activate(self, path: str) -> None:
        self.set_profile(path)
        if path in self.broken:
            raise ReleaseError("it is broken")

    def set_profile(self, path: str) -> None:
        self.site.profile.unlink(missing_ok=True)
        self.site.profile.symlink_to(path)


@dataclass(frozen=True, slots=True)
class NearPermission(Permission):
    """Every release may run."""

    def require(self, path: str, release: Signed | None) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Near(Remote):
    """A host that is a folder.

    Attributes:
        before: told of each order before it is carried out.
        orders: what it was asked, in order.
        cut: set while the host cannot be reached.
    """

    agent: Agent
    before: Callable[[str, str], None]
    orders: list[str] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)

    @property
    def service(self) -> NearService:
        service = self.agent.switching.service
        assert isinstance(service, NearService)
        return service

    @property
    def site(self) -> Site:
        return self.agent.site

    def ask(
        self, order: str, message: msgspec.Struct, answer: type[_Answer], timeout_s: float = 60.0
    ) -> _Answer:
        self.before(self.name, order)
        self.orders.append(order)
        if self.cut:
            raise UnreachableError(f"{self.name} cannot be reached by ssh")
        said = msgspec.json.encode(self.agent.answer(order, msgspec.json.encode(message)))
        reply = msgspec.json.decode(said, type=Reply[answer])  # type: ignore[valid-type]
        if reply.refusal is not None:
            raise RefusedError(reply.refusal.code, reply.refusal.reason)
        return cast("_Answer", reply.answer)

    @contextmanager
    def extending(self) -> Iterator[Extend]:
        yield lambda order, timeout_s: void(self.ask("extend", order, Nothing, timeout_s))

    def copy(self, path: str, timeout_s: float) -> None:
        pass


def void(_answer: object) -> None:
    """Leave an answer out."""


class NearFleet:
    """Three hosts that run the release `old`, and a deployer.

    Args:
        folder: for all of them.
        window_s: after which a host goes back by itself.
        bake_s: seconds for which traffic is watched.
        keep_days: days for which a host keeps every release; beside that it keeps two.
    """

    def __init__(
        self, folder: Path, window_s: int = 60, bake_s: int = 0, keep_days: int = 0
    ) -> None:
        self.keep_days = keep_days
        self.store = folder / "store"
        self.old, self.new = self.release("o"), self.release("n")
        self.hosts = [self._host(folder / name) for name in ("one", "two", "three")]
        self.environment = Environment(
            "staging", tuple(host.host for host in self.hosts), "key", "key", (_KEY,),
            batch=3, window_s=window_s, bake=Bake(seconds=bake_s),
        )  # fmt: skip
        self.events: list[Event] = []
        self.show: Callable[[Event], None] = self.events.append
        self.go_on_undisturbed: Callable[[], None] = lambda: None
        self.when: Callable[[str, str], None] = lambda _host, _order: None

    def release(self, letter: str) -> str:
        """A path of the store that is a release."""
        path = self.store / f"{letter * 32}-windlass"
        path.mkdir(parents=True, exist_ok=True)
        (path / "release.json").write_text(json.dumps({"version": "1", "commit": letter * 40}))
        return str(path)

    def deploy(self, path: str, deploy: str = "mine") -> Outcome:
        """Carry a deployment out, here and now."""
        change = Change(deploy, path, "alice@desk", "because", Signed("", ""))
        there = {host.name for host in self.environment.hosts}
        hosts = [host for host in self.hosts if host.name in there]
        return carry_out(
            change, self.environment, hosts, Progress(self.show), self.go_on_undisturbed
        )

    def host(self, name: str) -> Near:
        """The host of a name."""
        (found,) = [one for one in self.hosts if one.name == name]
        return found

    def breaks(self, host: str, path: str) -> None:
        """A release does not get well on a host."""
        self.host(host).service.broken.add(path)

    def at(self) -> list[str]:
        """What the hosts are set to."""
        return [host.site.current() for host in self.hosts]

    def _told(self, host: str, order: str) -> None:
        self.when(host, order)

    def _host(self, base: Path) -> Near:
        site = Site(base, self.store, spare_bytes=1 << 16)
        for folder in (site.links, site.record, site.releases, site.stack / "log"):
            folder.mkdir(parents=True)
        config = SiteConfig("staging", needs_approval=False, keep=2, keep_days=self.keep_days,
                            start_timeout_s=5.0)  # fmt: skip
        (base / "site.json").write_bytes(msgspec.json.encode(config))
        for link in (site.profile, site.agent):
            link.symlink_to(self.old)
        shell = NearShell({})
        switching = Switching(site, NearService(site, shell), NearPermission(site, shell))
        return Near(
            Host(base.name, base.name, _KEY), shell, base,
            agent=Agent(site, shell, switching),
            before=self._told,
        )  # fmt: skip
