"""What a worker shows of its event loop: a late second, and lateness that lasts."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from app.config import Secret
from app.store import RedisStore
from app.telemetry import vitals
from app.telemetry.catalogue import LAG_LASTING, LAG_LASTING_S, LAG_WORST
from app.telemetry.memory import Memory, Origin
from app.telemetry.meter import Meter
from app.telemetry.totals import WORKER, add_up

if TYPE_CHECKING:
    import pytest

TICK_S = 0.01
LOOK_S = 10 * TICK_S
HELD_S = 0.08


def test_one_late_second_is_shown_and_does_not_last_but_five_in_a_row_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vitals, "TICK_S", TICK_S)
    memory = Memory.make()
    region = memory.free(frozenset())
    assert region is not None
    region.assign(1)
    region.sign(Origin(WORKER, 0, 1, 1.0, "1", "c", "r"))
    worst, lasting = [], []

    async def pass_looks(held: float = 0.0) -> None:
        """Until the lag is shown anew, more often than it is looked back at."""
        for _ in range(3 * LAG_LASTING_S):
            time.sleep(held)  # noqa: ASYNC251 - what holds the event loop
            await asyncio.sleep(LOOK_S - held)
            shown = add_up(memory.read())
            worst.append(shown.gauge(LAG_WORST.name)[0])
            lasting.append(shown.gauge(LAG_LASTING.name).get(0, 0.0))

    async def scenario() -> None:
        store = RedisStore(Secret("redis://127.0.0.1:1"), timeout_s=1, connections=1)
        watch = vitals.Vitals(Meter(region), store, lambda: 0)
        watch.start()
        time.sleep(HELD_S)  # noqa: ASYNC251 - once
        await pass_looks()
        assert max(worst) >= HELD_S / 2
        assert max(lasting) < HELD_S / 2
        await pass_looks(HELD_S)
        assert lasting[-1] >= HELD_S / 2
        await pass_looks()
        assert lasting[-1] < HELD_S / 2
        time.sleep(LAG_LASTING_S * LOOK_S)  # noqa: ASYNC251 - five looks at once
        await asyncio.sleep(2 * TICK_S)
        assert add_up(memory.read()).gauge(LAG_LASTING.name)[0] >= HELD_S
        watch.stop()
        await store.close()

    asyncio.run(scenario())
    os.close(memory.descriptor)
