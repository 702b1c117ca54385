"""The master's part in counting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from app.process.ledger import Ledger
from app.process.options import MasterOptions
from app.process.state import Child, MasterState
from app.telemetry import catalogue
from app.telemetry.memory import Memory, Origin
from app.telemetry.meter import Meter
from app.telemetry.totals import WORKER, Totals, add_up

if TYPE_CHECKING:
    import pytest

    from app.process.worker import WorkerContext

ROUTES = 400


def serve(context: WorkerContext) -> None:
    raise NotImplementedError(context)


OPTIONS = MasterOptions(Path("/"), 1, "r", serve, ("master",), lambda: ("master",), 1.0, 1.0, {})


def test_counters_that_the_dead_have_no_room_for_are_told_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = MasterState(os.getpid(), 1.0, 1, "r", [], [])
    ledger = Ledger(OPTIONS, state)
    memory = Memory(state.metrics_fd)

    def counted() -> Totals:
        return add_up(memory.read())

    sent = 0
    for pid in (1001, 1002, 1003):
        region = ledger.region()
        assert region is not None
        child = Child(pid, 0, 1, 1.0, "r", state="stopping")
        ledger.forked(child, region)
        region.sign(Origin(WORKER, 0, pid, 1.0, "1", "c", "r"))
        meter = Meter(region)
        for route in range(ROUTES):
            meter.of_requests("GET", f"/{pid}/{route}", 200)(0.001)
        sent += ROUTES
        ledger.ended(child, "exited")
    missing = sent - sum(counted().requests().values())
    assert missing > ROUTES
    assert counted().sum_of(catalogue.LOST_SERIES.name) == missing
    assert "".join(capsys.readouterr()).count("counters have gone back") == 1
    os.close(state.metrics_fd)
