"""Requests to every host at a fixed rate, whatever the hosts do; counts what failed.

Run in the deployer's network until its standard input ends. A request has failed when it has no
answer in 20 s, a broken connection, or another status or body than it should. One exception is the
one that HTTP allows every client: a GET whose kept connection was closed before a byte of the
answer came is sent once more, over a new one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
TIMEOUT_S = 20.0
IDLE_S = 3.0
LAST_USED: WeakKeyDictionary[asyncio.StreamWriter, float] = WeakKeyDictionary()
_BODY = b'{"expression": "6*7"}'
GET = b"GET /metadata HTTP/1.1\r\nHost: test\r\n%s\r\n"
POST = (
    b"POST /calculator HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n%%s\r\n%s" % (len(_BODY), _BODY)
)
_CLOSE = b"Connection: close\r\n"
KINDS = ((GET, True, b"last_commit_sha"), (POST, True, b"42"), (GET, False, b"last_commit_sha"),
         (POST, False, b"42"))  # fmt: skip


@dataclass
class Counts:
    """What came back."""

    sent: int = 0
    repeated: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class ClosedEarlyError(Exception):
    """A kept connection was closed before a byte of the answer came."""


def idle_since(streams: Streams) -> float:
    """Seconds since a connection was used."""
    return asyncio.get_running_loop().time() - LAST_USED[streams[1]]


async def ask(streams: Streams, request: bytes) -> tuple[int, bytes, bool]:
    """Send a request; returns its status, its body, and whether the connection stays."""
    reader, writer = streams
    writer.write(request)
    try:
        await writer.drain()
        first = await reader.read(1)
    except ConnectionError as error:
        raise ClosedEarlyError from error
    if not first:
        raise ClosedEarlyError
    head = first + await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(lines[0].split()[1]), body, headers.get("connection", "").lower() != "close"


async def one(host: str, number: int, idle: list[Streams], counts: Counts) -> None:
    """Send the request of a number and count how it went."""
    template, fresh, wanted = KINDS[number % len(KINDS)]
    counts.sent += 1
    # As every client does: one that has been idle for long, or is closed, is not used again.
    while idle and (idle[0][0].at_eof() or idle_since(idle[0]) > IDLE_S):
        idle.pop(0)[1].close()
    kept = idle.pop() if idle and not fresh else None
    if kept is not None and kept[0].at_eof():
        kept = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            streams = kept or await asyncio.open_connection(host, 8000)
            try:
                status, body, stays = await ask(streams, template % (_CLOSE if fresh else b""))
            except ClosedEarlyError:
                if kept is None or template is POST:
                    raise
                counts.repeated += 1
                streams = await asyncio.open_connection(host, 8000)
                status, body, stays = await ask(streams, template % b"")
    except (OSError, EOFError, TimeoutError, ValueError, ClosedEarlyError) as error:
        counts.failures.append(f"{host} {template[:16]!r}: {error!r}")
        return
    if status != 200 or wanted not in body:
        key = str(status)
        counts.statuses[key] = counts.statuses.get(key, 0) + 1
        counts.failures.append(f"{host} {template[:16]!r}: {status}")
    if stays and status == 200:
        LAST_USED[streams[1]] = asyncio.get_running_loop().time()
        idle.append(streams)
    else:
        streams[1].close()


async def run(hosts: list[str], rate_hz: float) -> Counts:
    """Send requests until standard input ends."""
    counts, loop = Counts(), asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    idle: dict[str, list[Streams]] = {host: [] for host in hosts}
    begun, number = loop.time(), 0
    async with asyncio.TaskGroup() as group:
        while not ended.done():
            host = hosts[number % len(hosts)]
            group.create_task(one(host, number // len(hosts), idle[host], counts))
            number += 1
            await asyncio.sleep(max(0.0, begun + number / rate_hz - loop.time()))
    return counts


if __name__ == "__main__":
    found = asyncio.run(run(sys.argv[2:], float(sys.argv[1])))
    print(json.dumps({"sent": found.sent, "repeated": found.repeated, "failed": len(found.failures),  # noqa: T201
                      "statuses": found.statuses, "failures": found.failures[:10]}))  # fmt: skip
