"""The bake time of a whole run: what clients got decides, as Nginx's log on each host has it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.release_near import Near, NearFleet

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = 400


def log(host: Near, errors: int, slow_s: float, *, before: bool) -> None:
    """Have Nginx's log hold requests: of which so many failed, and one in twenty was slow."""
    pending = host.site.pending()
    assert pending is not None
    switched = datetime.fromtimestamp(pending.at, UTC)
    file = host.site.stack / "log" / "nginx.log"
    with file.open("a") as lines:
        for number in range(REQUESTS):
            share = (number + 1) / (REQUESTS + 1)
            at = switched + (timedelta(seconds=-30 * share - 2) if before
                             else timedelta(seconds=0.001 + share / 100))  # fmt: skip
            line = {
                "timestamp": at.isoformat(),
                "status": 500 if number < errors else 200,
                "duration_s": slow_s if number % 20 == 0 else 0.01,
            }
            lines.write(json.dumps(line) + "\n")


@pytest.mark.parametrize("quiet_before", [False, True])
@pytest.mark.parametrize(
    ("errors", "slow_s", "goes_back"),
    [(0, 0.01, False), (0, 0.09, False), (1, 0.01, False), (REQUESTS // 20, 0.01, True)],
    ids=["sound", "slow-noise", "one-error", "five-percent"],
)
def test_traffic_decides_whether_a_release_stays(
    tmp_path: Path, errors: int, slow_s: float, *, goes_back: bool, quiet_before: bool
) -> None:
    fleet = NearFleet(tmp_path, bake_s=1)
    asked = set()

    def clients(name: str, order: str) -> None:
        if order == "traffic" and name not in asked:
            asked.add(name)
            (host,) = [one for one in fleet.hosts if one.name == name]
            if not quiet_before:
                log(host, 0, 0.01, before=True)
            log(host, errors, slow_s, before=False)

    fleet.when = clients
    outcome = fleet.deploy(fleet.new)
    assert asked == {"one", "two", "three"}
    assert outcome.all_as_wanted, outcome
    if goes_back:
        assert "20 of 400 requests were answered 5xx (5.00 %; before: " in outcome.fault
        assert fleet.at() == [fleet.old] * 3
    else:
        assert outcome.fault == ""
        assert fleet.at() == [fleet.new] * 3


def test_a_service_that_is_closed_for_maintenance_convicts_no_release(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path, bake_s=60)
    for host in fleet.hosts:
        host.site.maintenance.touch()

    def clients(name: str, order: str) -> None:
        if order == "traffic":
            (host,) = [one for one in fleet.hosts if one.name == name]
            log(host, REQUESTS, 0.01, before=False)

    fleet.when = clients
    outcome = fleet.deploy(fleet.new)
    assert outcome.fault == ""
    assert fleet.at() == [fleet.new] * 3
    assert [one.text for one in fleet.events if (one.step, one.state) == ("bake", "said")] == [
        "closed for maintenance: clients' requests say no more of it"
    ]
