"""Upgrades and ways back under load, and the control: the restart that they spare."""

from __future__ import annotations

import os
import signal
import time

from benchmarks.chaos.plot import Mark
from benchmarks.chaos.site import Site, site, wait_for
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import Outcome, Verdict, none_failed, some_failed, within

RATE_HZ = 300.0
LONG_RATE_HZ = 500.0
LONG_REQUESTS = 200_000
BACK_WITHIN_S = 1.0
_SETTLE_S = 1.0
_RESTARTS = 2
_PATIENCE_S = 60.0
_OPEN = {"checking", "under way"}


def run(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Upgrade again and again between two releases; go back now and then."""
    upgrades, every, least = (100, 5, LONG_REQUESTS) if is_long else (5, 2, 1000)
    doings = _Doings()
    with site(STANDBY_S="600") as stack:
        others = [stack.make("other"), stack.good]
        with traffic(stack, LONG_RATE_HZ if is_long else RATE_HZ) as sent:
            begun = time.monotonic()
            master = stack.master.pid
            for number in range(1, upgrades + 1):
                time.sleep(_SETTLE_S)
                stack.install(others[number % 2])
                doings.upgrade(stack, f"upgrade {number}")
                if number % every == 0:
                    doings.go_back(stack, f"way back {number // every}")
            while is_long and (time.monotonic() - begun) * LONG_RATE_HZ < least * 1.01:
                time.sleep(_SETTLE_S)
        same = stack.master.pid == master
    return Outcome(
        [
            *none_failed(sent.record, least),
            Verdict("every upgrade and way back succeeds in the same process",
                    f"{len(doings.done)} of {upgrades + upgrades // every} done, "
                    f"master {'the same' if same else 'another'}",
                    kept=same and len(doings.done) == upgrades + upgrades // every),
            within("with a standby a way back takes less than a second, from the signal to the "
                   "master's word that it is done",
                   doings.back_s, BACK_WITHIN_S),
        ],
        sent.record,
        {"upgrades_s": doings.upgrades_s, "ways_back_s": doings.back_s, "refused": doings.refused},
        doings.marks,
    )  # fmt: skip


def restart(is_long: bool) -> Outcome:  # noqa: FBT001
    """Restart the master by supervisorctl: a client that sees no failure here sees none at all."""
    marks = []
    with site() as stack, traffic(stack, RATE_HZ) as sent:
        for number in range(_RESTARTS * (5 if is_long else 1)):
            time.sleep(_SETTLE_S)
            begun = time.monotonic()
            stack.supervisorctl("restart", "web")
            marks.append(Mark(f"restart {number + 1}", begun, time.monotonic()))
            time.sleep(_SETTLE_S)
    return Outcome([some_failed(sent.record, "supervisorctl restart")], sent.record, marks=marks)


class _Doings:
    """What was done to a site, how it went and how long it took."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.refused: list[str] = []
        self.done: list[str] = []
        self.upgrades_s: list[float] = []
        self.back_s: list[float] = []

    def upgrade(self, stack: Site, name: str) -> None:
        begun = time.monotonic()
        ran = stack.windlass("reload")
        ended = time.monotonic()
        self.marks.append(Mark(name, begun, ended))
        if ran.returncode != 0:
            self.refused.append(f"{name}: {ran.stderr.strip()[-300:]}")
            return
        self.done.append(name)
        self.upgrades_s.append(ended - begun)

    def go_back(self, stack: Site, name: str) -> None:
        """As `windlass reload --back` does, without the time that the command takes to start."""
        before, begun = stack.master, time.monotonic()

        def judged() -> str:
            now = stack.master
            return now.reload if now.reloads > before.reloads and now.reload not in _OPEN else ""

        os.kill(before.pid, signal.SIGUSR2)
        seconds = wait_for(judged, _PATIENCE_S, "the verdict")
        self.marks.append(Mark(name, begun, time.monotonic()))
        if not judged().startswith("went back"):
            self.refused.append(f"{name}: {judged()}")
            return
        self.done.append(name)
        self.back_s.append(seconds)
