"""What the servers' processes and the command must agree on."""

from __future__ import annotations

REDIS_VARIABLE = "PEERS_REDIS"
"""Environment variable that tells a peer the URL of Redis."""
