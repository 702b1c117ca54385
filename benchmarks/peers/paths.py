"""What is sent: the four paths, as the bytes of their requests and what a right answer holds."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.machine import ROOT
from benchmarks.open_loop import request_of

PAYLOAD = ROOT / "tests" / "data" / "powerplant" / "payload3.json"
_HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request.

    Attributes:
        content: its bytes.
        sign: bytes that stand in the body of every right answer.
    """

    content: bytes
    sign: bytes


def _page() -> bytes:
    head, _, body = request_of("GET", "/").partition(b"\r\n\r\n")
    return head + f"\r\nAccept: {_HTML}\r\n\r\n".encode() + body


def requests() -> dict[str, Request]:
    """Each kind of request by its path."""
    return {
        "/health": Request(request_of("GET", "/health"), b"OK\n"),
        "/metadata": Request(request_of("GET", "/metadata"), b'"last_commit_sha":'),
        "/": Request(_page(), b'<p class="counter">Counter: '),
        "/productionplan": Request(
            request_of("POST", "/productionplan", PAYLOAD.read_bytes()), b'"p":'
        ),
    }
