"""supervisord by its XML-RPC interface, over its unix socket."""

from __future__ import annotations

import contextlib
import socket
import xmlrpc.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from supervisor.xmlrpc import SupervisorTransport

from app.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ProgramState:
    """How one program is.

    Attributes:
        state: supervisord's word: RUNNING, STARTING, STOPPING, STOPPED, EXITED, BACKOFF, FATAL.
        pid: of its process, 0 where there is none.
        started: wall clock of its start, seconds since the epoch.
    """

    name: str
    state: str
    pid: int
    started: float


class NoAnswerError(StackError):
    """supervisord is there and did not answer in time."""


class Supervisor:
    """The supervisord that listens on one socket.

    Args:
        socket_path: of that socket.
    """

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path

    def is_running(self) -> bool:
        """Whether it is there; one that is too busy to answer is."""
        try:
            self._call("getState")
        except NoAnswerError:
            return True
        except StackError:
            return False
        return True

    def pid(self) -> int:
        """Its own process id."""
        return int(self._call("getPID"))

    def programs(self) -> list[ProgramState]:
        """How each program is, in the order in which they start."""
        return [
            ProgramState(info["name"], info["statename"], info["pid"], float(info["start"]))
            for info in cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        ]

    def signal(self, program: str, name: str) -> None:
        """Send a program a signal, named without SIG."""
        self._call("signalProcess", program, name)

    def shut_down(self) -> None:
        """Have it stop every program, in order, and end; returns before it has."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - as XML-RPC says
        transport = SupervisorTransport(None, None, f"unix://{self._path}")
        # The address only satisfies ServerProxy; the transport goes to the socket.
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            with _deadline(_TIMEOUT_S):
                return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise StackError(f"supervisord refused {method}: {fault.faultString}") from fault
        # A full queue of a unix socket is told at once, and not waited for.
        except (TimeoutError, BlockingIOError) as error:
            raise NoAnswerError(
                f"supervisord did not answer {method} within {_TIMEOUT_S:g} s; is the machine "
                "overloaded? see: windlass logs supervisord"
            ) from error
        except (OSError, xmlrpc.client.Error) as error:
            raise StackError("The stack is not running; start it with: windlass up") from error
        finally:
            transport.close()


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    # supervisor's transport makes its sockets itself and takes no timeout.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
