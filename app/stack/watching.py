"""Reads the status board of the stack on this machine, past Nginx: from any worker's own socket."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

import msgspec

from app.errors import StackError
from app.process import state
from app.telemetry.board import Board

if TYPE_CHECKING:
    from pathlib import Path

    from app.stack.layout import Layout

TIMEOUT_S = 3.0
PATH = "/status/data"
# Only the stack's user can reach the socket; whoever asks there says himself from where.
_HERE = {"Host": "localhost", "X-Real-IP": "127.0.0.1", "Accept": "application/json"}


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def read_board(layout: Layout) -> Board:
    """The board of this moment, from the first worker that answers.

    Raises:
        StackError: the stack is down, no worker answers, or it runs a release without a board.
    """
    serving = state.read_status(layout.run / "master.json")
    if serving is None:
        raise StackError("The stack is down; start it with: windlass up -d")
    reason = "it has no worker"
    for number in range(len(serving.slots)):
        try:
            return _ask(layout.run / f"worker-{number}.sock")
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            reason = f"{type(error).__name__}: {error}"
    raise StackError(f"No worker tells how it is ({reason}); see: windlass status, windlass logs")


def _ask(path: Path) -> Board:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", PATH, headers=_HERE)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"{PATH} was answered {answer.status}")
        return msgspec.json.decode(body, type=Board)
    finally:
        connection.close()
