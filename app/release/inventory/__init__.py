"""`deploy.toml`: which environments there are, on which hosts, and what a release must pass there.

The file is read whole and every fault is listed, each with the place where it stands and what is
allowed there. Secrets are never in it: where one is needed, it names an environment variable.
"""

from __future__ import annotations

from app.release.inventory.entries import (
    EVENTS,
    Bake,
    Environment,
    Host,
    Inventory,
    Notify,
    Smoke,
)
from app.release.inventory.reading import read

__all__ = ["EVENTS", "Bake", "Environment", "Host", "Inventory", "Notify", "Smoke", "read"]
