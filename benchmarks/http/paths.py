"""What is asked for, and what a right answer holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from benchmarks.open_loop import request_of
from benchmarks.peers import paths
from benchmarks.peers.probe import ask

Served = Literal["worker", "nginx", "control"]
_BY_NAME = {
    "health": "/health",
    "metadata": "/metadata",
    "home": "/",
    "productionplan": "/productionplan",
}
_STYLESHEET = re.compile(rb'"(/static/windlass\.[0-9a-f]+\.css)"')


@dataclass(frozen=True, slots=True)
class Asked:
    """One kind of request.

    Attributes:
        content: its bytes.
        sign: bytes that stand in the body of every right answer.
        served: by which processes, whose CPU time counts.
    """

    content: bytes
    sign: bytes
    served: Served


def asked(name: str, address: str) -> Asked:
    """The request of a benchmark, by its short name.

    Args:
        name: as in `declared.toml`, without the kind.
        address: of the stack, which is asked where its static files are.

    Raises:
        LookupError: the benchmark is not known here, or the page names no stylesheet.
        OSError: the stack does not answer.
    """
    if name == "control":
        return Asked(request_of("GET", "/"), b"OK", "control")
    if name == "static":
        return Asked(request_of("GET", _stylesheet(address)), b"{", "nginx")
    if name not in _BY_NAME:
        raise LookupError(f"there is no request for http/{name}")
    request = paths.requests()[_BY_NAME[name]]
    return Asked(request.content, request.sign, "worker")


def _stylesheet(address: str) -> str:
    _, _, page = ask(address, paths.requests()["/"].content)
    found = _STYLESHEET.search(page)
    if not found:
        raise LookupError("the page at / names no stylesheet")
    return found[1].decode("ascii")
