"""What is asked: the service's own routes, each with what a good answer contains.

Two kinds take two seconds on purpose. `hold` sends its body through Nginx in parts, which passes it
on once it is whole; `stream` sends it to a worker's own socket, chunked, so that the worker itself
has a request under way for all that time. No route of the service answers in a stream, so a
streamed request stands for one.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import msgspec

LONG_S = 2.0
_PARTS = 8
_PLAN = Path(__file__).resolve().parents[2] / "tests" / "data" / "powerplant" / "payload3.json"
_CALCULATION = json.dumps({"expression": "6*7" + " " * 400}).encode()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request.

    Attributes:
        method: and `target`: of the request line.
        expects: bytes that are in every good answer's body.
        weight: how often it is sent, beside the others.
        body: of the request.
        parts: how many parts the body is sent in, over `LONG_S` where there is more than one.
        direct: whether it goes to a worker's own socket.
        header: one more header field.
    """

    name: str
    method: str
    target: str
    expects: bytes
    weight: int
    body: bytes = b""
    parts: int = 1
    direct: bool = False
    header: str = ""

    @property
    def idempotent(self) -> bool:
        """Whether it may be sent again."""
        return self.method == "GET"

    def head(self, number: int) -> bytes:
        """The head of a request; its number is in its User-Agent, and so in the log of Nginx."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: localhost",
                 f"User-Agent: chaos/{number}"]  # fmt: skip
        if self.body:
            lines.append("Content-Type: application/json")
            sized = self.parts == 1
            lines.append(
                f"Content-Length: {len(self.body)}" if sized else "Transfer-Encoding: chunked"
            )
        if self.header:
            lines.append(self.header)
        return "\r\n".join([*lines, "", ""]).encode()

    def pieces(self) -> list[bytes]:
        """The body as it is sent, in as many pieces as `parts` says."""
        if self.parts == 1:
            return [self.body]
        size = -(-len(self.body) // self.parts)
        cut = [self.body[at : at + size] for at in range(0, len(self.body), size)]
        return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in cut] + [b"0\r\n\r\n"]


PAGE = Kind("page", "GET", "/", b"Counter: ", 15, header="Accept: text/html")
KINDS = (
    Kind("health", "GET", "/health", b"", 20),
    Kind("metadata", "GET", "/metadata", b'"environment"', 20),
    Kind("add", "GET", "/calculator/add?a=19&b=23", b'"42"', 20),
    PAGE,
    Kind("calculate", "POST", "/calculator", b'"42"', 18, _CALCULATION),
    Kind("plan", "POST", "/productionplan", b'"gasfiredbig2"', 5, _PLAN.read_bytes()),
    Kind("hold", "POST", "/calculator", b'"42"', 1, _CALCULATION, _PARTS),
    Kind("stream", "POST", "/calculator", b'"42"', 1, _CALCULATION, _PARTS, direct=True),
)
LONG_KINDS = {kind.name for kind in KINDS if kind.parts > 1}
BY_NAME = {kind.name: kind for kind in KINDS}


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is to send.

    Attributes:
        port: of Nginx, on 127.0.0.1.
        sockets: paths of the workers' own sockets, by slot; without any no kind that is direct.
        rate_hz: requests a second, whatever the server does.
        most_s: seconds after which it ends unasked.
        seed: of what is asked in which order.
        kinds: names of those that are sent.
    """

    port: int
    sockets: list[str]
    rate_hz: float
    most_s: float
    kinds: list[str]
    seed: int = 1


class Draw:
    """Draws kinds by their weight, and half of the requests for connections that are kept."""

    def __init__(self, load: Load) -> None:
        self._random = random.Random(load.seed)
        self._kinds = [kind for kind in map(BY_NAME.__getitem__, load.kinds)
                       if load.sockets or not kind.direct]  # fmt: skip
        self._weights = [kind.weight for kind in self._kinds]

    def next(self) -> tuple[Kind, bool]:
        """A kind, and whether it goes over a kept connection."""
        kind = self._random.choices(self._kinds, self._weights)[0]
        return kind, not kind.direct and self._random.random() < 0.5
