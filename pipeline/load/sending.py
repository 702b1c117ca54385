"""Sends requests at a fixed rate and says of each how long it took and whether it was answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from benchmarks.open_loop import Sample

if TYPE_CHECKING:
    import random

    from pipeline.load.profile import Profile, Request

_FAILED = 0
_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what came of it; its sample's status is 0 where there is no answer.

    Attributes:
        request: which.
        sample: when it was meant to be sent, was sent, and was answered.
        fault: why it has failed; empty when it has not.
        timed_out: it has failed by time alone, which a client that stalls decides as well.
    """

    request: Request
    sample: Sample
    fault: str
    timed_out: bool = False


async def send(url: str, profile: Profile, draw: random.Random) -> list[Asked]:
    """Load a service as a profile says; returns what is to be judged, in order.

    Args:
        url: of the service, without a path.
        profile: what is asked, and how often.
        draw: decides the order of requests.
    """
    contents = {id(each): each.content() for each in profile.requests}
    shares = [each.share for each in profile.requests]
    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    warmup = round(profile.warmup_s * profile.rate_hz)
    count = warmup + round(profile.seconds * profile.rate_hz)
    async with httpx.AsyncClient(
        base_url=url, timeout=profile.timeout_s, limits=limits, trust_env=False
    ) as client:
        loop = asyncio.get_running_loop()
        begun = loop.time()

        async def one(request: Request, intended: float) -> Asked:
            return await _ask(client, request, contents[id(request)], intended)

        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, request in enumerate(draw.choices(profile.requests, shares, k=count)):
                intended = begun + number / profile.rate_hz
                await asyncio.sleep(max(0.0, intended - loop.time()))
                tasks.append(group.create_task(one(request, intended)))
    return [task.result() for task in tasks[warmup:]]


async def _ask(
    client: httpx.AsyncClient, request: Request, content: bytes | None, intended: float
) -> Asked:
    loop = asyncio.get_running_loop()
    headers = request.headers | ({} if content is None else {"Content-Type": "application/json"})
    method = "GET" if content is None else "POST"
    sent = loop.time()
    try:
        answer = await client.request(method, request.path, content=content, headers=headers)
    except httpx.HTTPError as error:
        sample = Sample(intended, sent, loop.time(), _FAILED)
        timed_out = isinstance(error, httpx.TimeoutException)
        return Asked(request, sample, type(error).__name__, timed_out)
    sample = Sample(intended, sent, loop.time(), answer.status_code)
    fault = ""
    if answer.status_code != request.status:
        fault = f"status {answer.status_code}"
    elif request.contains not in answer.text:
        fault = f"no {request.contains!r} in the answer"
    return Asked(request, sample, fault)
