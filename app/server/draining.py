"""What the drain of every engine has in common."""

from __future__ import annotations

import asyncio

_TURNS = 10


async def accepted_are_known() -> None:
    """Return when a server that has stopped to accept knows of every connection that it accepted.

    One that is accepted in the very turn of the loop in which the server stops is made known to it
    only in one of the next. Turns are what counts: any time may pass in one.
    """
    for _ in range(_TURNS):
        await asyncio.sleep(0)
