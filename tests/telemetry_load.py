"""A load whose every answer is counted by who sent it, to compare with what the service counts."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support import Background, wait_for

if TYPE_CHECKING:
    from tests.support import Stack

Route = tuple[str, str, str]
"""Method, template, class of the status."""
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

ASKED: tuple[tuple[Route, str, str, str | None], ...] = (
    (("GET", "/metadata", "2xx"), "GET", "/metadata", None),
    (("GET", "/calculator/{operation}", "2xx"), "GET", "/calculator/add?a=1&b=2", None),
    (("POST", "/calculator", "2xx"), "POST", "/calculator", '{"expression": "1/3"}'),
    (("POST", "/calculator", "4xx"), "POST", "/calculator", '{"expression": "1/0"}'),
    (("GET", "(unmatched)", "4xx"), "GET", "/no/such/page", None),
)
_PAUSE_S = 0.005


class Load(Background):
    """Requests one after the other on some connections until told to stop.

    Args:
        url: of the service.
        senders: threads, each with a connection.
    """

    def __init__(self, url: str, senders: int = 4) -> None:
        self.answered: Counter[Route] = Counter()
        self.broken: Counter[Route] = Counter()
        self._url = url
        self._lock = threading.Lock()
        super().__init__(senders)

    def run(self, number: int) -> None:
        """Send, again and again."""
        turns = itertools.islice(itertools.cycle(ASKED), number, None)
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self.stopping.wait(_PAUSE_S):
                (method, route, expected), verb, path, body = next(turns)
                try:
                    answer = client.request(
                        verb, path, content=body, headers={"Content-Type": "application/json"}
                    )
                    found = f"{answer.status_code // 100}xx"
                except httpx.HTTPError:
                    found = ""
                with self._lock:
                    if found == expected:
                        self.answered[method, route, found] += 1
                    else:
                        self.broken[method, route, expected] += 1


def scrape(stack: Stack) -> Samples:
    """All metrics, by name and labels, as another's parser reads them."""
    text = stack.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests_in(samples: Samples) -> Counter[Route]:
    """The requests by route."""
    found: Counter[Route] = Counter()
    for (name, pairs), value in samples.items():
        if name == "windlass_http_requests_total":
            labels = dict(pairs)
            found[labels["method"], labels["route"], labels["status"]] = int(value)
    return found


def fallen(before: Samples, after: Samples) -> list[str]:
    """What only grows and has not, but for what is of one process."""
    ends = ("_total", "_bucket", "_count", "_sum")
    return [
        f"{key}: {value} -> {after.get(key)}"
        for key, value in before.items()
        if key[0].startswith("windlass_") and key[0].endswith(ends) and after.get(key, 0) < value
    ]


@dataclass
class Account:
    """What both sides have counted.

    Attributes:
        sent: answers that the client got, by route.
        counted: by the service.
        again: requests that Nginx has tried at more than one worker.
        broken: requests that the client got no right answer to.
        fallen: counters that went back.
    """

    sent: Counter[Route]
    counted: Counter[Route]
    again: int = 0
    broken: int = 0
    fallen: list[str] = field(default_factory=list)

    @property
    def excess(self) -> dict[Route, int]:
        """What the service counted beyond what the client got; below 0: what it lost."""
        return {r: self.counted[r] - self.sent[r] for r in self.sent | self.counted}


def adds_up(stack: Stack, *, upgrades: int, kills: int) -> Account:
    """Load a stack, reload it and kill its workers, and have both sides say what they counted."""
    before = scrape(stack)
    seen, backwards = before, []
    with Load(stack.url) as load:
        for turn in range(max(upgrades, kills)):
            if turn < upgrades:
                done = stack.run("reload")
                assert done.returncode == 0, done.stderr
            if turn < kills:
                _kill_one(stack, turn)
            now = scrape(stack)
            backwards += fallen(seen, now)
            seen = now
    routes = [route for route, *_ in ASKED]
    sent = load.answered
    wait_for(lambda: _all_counted(stack, before, sent), "what was sent is counted", 30)
    after = scrape(stack)
    backwards += fallen(seen, after)
    counted = requests_in(after) - requests_in(before)
    return Account(
        sent,
        Counter({route: counted[route] for route in routes}),
        _tried_again(stack),
        sum(load.broken.values()),
        backwards,
    )


def _all_counted(stack: Stack, before: Samples, sent: Counter[Route]) -> bool:
    found = requests_in(scrape(stack)) - requests_in(before)
    return all(found[route] >= count for route, count in sent.items())


def _kill_one(stack: Stack, turn: int) -> None:
    workers = [p for p in stack.status()["processes"] if p["name"].startswith("web/")]
    ready = [p for p in workers if p["state"] == "ready"]
    victim = ready[turn % len(ready)]
    os.kill(victim["pid"], signal.SIGKILL)

    def replaced() -> bool:
        now = [p for p in stack.status()["processes"] if p["name"] == victim["name"]]
        return any(p["pid"] != victim["pid"] and p["state"] == "ready" for p in now)

    wait_for(replaced, "another worker in its place", 120)


def _tried_again(stack: Stack) -> int:
    """Requests that Nginx has handed to one worker after the other."""
    lines = (line for line in stack.log("nginx").splitlines() if line.startswith("{"))
    return sum("," in json.loads(line)["upstream"] for line in lines)
