"""The client beside a fault: a process of its own, started and stopped, and its record."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.chaos.client import ANSWER_TIMEOUT_S
from benchmarks.chaos.load import BY_NAME, Load
from benchmarks.chaos.record import Record, Request
from benchmarks.chaos.releases import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.chaos.site import Site

LONGEST_S = 3600.0
_REQUESTS = msgspec.msgpack.Decoder(list[Request])


class ClientError(Exception):
    """The client of a fault failed, so the fault shows nothing; the message has what it said."""


class Traffic:
    """What the client has sent; `record` is there once the block has ended."""

    def __init__(self) -> None:
        self.record = Record([])


@contextmanager
def traffic(site: Site, rate_hz: float, *, kinds: tuple[str, ...] = ()) -> Iterator[Traffic]:
    """Send requests to a site for the time of the block, and record them.

    Raises:
        ClientError: the client itself failed.
    """
    sent = Traffic()
    load = Load(port=site.port, sockets=site.sockets, rate_hz=rate_hz, most_s=LONGEST_S,
                kinds=list(kinds or BY_NAME))  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="windlass-chaos-client-") as name:
        folder = Path(name)
        process = _start(load, folder)
        try:
            yield sent
        finally:
            sent.record = _stop(process, folder)


def _start(load: Load, folder: Path) -> subprocess.Popen[bytes]:
    (folder / "load.json").write_bytes(msgspec.json.encode(load))
    command = (sys.executable, "-m", "benchmarks.chaos.client", str(folder / "load.json"),
               str(folder / "record"))  # fmt: skip
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=errors, cwd=ROOT)  # fmt: skip
    if process.stdout is None or process.stdout.readline() != b"ready\n":
        process.kill()
        process.wait()
        raise ClientError(f"the client does not start: {_said(folder)}")
    return process


def _stop(process: subprocess.Popen[bytes], folder: Path) -> Record:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(ANSWER_TIMEOUT_S + 30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()
    if process.returncode != 0:
        raise ClientError(f"the client failed: {_said(folder)}")
    return Record(_REQUESTS.decode((folder / "record").read_bytes()))


def _said(folder: Path) -> str:
    return (folder / "errors").read_text(errors="replace")[-1500:].strip()
