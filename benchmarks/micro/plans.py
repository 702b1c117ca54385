"""Production plans: the solver alone, and the JSON around it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app import dispatch
from app.planning import answer, decode
from app.planning.work import solve
from benchmarks.dispatch import families
from benchmarks.machine import ROOT
from benchmarks.micro.work import expect

if TYPE_CHECKING:
    from benchmarks.micro.work import Work

_PAYLOAD = ROOT / "tests" / "data" / "powerplant" / "payload3.json"
_SEED = 1


def payloads() -> Work:
    """Read a payload, and write its answer in both forms."""
    body = _PAYLOAD.read_bytes()
    request = decode(body)
    plan = solve(request, co2=True)

    def work() -> None:
        decode(body)
        answer.plain(plan)
        answer.detailed(request, plan, co2=True)

    expect(b'"cost"' in answer.detailed(request, plan, co2=True), "the answer has no cost")
    return work


def dispatching() -> Work:
    """Solve the contract's own problem, and an ordinary one of 100 plants."""
    small = decode(_PAYLOAD.read_bytes())
    large = families.draw("ordinary", 100, _SEED)

    def work() -> None:
        dispatch.plan(small.load, small.fuels, small.plants)
        dispatch.plan(large.load, large.fuels, large.plants)

    found = dispatch.plan(large.load, large.fuels, large.plants)
    wrong = dispatch.verify(large.load, large.fuels, large.plants, found)
    expect(not wrong, "; ".join(wrong))
    return work
