"""One process that sends every load of a round, each when it is asked to.

It is `benchmarks.peers.generator` that sends, slice by slice; here it is only kept from starting
anew for each load, which would take as long as the load. A message is four bytes of length and
msgpack.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import msgspec
import uvloop

from benchmarks.http.slices import Sliced, Slices, send
from benchmarks.machine import ROOT
from benchmarks.peers import launch
from benchmarks.peers.session import UnmeasuredError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LENGTH_BYTES = 4
_ALLOWANCE_S = 20.0
_END_TIMEOUT_S = 5.0


class Sender:
    """The process, as its owner sees it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def send(self, load: Slices) -> Sliced:
        """Send a load and wait until it is over.

        Raises:
            UnmeasuredError: the process fails, or takes longer than the load can take.
        """
        wait_s = load.longest_s + _ALLOWANCE_S
        watchdog = threading.Timer(wait_s, self._process.kill)
        watchdog.start()
        try:
            _write(_pipe(self._process.stdin), msgspec.msgpack.encode(load))
            answer = _read(_pipe(self._process.stdout))
        except OSError as error:
            raise UnmeasuredError(f"the load generator failed: {error}") from error
        finally:
            watchdog.cancel()
        if not answer:
            raise UnmeasuredError(f"the load generator ended within {wait_s:.0f} s of a load")
        return msgspec.msgpack.decode(answer, type=Sliced)


@contextmanager
def sender(cpu: int | None) -> Iterator[Sender]:
    """Run the process for as long as the block takes.

    Args:
        cpu: to keep to; None for any.
    """
    argv = launch.argv((sys.executable, "-m", "benchmarks.http.sender"), cpu)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield Sender(process)
        finally:
            with contextlib.suppress(OSError):  # it has ended, and there was more to say
                _pipe(process.stdin).close()
            try:
                process.wait(_END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    """Send what standard input asks for until it ends."""
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while message := _read(sys.stdin.buffer):
            outcome = runner.run(send(msgspec.msgpack.decode(message, type=Slices)))
            _write(sys.stdout.buffer, msgspec.msgpack.encode(outcome))
            gc.collect()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise LookupError("the process was started without its pipes")
    return pipe


def _write(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes:
    """The next message; empty at the end, and where the other side has ended within one."""
    length = int.from_bytes(pipe.read(_LENGTH_BYTES), "big")
    message = pipe.read(length)
    return message if len(message) == length else b""


if __name__ == "__main__":
    main()
