"""The connections of the store by themselves, for commands that the service never sends."""

from __future__ import annotations

from app.config import Secret
from app.store.breaker import Breaker
from app.store.connecting import Connector
from app.store.lanes import Lanes


def make_lanes(
    address: str,
    *,
    timeout_s: float = 5.0,
    connections: int = 4,
    queue: int = 4096,
    batch: int = 64,
) -> Lanes:
    """Lanes with the bounds of the service and pauses without jitter; nothing is connected yet."""
    return Lanes(
        Connector(Secret(address), timeout_s=timeout_s),
        Breaker(threshold=3, shortest_s=0.05, longest_s=0.8, random=lambda: 1.0),
        timeout_s=timeout_s,
        connections=connections,
        queue=queue,
        batch=batch,
    )
