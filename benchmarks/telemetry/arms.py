"""What is on in each arm; `bare` is what all are compared with."""

from __future__ import annotations

from dataclasses import dataclass

BARE, DEFAULT, ALL = "bare", "as it comes", "all"
TRACEPARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm.

    Attributes:
        metrics: whether the worker counts.
        lines: the requests for which it writes an access line: the value of ACCESS_LOG.
        traced: whether each request is part of a trace.
    """

    metrics: bool = False
    lines: str = "no"
    traced: bool = False

    @property
    def settings(self) -> dict[str, str]:
        """The settings of its stack."""
        return {
            "METRICS": "yes" if self.metrics else "no",
            "ACCESS_LOG": self.lines,
        }

    def request(self, plain: bytes) -> bytes:
        """What is sent: a request, with the field of a trace where there is one."""
        if not self.traced:
            return plain
        first, _, rest = plain.partition(b"\r\n")
        return first + b"\r\n" + TRACEPARENT + rest


ARMS = {
    BARE: Arm(),
    "metrics": Arm(metrics=True),
    "a line each": Arm(lines="yes"),
    "tracing": Arm(traced=True),
    DEFAULT: Arm(metrics=True, lines="unusual", traced=True),
    ALL: Arm(metrics=True, lines="yes", traced=True),
}


def server_of(arm: str) -> str:
    """The arm whose server takes an arm's requests: a trace is in those, not in the settings."""
    wanted = ARMS[arm].settings
    return next(name for name, other in ARMS.items() if other.settings == wanted)
