"""What a client may ask the Nix store's server for: which paths are there, and to take more.

The server that receives paths would also build, whatever derivation it is handed: those are named
by their content, and need no signature. So each request is read here, and passed on when it is one
of those that nix-copy-closure makes; the first other one ends the connection. Requests are framed
by lengths alone, all numbers are of 64 bits, and text is padded to eight bytes; versions 2.5 to 2.7
of the protocol, which is Nix 2.4 and later, and Lix.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from app.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAGIC = 0x390C9DEB
_NUMBER, _TEXT, _TEXTS, _SIZE = range(4)
_REQUESTS = {
    1: (_NUMBER, _NUMBER, _TEXTS),  # which of these paths are valid: lock, substitute, paths
    2: (_TEXTS,),  # what is known of paths
    7: (_NUMBER, _TEXTS),  # the closure of paths, with outputs or not
    # Take a path: it, its deriver, hash, references, time, size, whether built here, signatures,
    # content address; then as many bytes as the size says.
    9: (_TEXT, _TEXT, _TEXT, _TEXTS, _NUMBER, _SIZE, _NUMBER, _TEXTS, _TEXT),
}
"""The fields of each request that is passed on, by its number."""
_PART_BYTES = 1 << 16


def serve(argv: Sequence[str], environ: Mapping[str, str], client: IO[bytes]) -> int:
    """Run the store's server for a client, and return its exit code.

    Returns once the server has ended, be it that the client says nothing more: sshd tells a client
    that waits for an answer only when all that holds its output has ended.

    Args:
        argv: of the server, whose answers go to standard output.
        environ: of the server.
        client: what it sends, unbuffered.

    Raises:
        RefusedError: the client asks for something else.
    """
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, env=environ)
    refusals: list[RefusedError] = []

    def passing() -> None:
        # A server that has ended has said why.
        with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as server:
            try:
                pass_on(client, server)
            except RefusedError as error:
                refusals.append(error)

    threading.Thread(target=passing, daemon=True).start()
    try:
        code = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if refusals:
        raise refusals[0]
    return code


def pass_on(client: IO[bytes], server: IO[bytes]) -> None:
    """Pass on what a client sends, request by request, until it ends.

    Raises:
        RefusedError: it asks for something else than paths, or not by this protocol.
    """
    passing = _Passing(client, server)
    with contextlib.suppress(EOFError):
        if (magic := passing.peek()) != _MAGIC:
            raise RefusedError("unknown", f"{magic:#x} does not begin the protocol of a Nix store")
        passing.accept(magic)
        passing.number()
        while True:
            server.flush()
            request = passing.peek()
            if request not in _REQUESTS:
                raise RefusedError(
                    "unknown",
                    f"this key cannot ask the store for {request}: it only receives paths",
                )
            passing.accept(request)
            passing.fields(_REQUESTS[request])


@dataclass(frozen=True, slots=True)
class _Passing:
    """Reads from a client and writes the same to the server; raises EOFError when that ends."""

    client: IO[bytes]
    server: IO[bytes]

    def peek(self) -> int:
        """A number that is not passed on yet."""
        return int.from_bytes(self._exactly(8), "little")

    def accept(self, number: int) -> None:
        """Pass on what `peek` returned."""
        self.server.write(number.to_bytes(8, "little"))

    def number(self) -> int:
        self.accept(found := self.peek())
        return found

    def fields(self, kinds: Sequence[int]) -> None:
        to_follow = 0
        for kind in kinds:
            if kind == _TEXTS:
                for _ in range(self.number()):
                    self._text()
            elif kind == _TEXT:
                self._text()
            else:
                found = self.number()
                to_follow = found if kind == _SIZE else to_follow
        self._bytes(to_follow)

    def _text(self) -> None:
        length = self.number()
        self._bytes(length + -length % 8)

    def _bytes(self, left: int) -> None:
        while left > 0:
            part = self._exactly(min(left, _PART_BYTES))
            self.server.write(part)
            left -= len(part)

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.client.read(count - len(found))
            if not part:
                raise EOFError
            found += part
        return found
