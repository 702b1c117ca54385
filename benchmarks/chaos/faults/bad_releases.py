"""Releases that are not fit to serve: refused or taken back, with a reason; the old one serves."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.chaos.plot import Mark
from benchmarks.chaos.releases import Change
from benchmarks.chaos.site import WORKERS, Site, site, wait_for
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import Outcome, Verdict, none_failed

if TYPE_CHECKING:
    from collections.abc import Mapping

RATE_HZ = 150.0
_START_TIMEOUT_S = 4
_PATIENCE_S = 60.0
_LOG_WITHIN_S = 5.0
_SERVING = "app/serving.py"
_READY = "            context.notify_ready()\n"


@dataclass(frozen=True, slots=True)
class Bad:
    """One way to be unfit.

    Attributes:
        name: for people.
        words: part of the reason that status tells.
        logged: part of what the log says.
        change: of the code; None where a setting is wrong.
        settings: of the file that a reload reads.
    """

    name: str
    words: str
    logged: str
    change: Change | None
    settings: Mapping[str, str] | None = None


_BAD = (
    Bad("crash at import", "RuntimeError: broken at import", "RuntimeError: broken at import",
        Change(_SERVING, "raise RuntimeError('broken at import')\n")),
    Bad("hang at start", "gave no verdict in time", "gave no verdict in time",
        Change(_SERVING, "import time\ntime.sleep(600)\n")),
    Bad("never ready", "not ready in time", "most recent call first",
        Change(_SERVING, "await asyncio.sleep(600)", "orders.listen()")),
    Bad("ready, then crash", "exited with 9", "exited with 9",
        Change(_SERVING, _READY + "            raise SystemExit(9)\n", _READY)),
    Bad("wrong configuration", "LOG_LEVEL", "LOG_LEVEL", None, {"LOG_LEVEL": "shout"}),
)  # fmt: skip


def run(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Ask for an upgrade to each, and look at what serves afterwards."""
    verdicts: list[Verdict] = []
    marks: list[Mark] = []
    rounds = 4 if is_long else 1
    with site(START_TIMEOUT_S=str(_START_TIMEOUT_S)) as stack:
        made = {bad.name: stack.make(f"bad-{number}", bad.change)
                for number, bad in enumerate(_BAD) if bad.change is not None}  # fmt: skip
        with traffic(stack, RATE_HZ) as sent:
            for turn in range(rounds):
                for bad in _BAD:
                    stack.install(made.get(bad.name, stack.good))
                    stack.configure(**(bad.settings or {}))
                    begun = time.monotonic()
                    verdicts += _try(stack, bad, f" ({turn + 1})" if rounds > 1 else "")
                    marks.append(Mark(bad.name, begun, time.monotonic()))
            stack.install(stack.good)
            stack.configure()
            healed = stack.windlass("reload")
    fine = healed.returncode == 0
    told = "it does" if fine else healed.stderr.strip()[-300:]
    verdicts.append(Verdict("a good release takes over afterwards", told, kept=fine))
    return Outcome([*none_failed(sent.record), *verdicts], sent.record, marks=marks)


def _try(stack: Site, bad: Bad, turn: str) -> list[Verdict]:
    before = {child.pid for child in stack.ready().values()}
    asked = stack.master.reloads
    logged = len(stack.log("web"))
    # As an operator's own tool would; `windlass reload` refuses a wrong setting before the master
    # hears of it.
    os.kill(stack.master.pid, signal.SIGHUP)

    def judged() -> bool:
        now = stack.master
        return now.reloads > asked and now.reload not in {"checking", "under way"}

    try:
        seconds = wait_for(judged, _PATIENCE_S, "the master's verdict")
        wait_for(lambda: {c.pid for c in stack.master.children} == before, _PATIENCE_S, "the end")
    except TimeoutError as error:
        return [Verdict(f"{bad.name}{turn}: is refused", str(error), kept=False)]
    told = stack.master.reload
    with contextlib.suppress(TimeoutError):  # lines reach the file by way of supervisord
        wait_for(lambda: bad.logged in stack.log("web")[logged:], _LOG_WITHIN_S, "the log")
    log = stack.log("web")[logged:]
    after = {child.pid for child in stack.ready().values()}
    kept = (told.startswith("failed") and bad.words in told and bad.logged in log
            and after == before and len(after) == WORKERS)  # fmt: skip
    promise = f"{bad.name}{turn}: refused, its reason in status and log; the same workers serve"
    return [Verdict(promise, f"after {seconds:.1f} s: {told[:140]}", kept=kept)]
