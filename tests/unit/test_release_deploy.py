"""A deployer that has lost its lease: wherever it learns of it, it changes nothing and ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from app.errors import ConfigError, RefusedError, UnreachableError
from app.release import display
from app.release.change import Change
from app.release.host import audit, lease
from app.release.messages import Back, Begin, Held, Lease, Nothing, Switch
from tests.release_near import Near, NearFleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.release.change import Outcome

CHANGES = {"switch", "confirm", "back", "end"}


def is_anothers(host: Near) -> None:
    """What becomes of a host while its deployer is asleep: it goes back, another one takes it."""
    site = host.site
    with site.recording():
        pending, held = site.pending(), site.lease()
        held.deadline_s = 0.0
        site.write("lease", held)
        if pending is not None:
            pending.deadline_s = 0.0
            site.write("switch", pending)
    if pending is not None:
        assert host.agent.switching.settle_overdue()
    lease.take(site, Begin("theirs", "bob@desk", 600.0))


class Asleep:
    """The deployer falls asleep just before the first order of a kind, and wakes up too late."""

    def __init__(
        self, fleet: NearFleet, order: str, meanwhile: Callable[[Near], object] = is_anothers
    ) -> None:
        self.fleet, self.order, self.meanwhile = fleet, order, meanwhile
        self.is_awake = False
        self._lock = threading.Lock()
        fleet.when = self.told

    def told(self, _host: str, order: str) -> None:
        with self._lock:
            if order == self.order and not self.is_awake:
                for one in self.fleet.hosts:
                    self.meanwhile(one)
                self.is_awake = True


def last_line(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> str:
    change = Change("mine", "x", "alice@desk", "", None)
    display.outcome(outcome, change, "staging", 1.0, as_json=False)
    return capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("order", ["check", "switch", "extend", "confirm", "back"])
def test_a_run_that_lost_its_lease_changes_nothing_more_and_ends_at_once(
    tmp_path: Path, order: str
) -> None:
    fleet = NearFleet(
        tmp_path, window_s=8 if order == "extend" else 60, bake_s=60 if order == "extend" else 0
    )
    if order == "back":
        fleet.breaks("three", fleet.new)
    Asleep(fleet, order)
    outcome = fleet.deploy(fleet.new)
    assert outcome.lost
    for host in fleet.hosts:
        assert host.orders.count("traffic") < 10, "it goes on watching for nobody"
        assert host.orders.count("back") <= 1, "a refusal for the lease is final"
    if order != "back":  # there the broken release is the reason, and was before
        assert "the lease of mine is over: bob@desk (theirs) has it now" in outcome.fault
    assert fleet.at() == [fleet.old] * 3
    assert [host.site.lease().deploy for host in fleet.hosts] == ["theirs"] * 3


def test_a_host_that_said_so_is_given_no_further_order(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    Asleep(fleet, "confirm")
    fleet.deploy(fleet.new)
    (two,) = [host for host in fleet.hosts if host.name == "two"]
    after = two.orders[two.orders.index("confirm") + 1 :]
    assert CHANGES.isdisjoint(after), after


def test_only_the_host_that_is_lost_is_left_alone(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    two = fleet.hosts[1]
    Asleep(fleet, "confirm", lambda host: is_anothers(host) if host is two else None)
    outcome = fleet.deploy(fleet.new)
    assert outcome.lost == ("two",)
    assert outcome.all_as_wanted, outcome
    assert fleet.at() == [fleet.old] * 3
    for host in (fleet.hosts[0], fleet.hosts[2]):
        assert "back" in host.orders
        assert host.site.lease().deploy == "", "its lease was let go"


def test_the_last_line_claims_nothing_of_hosts_that_are_anothers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = NearFleet(tmp_path)
    other = fleet.release("t")

    def switched_by_another(host: Near) -> None:
        is_anothers(host)
        fence = host.site.lease().fence
        host.agent.switching.switch(Switch(fence, "theirs", other, 600.0, "bob@desk", ""))

    Asleep(fleet, "confirm", switched_by_another)
    outcome = fleet.deploy(fleet.new)
    assert not outcome.all_as_wanted
    for text in outcome.hosts.values():
        assert text == f"{other}, which bob@desk is deploying (theirs)"
    line = last_line(outcome, capsys)
    assert line.startswith("This run no longer has the lease of one, two, three, and changed not")


def test_a_run_that_cannot_say_that_it_is_complete_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = NearFleet(tmp_path)
    Asleep(fleet, "end")
    outcome = fleet.deploy(fleet.new)
    assert outcome.fault == ""
    assert not outcome.all_as_wanted
    assert (outcome.event, outcome.reason) == (
        "failed", "it was confirmed, but not every host is known to be well"
    )  # fmt: skip
    assert "does not know that every host has it: run the same again" in outcome.hosts["three"]
    assert "ended, but not every host is well" in last_line(outcome, capsys)
    assert fleet.at() == [fleet.new] * 3


def test_a_run_that_goes_well_is_complete_on_every_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = NearFleet(tmp_path)
    outcome = fleet.deploy(fleet.new)
    assert (outcome.all_as_wanted, outcome.event, outcome.reason) == (True, "succeeded", "")
    assert outcome.lost == ()
    assert last_line(outcome, capsys).startswith("The deployment to staging succeeded")
    for host in fleet.hosts:
        (entry,) = host.site.confirmed()
        assert (entry.path, entry.complete) == (fleet.new, True)
        assert host.site.lease().deploy == ""


def test_a_host_that_cannot_be_reached_is_not_asked_in_vain_to_end(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    two = fleet.host("two")
    fleet.breaks("three", fleet.new)
    fleet.when = lambda host, order: (
        two.cut.add("link") if (host, order) == ("two", "back") else None
    )
    outcome = fleet.deploy(fleet.new)
    assert "it goes back by itself within 60 s" in outcome.hosts["two"]
    assert outcome.event == "failed", "of one host it is not known that it is back"
    assert outcome.reason.endswith("NOT every host is known to be back")
    assert two.orders[-1] == "status"
    assert (fleet.at()[0], fleet.at()[2]) == (fleet.old, fleet.old)


def test_of_a_host_whose_answer_to_the_confirmation_is_lost_nothing_is_promised(
    tmp_path: Path,
) -> None:
    fleet = NearFleet(tmp_path)
    two = fleet.host("two")

    def refused_on_three(host: str, order: str) -> None:
        if (host, order) == ("two", "back"):
            two.cut.add("link")
        if (host, order) == ("three", "confirm"):
            raise RefusedError("unhealthy", "it is meant to fail")

    fleet.when = refused_on_three
    outcome = fleet.deploy(fleet.new)
    assert fleet.at() == [fleet.old, fleet.new, fleet.old]
    assert "it may be confirmed with" in outcome.hosts["two"]
    assert outcome.hosts["two"].endswith("run the same again")


def test_of_a_host_that_was_confirmed_no_way_back_is_told(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    two = fleet.host("two")
    fleet.when = lambda host, order: (
        two.cut.add("link") if (host, order) == ("two", "finish") else None
    )
    outcome = fleet.deploy(fleet.new)
    assert f"it was confirmed with {fleet.new}" in outcome.hosts["two"]
    assert outcome.event == "failed"


@pytest.mark.parametrize("order", ["switch", "confirm", "back"])
def test_an_order_without_lease_does_not_wait_for_anothers_switch(
    tmp_path: Path, order: str
) -> None:
    host = NearFleet(tmp_path).hosts[0]
    mine = lease.take(host.site, Begin("mine", "alice@desk", 600.0))
    is_anothers(host)
    switching = host.agent.switching
    given: dict[str, Callable[[], object]] = {
        "switch": lambda: switching.switch(Switch(mine.fence, "mine", "x", 60.0, "alice@desk", "")),
        "confirm": lambda: switching.confirm(Held(mine.fence, "mine")),
        "back": lambda: switching.back(Back(mine.fence, "mine", "alice@desk", "")),
    }
    # Where it waits for that, what comes back is `busy`.
    with host.site.activating(0.0), pytest.raises(RefusedError) as caught:
        given[order]()
    assert caught.value.code == "fence"


def test_an_interrupted_run_takes_every_host_back_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = NearFleet(tmp_path)

    def interrupt(_host: str, order: str) -> None:
        if order == "confirm":
            raise KeyboardInterrupt

    fleet.when = interrupt
    outcome = fleet.deploy(fleet.new)
    assert (outcome.fault, outcome.event) == ("interrupted", "rolled-back")
    assert fleet.at() == [fleet.old] * 3
    line = last_line(outcome, capsys)
    assert line == "Every host is back on the release that it ran before."


def test_a_host_that_is_too_busy_to_say_how_it_is_is_asked_again_before_it_refuses(
    tmp_path: Path,
) -> None:
    fleet = NearFleet(tmp_path)

    def busy(name: str, order: str) -> None:
        if (name, order) == ("two", "confirm"):
            fleet.host(name).service.said.extend(["supervisord did not answer"] * 2)

    fleet.when = busy
    outcome = fleet.deploy(fleet.new)
    assert outcome.fault == ""
    assert fleet.at() == [fleet.new] * 3


def refusing(order: str) -> Callable[[str, str], None]:
    """Have every host refuse an order."""

    def told(_host: str, asked: str) -> None:
        if asked == order:
            raise RefusedError("unfit", "it is meant to fail")

    return told


def test_a_run_that_fails_leaves_a_release_that_every_host_had_been_confirmed_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = NearFleet(tmp_path)
    three = fleet.host("three")
    fleet.when = lambda host, order: (
        three.cut.add("link") if (host, order) == ("three", "finish") else None
    )
    assert "run the same again" in fleet.deploy(fleet.new, "first").hosts["three"]
    three.cut.clear()
    with three.site.recording():
        three.site.write("lease", Lease(3))  # it has run out
    fleet.when = refusing("check")
    outcome = fleet.deploy(fleet.new, "second")
    assert outcome.fault
    assert fleet.at() == [fleet.new] * 3
    assert (outcome.all_as_wanted, outcome.event) == (True, "failed")
    assert last_line(outcome, capsys) == "No host was switched; each runs what it ran before."
    fleet.when = lambda _host, _order: None
    assert fleet.deploy(fleet.new, "third").all_as_wanted
    assert all(host.site.confirmed()[-1].complete for host in fleet.hosts)


def test_a_run_that_fails_takes_back_what_an_earlier_one_brought_to_some_hosts_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = NearFleet(tmp_path)
    before = fleet.release("b")
    assert fleet.deploy(before, "zeroth").all_as_wanted
    one = fleet.host("one")
    switching, fence = one.agent.switching, one.agent.begin(Begin("died", "bob@desk", 60.0)).fence
    switching.switch(Switch(fence, "died", fleet.new, 60.0, "bob@desk", ""))
    switching.confirm(Held(fence, "died"))
    lease.release(one.site, Held(fence, "died"))
    fleet.when = refusing("check")
    outcome = fleet.deploy(fleet.new)
    assert fleet.at() == [before] * 3
    assert last_line(outcome, capsys) == "Every host is back on the release that it ran before."


def test_a_host_that_went_back_by_itself_says_so_until_the_next_confirmation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = NearFleet(tmp_path)
    one = fleet.host("one")
    fence = one.agent.begin(Begin("died", "bob@desk", 60.0)).fence
    one.agent.switching.switch(Switch(fence, "died", fleet.new, 60.0, "bob@desk", ""))
    is_anothers(one)
    lease.release(one.site, Held(fence + 1, "theirs"))
    display.status("staging", {"one": one.agent.status(Nothing())}, as_json=False)
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"one: went back from {fleet.new}, ")
    assert said.endswith(" ago: nobody confirmed it in time")
    assert fleet.deploy(fleet.new).all_as_wanted
    assert one.agent.status(Nothing()).went_back is None


def test_a_switch_never_stays_open_for_longer_than_its_lease(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    one = fleet.host("one")
    fence = one.agent.begin(Begin("died", "bob@desk", 5.0)).fence
    one.agent.switching.switch(Switch(fence, "died", fleet.new, 600.0, "bob@desk", ""))
    pending, held = one.site.pending(), one.site.lease()
    assert pending is not None
    assert pending.deadline_s == held.deadline_s


def test_a_switch_that_a_dead_run_left_open_is_taken_back_and_made_anew(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    one = fleet.host("one")
    fence = one.agent.begin(Begin("died", "bob@desk", 60.0)).fence
    one.agent.switching.switch(Switch(fence, "died", fleet.new, 600.0, "bob@desk", ""))
    lease.release(one.site, Held(fence, "died"))
    assert fleet.deploy(fleet.new).all_as_wanted
    for host in fleet.hosts:
        assert host.site.pending() is None
        assert [entry.deploy for entry in host.site.confirmed()] == ["mine"]


def test_a_host_that_cannot_go_back_yet_gives_its_lease_to_nobody(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    one = fleet.host("one")
    fence = one.agent.begin(Begin("died", "bob@desk", 60.0)).fence
    one.agent.switching.switch(Switch(fence, "died", fleet.new, 600.0, "bob@desk", ""))
    lease.release(one.site, Held(fence, "died"))
    fleet.breaks("one", fleet.old)
    with pytest.raises(RefusedError, match="the host goes on trying"):
        fleet.deploy(fleet.new)
    assert one.site.lease().deploy == ""


def test_a_release_that_could_take_no_order_is_never_switched_to(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    fleet.host("two").service.mute.add(fleet.new)
    outcome = fleet.deploy(fleet.new)
    assert "two: as this host's agent it gives no answer" in outcome.fault
    assert not outcome.was_switched
    assert fleet.at() == [fleet.old] * 3


def test_a_host_that_is_down_is_left_out_when_it_is_named_and_caught_up_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = NearFleet(tmp_path)
    before = fleet.release("b")
    assert fleet.deploy(before, "zeroth").event == "succeeded"
    fleet.host("two").cut.add("power")
    with pytest.raises(UnreachableError, match="is left out by: --without HOST"):
        fleet.deploy(fleet.new, "first")
    whole = fleet.environment
    fleet.environment = whole.leaving_out(["two"])
    outcome = fleet.deploy(fleet.new, "second")
    assert (outcome.event, fleet.at()) == ("succeeded", [fleet.new, before, fleet.new])
    assert outcome.hosts["two"] == "was left out; nothing is known of it"
    line = last_line(outcome, capsys)
    assert line.startswith("The deployment to staging without two succeeded")
    one = fleet.host("one").site
    assert not one.confirmed()[-1].complete, "it counts as verified nowhere"
    assert next(audit.newest(one)).result == "complete without two"

    fleet.host("two").cut.clear()
    fleet.environment = whole
    fleet.when = refusing("check")
    fleet.deploy(fleet.new, "third")
    assert fleet.at() == [fleet.new, before, fleet.new], "that was wanted so"
    fleet.when = lambda _host, _order: None
    assert fleet.deploy(fleet.new, "fourth").event == "succeeded"
    assert all(host.site.confirmed()[-1].complete for host in fleet.hosts)


def test_only_hosts_that_there_are_can_be_left_out_and_not_all(tmp_path: Path) -> None:
    environment = NearFleet(tmp_path).environment
    with pytest.raises(ConfigError, match="four: there are: one, two, three"):
        environment.leaving_out(["four"])
    with pytest.raises(ConfigError, match="at least one host must be left"):
        environment.leaving_out(["one", "two", "three"])
