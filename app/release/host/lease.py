"""The lease of a host: one deployer at a time, and none for longer than it lives.

Each lease has a number higher than all before it, the fencing token. Every order that changes
something carries it; one that is not the newest, or whose lease has run out, is refused. So a
deployer that was asleep cannot disturb the one that came after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import RefusedError
from app.release.host import site as sites
from app.release.messages import Begin, Extend, Held, Lease

if TYPE_CHECKING:
    from app.release.host.site import Site


def take(site: Site, order: Begin) -> Lease:
    """Give the lease to a deployer.

    Raises:
        RefusedError: a person has locked the host, or another deployer holds the lease.
    """
    with site.recording():
        refuse_when_locked(site)
        held = site.lease()
        left_s = sites.left_s(held.boot, held.deadline_s)
        if held.deploy != order.deploy and left_s > 0:
            raise RefusedError(
                "busy",
                f"{held.by} is deploying ({held.deploy}); if that has died, the lease is free in "
                f"{left_s:.0f} s",
            )
        lease = Lease(
            held.fence + 1, order.deploy, order.by, sites.boot(), sites.in_s(order.window_s)
        )
        site.write("lease", lease)
        return lease


def require(site: Site, order: Held) -> None:
    """Raise unless the order comes from who holds the lease.

    Raises:
        RefusedError: another one does, or nobody.
    """
    held = require_newest(site, order)
    if sites.left_s(held.boot, held.deadline_s) <= 0:
        raise RefusedError(
            "fence", f"the lease of {order.deploy} has run out; what it switched goes back"
        )


def require_newest(site: Site, order: Held) -> Lease:
    """As `require`, for what is harmless after the lease has run out while nobody else has it."""
    held = site.lease()
    if held.fence != order.fence or held.deploy != order.deploy:
        whose = f"{held.by} ({held.deploy}) has it now" if held.deploy else "it was let go"
        raise RefusedError("fence", f"the lease of {order.deploy} is over: {whose}")
    return held


def extend(site: Site, order: Extend) -> None:
    """Have the lease, and the switch that was made under it, last for longer from now on."""
    with site.recording():
        require(site, order)
        deadline_s = prolong(site, order.window_s)
        pending = site.pending()
        # A way back that has begun is not put off.
        if pending is not None and pending.deploy == order.deploy and not pending.attempts:
            pending.deadline_s = deadline_s
            site.write("switch", pending)


def prolong(site: Site, window_s: float) -> float:
    """Have the lease that is held end so many seconds from now; returns when that is."""
    held = site.lease()
    held.deadline_s = sites.in_s(window_s)
    site.write("lease", held)
    return held.deadline_s


def release(site: Site, order: Held) -> None:
    """Let go of the lease; its number stays, so that the next is higher."""
    with site.recording():
        if site.lease().fence == order.fence:
            site.write("lease", Lease(order.fence))


def refuse_when_locked(site: Site) -> None:
    """Raise when a person has locked the host."""
    if lock := site.lock():
        raise RefusedError(
            "locked", f"locked by {lock.by}: {lock.reason}; when that is over: windlass unlock"
        )
