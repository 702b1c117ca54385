"""Which releases a host keeps: the newest by number and by age, and what it must never lose."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.release import argv
from app.release.host import lease
from app.release.messages import Collected

if TYPE_CHECKING:
    from app.release.host.site import Site
    from app.release.messages import Collect, Held
    from app.release.shell import Shell

_DAY_S = 86_400
_KEPT_GENERATIONS = 2
_PATIENCE_S = 5.0
COLLECT_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Retention:
    """Forgets releases."""

    site: Site
    shell: Shell

    def collect(self, order: Collect) -> Collected:
        """Forget what need not be kept, and collect what nothing else keeps.

        Only under the lease: a release that is just being copied has no link yet.
        """
        lease.require(self.site, order)
        with self.site.activating(_PATIENCE_S):
            gone = self._not_needed()
            return Collected(gone, 0) if order.dry_run else self._collect(gone)

    def forget(self, order: Held) -> Collected:
        """As `collect`, where there is a release to forget; else the store is left alone."""
        lease.require(self.site, order)
        with self.site.activating(_PATIENCE_S):
            gone = self._not_needed()
            return self._collect(gone) if gone else Collected([], 0)

    def _not_needed(self) -> list[str]:
        return sorted(set(kept(self.site)) - self.needed(time.time()))

    def _collect(self, gone: list[str]) -> Collected:
        before = free_bytes(self.site)
        for path in gone:
            (self.site.releases / path.rpartition("/")[2]).unlink(missing_ok=True)
        self.shell.run(
            argv.delete_generations(self.site.profile, _KEPT_GENERATIONS), timeout_s=60.0
        )
        self.shell.run(argv.collect_garbage(), timeout_s=COLLECT_TIMEOUT_S)
        return Collected(gone, max(0, free_bytes(self.site) - before))

    def needed(self, now: float) -> set[str]:
        """The releases that stay: running, the way back, the agent's, the newest, the young."""
        site, config = self.site, self.site.config()
        confirmed, pending = site.confirmed(), site.pending()
        needed = {site.current(), str(site.agent.resolve()), started_from(site)}
        if confirmed:
            needed.add(confirmed[-1].origin)
        if pending:
            needed |= {pending.origin, pending.path}
        newest = list(dict.fromkeys(entry.path for entry in reversed(confirmed)))
        needed |= set(newest[: config.keep])
        needed |= {e.path for e in confirmed if now - e.at < config.keep_days * _DAY_S}
        return needed


def kept(site: Site) -> list[str]:
    """The releases that this host keeps, whole and in its store."""
    links = [link for link in site.releases.iterdir() if link.is_symlink() and link.exists()]
    return sorted(str(link.readlink()) for link in links)


def free_bytes(site: Site) -> int:
    """The bytes that are free in the file system of the store."""
    found = os.statvfs(site.store)
    return found.f_bavail * found.f_frsize


def started_from(site: Site) -> str:
    """The release whose supervisord runs the service: that of its last start; empty: unknown."""
    try:
        return (site.record / "started").read_text()
    except OSError:
        return ""
