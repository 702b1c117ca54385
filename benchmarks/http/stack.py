"""The stacks of a round: started together, each with fresh processes, and ended together."""

from __future__ import annotations

import contextlib
import http.client
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from benchmarks.http.cpu import spent_s
from benchmarks.http.paths import asked
from benchmarks.http.slices import Server
from benchmarks.peers.probe import answers, ask
from benchmarks.peers.processes import Command, listens, running, tree, wait_until
from benchmarks.peers.session import UnmeasuredError
from benchmarks.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from benchmarks.http.paths import Asked, Served
    from benchmarks.peers.session import Cpus

_SETTLE_S = 0.2
_NO_SETTINGS = "empty.env"


class StandingError(UnmeasuredError):
    """A stack does not come up.

    Attributes:
        arm: whose stack it is.
    """

    def __init__(self, arm: str, reason: str) -> None:
        self.arm = arm
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an arm's stack is to run.

    Attributes:
        arm: "A1", "A2", "B1" or "B2".
        root: its checkout.
        python: its interpreter.
        environ: what all processes of the round have in their environment.
        redis: URL of its Redis.
        folder: for its state and logs.
        control: whether it is the bare protocol rather than the product.
        alone: whether it is one worker of the product without the rest of the stack.
    """

    arm: str
    root: Path
    python: Path
    environ: Mapping[str, str]
    redis: str
    folder: Path
    control: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """One arm's stack, or bare protocol, that serves.

    Attributes:
        address: HOST:PORT of its entrance.
        serving: the processes that serve what is measured.
    """

    arm: str
    address: str
    serving: Mapping[Served, list[psutil.Process]]

    def processes(self, served: Served) -> list[psutil.Process]:
        """The processes that serve one kind of request.

        Raises:
            UnmeasuredError: none does.
        """
        if not self.serving.get(served):
            raise UnmeasuredError(f"{self.arm} has no process of {served}")
        return self.serving[served]

    def server(self, request: bytes, served: Served) -> Server:
        """The stack as one of several that take turns, with the bytes that it is sent.

        Raises:
            UnmeasuredError: none of its processes serves that.
        """
        pids = [each.pid for each in self.processes(served)]
        return Server(address=self.address, request=request, pids=pids)

    def cpu_s(self, served: Served) -> float:
        """CPU time so far of the processes that serve one kind of request, and all below them.

        Raises:
            UnmeasuredError: one of them has ended, or none serves that.
        """
        try:
            return spent_s(self.processes(served))
        except psutil.Error as error:
            raise UnmeasuredError(f"{self.arm}: a process ended under load ({error})") from error

    def check(self, name: str) -> Asked:
        """Ask once, see that the answer is right, and return what was asked.

        Args:
            name: of the benchmark, short.

        Raises:
            UnmeasuredError: it is not, or there is none.
        """
        try:
            wanted = asked(name, self.address)
            status, _, body = ask(self.address, wanted.content)
        except (OSError, LookupError, http.client.HTTPException) as error:
            raise UnmeasuredError(f"{self.arm} cannot be asked: {error!r}") from error
        if status != 200 or wanted.sign not in body:
            raise UnmeasuredError(f"{self.arm} answered {status}, {body[:80]!r}")
        return wanted


@contextmanager
def standing(places: list[Place], cpus: Cpus) -> Iterator[dict[str, Stack]]:
    """Run the stacks of a round for as long as the block takes.

    They start at once on all CPUs; when all serve, each process is put on the CPU for servers.

    Args:
        places: of the arms; each has a folder of its own.
        cpus: which CPU servers are kept to.

    Raises:
        StandingError: one does not come up; carries the last lines of its log.
    """
    with ExitStack() as stack:
        starting = [(place, *_started(place, stack)) for place in places]
        found = {}
        for place, process, address in starting:
            log = place.folder / "stack.log"
            found[place.arm] = _standing(place, process, address, log)
        for _, process, _ in starting:
            _pin(process, cpus.server)
        time.sleep(_SETTLE_S)  # the first heartbeats and checks of what has just started
        try:
            yield found
        finally:
            for _, process, _ in starting:  # all at once, before each is waited for
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate()


def _standing(place: Place, process: psutil.Process, address: str, log: Path) -> Stack:
    try:
        wait_until(
            lambda: answers(address) and listens(process, address),
            process, log, f"the stack of {place.arm}",
        )  # fmt: skip
        serving = _serving(place, process)
    except (UnmeasuredError, psutil.Error) as error:
        raise StandingError(place.arm, str(error)) from error
    return Stack(place.arm, address, serving)


def _started(place: Place, stack: ExitStack) -> tuple[psutil.Process, str]:
    port = free_port()
    address = f"127.0.0.1:{port}"
    place.folder.mkdir(parents=True)
    (place.folder / _NO_SETTINGS).touch()
    command = Command(
        (str(place.python), "-m", *_program(place, address)),
        {**place.environ, **_settings(place, port)},
        place.root,
    )
    return stack.enter_context(running(command, place.folder / "stack.log")), address


def _program(place: Place, address: str) -> tuple[str, ...]:
    """The module that is run and its arguments.

    A stack comes up as in a container, by the product's own command: so what its revision calls
    its parts does not matter, and the process that was started becomes its supervisord.
    """
    if place.control:
        return ("benchmarks.peers.apps.bare", "1", address)
    return ("benchmarks.peers.apps.windlass",) if place.alone else ("app", "up", "--init")


def _settings(place: Place, port: int) -> dict[str, str]:
    """Production's defaults, but for where it is, one worker, and patience with Redis.

    On a busy machine Redis may wait for the CPU longer than a user should, which is no fault here.
    """
    return {
        "ENVIRONMENT": "PROD",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PLAN_PORT": "",
        "WORKERS": "1",
        "REDIS_MANAGED": "no",
        "REDIS_URL": place.redis,
        "REDIS_TIMEOUT_MS": "30000",
        "STATE_DIR": str(place.folder),
        "WINDLASS_ENV_FILE": str(place.folder / _NO_SETTINGS),
    }


def _serving(place: Place, process: psutil.Process) -> Mapping[Served, list[psutil.Process]]:
    """The processes that answer, by what they serve."""
    if place.control:
        return {"control": [process]}
    return {"worker": [process]} if place.alone else _serving_of_stack(process)


def _serving_of_stack(supervisord: psutil.Process) -> Mapping[Served, list[psutil.Process]]:
    """Workers of the application, and those of Nginx."""
    family = tree(supervisord)
    masters = {each.pid for each in family if _runs(each, "serve") and not _is_worker(each)}
    workers = [each for each in family if each.ppid() in masters and _runs(each, "serve")]
    nginx = [each for each in family if "worker process" in " ".join(each.cmdline())]
    if not workers or not nginx:
        raise UnmeasuredError("the stack serves, but its workers are not to be found")
    return {"worker": workers, "nginx": nginx}


def _is_worker(process: psutil.Process) -> bool:
    """Whether a process was forked from one that runs the same."""
    parent = process.parent()
    return parent is not None and _runs(parent, "serve")


def _runs(process: psutil.Process, command: str) -> bool:
    return process.cmdline()[-3:] == ["-m", "app", command]


def _pin(process: psutil.Process, cpu: int) -> None:
    for each in tree(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.cpu_affinity([cpu])
