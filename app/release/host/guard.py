"""The guard: takes a switch back when its deadline passes, whatever became of the deployer.

It runs beside the service, as a unit of its own that is started again whenever it ends, from the
release that was confirmed last. When another one is confirmed, it becomes that.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from app import log
from app.errors import AppError
from app.release.host.site import write_durably

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.release.host.site import Site
    from app.release.host.switching import Switching

POLL_S = 0.5
_PAUSE_AFTER_FAILURE_S = 5.0


def watch(switching: Switching, environ: Mapping[str, str]) -> None:
    """Watch the record of switches; never returns."""
    say = log.get(process="guard")
    of = switching.site.agent.resolve()
    say.info("watching", agent=str(of))
    while True:
        pause_s = POLL_S
        try:
            if switching.settle_overdue():
                say.warning("went back: nobody confirmed in time")
            elif switching.site.pending() is None and switching.site.agent.resolve() != of:
                _become(switching.site.agent, switching.site, environ)
        except (AppError, OSError) as error:
            say.error("cannot go back yet", reason=str(error))
            pause_s = _PAUSE_AFTER_FAILURE_S
        time.sleep(pause_s)


def run_service(switching: Switching, environ: Mapping[str, str]) -> None:
    """Become the service of the profile; what the unit of the service runs.

    A switch that is still open when this starts is taken back first: the host, or all of the
    service, has just been started anew. On a new host this waits for the first release.
    """
    site = switching.site
    while not _is_settled(switching):
        time.sleep(POLL_S)
    while not site.current():
        time.sleep(POLL_S)
    # supervisord stays of this release until the next start: it must not be collected.
    write_durably(site.record / "started", site.current().encode())
    program = str(Path(site.current(), "bin", "windlass"))
    os.execve(program, (program, "up"), site.service_environ(environ))  # noqa: S606


def _is_settled(switching: Switching) -> bool:
    """Whether the profile names what this host shall run now."""
    try:
        switching.settle_overdue(started_anew=True)
    except (AppError, OSError) as error:
        # Whoever is just switching may be waiting for the service to start from the origin.
        log.get(process="agent").warning("waiting", reason=str(error))
        pending = switching.site.pending()
        return pending is None or pending.origin == switching.site.current()
    return True


def _become(agent: Path, site: Site, environ: Mapping[str, str]) -> None:
    program = str(Path(agent.resolve(strict=True), "bin", "windlass"))
    words = (program, "host", "--base", str(site.base), "guard")
    os.execve(program, words, dict(environ))  # noqa: S606
