"""What is on in each arm; `bare` is what all are compared with."""

from __future__ import annotations

from dataclasses import dataclass

BARE, ALL = "bare", "all"
TRACEPARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm.

    Attributes:
        metrics: whether the worker counts.
        logs: whether it writes an access line for each request.
        traced: whether each request is part of a trace.
    """

    metrics: bool = False
    logs: bool = False
    traced: bool = False

    @property
    def settings(self) -> dict[str, str]:
        """The settings of its stack."""
        return {
            "METRICS": "yes" if self.metrics else "no",
            "ACCESS_LOG": "yes" if self.logs else "no",
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
    "logs": Arm(logs=True),
    "tracing": Arm(traced=True),
    "metrics and tracing": Arm(metrics=True, traced=True),
    ALL: Arm(metrics=True, logs=True, traced=True),
}
