"""W3C Trace Context: what is taken over, and what is passed over."""

from __future__ import annotations

import pytest

from app.telemetry.trace import PassOn, read

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def test_sound_parent_is_taken_over_and_gets_a_span_of_its_own() -> None:
    found = read(f"00-{TRACE}-{PARENT}-01", "congo=t61rcWkgMzE , rojo=00f067aa0ba902b7")
    assert found is not None
    assert (found.trace_id, found.parent_id, found.flags) == (TRACE, PARENT, 1)
    assert found.span_id != PARENT
    assert found.headers() == {
        "traceparent": f"00-{TRACE}-{found.span_id}-01",
        "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",
    }


@pytest.mark.parametrize(
    "parent",
    [
        "", "00", f"00-{TRACE}-{PARENT}", f"00-{TRACE}-{PARENT}-01-more", f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01", f"00-{TRACE}-{PARENT}-0g", f"00-{TRACE}-{PARENT}-01\n",
        f" 00-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-01.more",
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01", "x" * 100_000,
    ],
    ids=range(15),
)  # fmt: skip
def test_unsound_parent_is_passed_over(parent: str) -> None:
    assert read(parent, "") is None


def test_later_version_may_say_more() -> None:
    found = read(f"cc-{TRACE}-{PARENT}-03-what-the-future-holds", "")
    assert found is not None
    assert found.headers()["traceparent"].startswith(f"00-{TRACE}-")
    assert found.flags == 1, "only what is known of the flags"


@pytest.mark.parametrize(
    "state",
    ["no-value", "UPPER=1", "a=1,a=2", "a==", "a=\x01", "=1",
     ",".join(f"k{n}=1" for n in range(33)), "a=" + "1" * 600, "a=1\r\nX: y"],
    ids=range(9),
)  # fmt: skip
def test_unsound_state_is_dropped_and_the_trace_kept(state: str) -> None:
    found = read(f"00-{TRACE}-{PARENT}-00", state)
    assert found is not None
    assert found.state == ""
    assert "tracestate" not in found.headers()


def test_without_a_parent_a_state_makes_no_trace() -> None:
    assert PassOn().begin("", "a=1") is None
