"""Signals, and terminals that go away, in the midst of a run: what was decided comes to its end."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from app.release import interrupts
from app.release.fleet import gather
from app.release.inventory import Host
from app.release.remote import Remote
from app.release.shell import Shell
from tests.release_near import NearFleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_signal_interrupts_and_a_second_does_not_spoil_that() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    interrupts.raise_at_the_first()
    signal.raise_signal(signal.SIGHUP)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    for number in SIGNALS:
        signal.raise_signal(number)


@pytest.mark.parametrize(
    ("order", "event"), [("confirm", "rolled-back"), ("finish", "succeeded"), ("end", "succeeded")]
)
def test_a_signal_decides_until_every_host_is_confirmed_and_not_after(
    tmp_path: Path, order: str, event: str
) -> None:
    fleet = NearFleet(tmp_path)
    interrupts.raise_at_the_first()
    fleet.go_on_undisturbed = interrupts.ignore_from_now_on

    def tell_to_end(_host: str, asked: str) -> None:
        if asked == order:
            os.kill(os.getpid(), signal.SIGTERM)

    fleet.when = tell_to_end
    outcome = fleet.deploy(fleet.new)
    assert outcome.event == event
    assert fleet.at() == [fleet.new if event == "succeeded" else fleet.old] * 3


def test_a_signal_does_not_interrupt_the_way_back(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    fleet.breaks("three", fleet.new)
    interrupts.raise_at_the_first()
    fleet.go_on_undisturbed = interrupts.ignore_from_now_on
    fleet.when = lambda _host, order: (
        os.kill(os.getpid(), signal.SIGINT) if order == "back" else None
    )
    outcome = fleet.deploy(fleet.new)
    assert (outcome.event, fleet.at()) == ("rolled-back", [fleet.old] * 3)
    assert "three" in outcome.hosts


def test_an_error_of_our_own_takes_every_host_back_before_it_is_shown(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)

    def wrong(_host: str, order: str) -> None:
        if order == "confirm":
            raise TypeError("it is meant to be wrong")

    fleet.when = wrong
    with pytest.raises(TypeError, match="meant to be wrong"):
        fleet.deploy(fleet.new)
    assert fleet.at() == [fleet.old] * 3


def test_a_terminal_that_is_gone_ends_no_run(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)

    def gone(_event: object) -> None:
        raise BrokenPipeError

    fleet.show = gone
    assert fleet.deploy(fleet.new).event == "succeeded"


def test_who_is_interrupted_waits_for_no_command_on_any_host(tmp_path: Path) -> None:
    shell = Shell({"PATH": os.environ["PATH"]})
    remotes = [Remote(Host(name, name, "key"), shell, tmp_path) for name in ("one", "two")]
    script = "touch $0; exec sleep 600"
    interrupts.raise_at_the_first()

    def when_both_run() -> None:
        deadline = time.monotonic() + 30
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    telling = threading.Thread(target=when_both_run)
    telling.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        gather(
            remotes,
            lambda one: one.shell.attempt(
                ("sh", "-c", script, str(tmp_path / one.name)), timeout_s=600.0
            ),
        )
    telling.join()
    assert time.monotonic() - begun < 60
