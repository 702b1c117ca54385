"""The servers: what each is, and how it is started by the advice of its own documentation.

Each can be started with one worker on a port of this machine, or with several on a unix socket. In
`TITLES` stands every server of the report, in its order.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.peers.apps.names import REDIS_VARIABLE
from benchmarks.peers.probe import answers
from benchmarks.peers.processes import Command, running, wait_until
from benchmarks.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psutil

    from benchmarks.peers.environment import Environment
    from benchmarks.peers.session import Session

WINDLASS = "windlass"
LIMIT = "bare"
TITLES = {
    WINDLASS: "Windlass",
    "windlass-logged": "Windlass, access log",
    "tornado": "Tornado, same application",
    "starlette": "Starlette on granian",
    "fastapi": "FastAPI on uvicorn",
    "flask": "Flask on gunicorn",
    LIMIT: "bare protocol (limit)",
}
OURS = {WINDLASS, "windlass-logged"}
IN_OUR_ENVIRONMENT = {*OURS, "tornado", LIMIT}
PEERS = tuple(name for name in TITLES if name not in {*OURS, LIMIT})
"""Those that Windlass is compared with."""

_SETTINGS = {
    WINDLASS: {"ACCESS_LOG": "no", "HTTP_ENGINE": "windlass"},
    "windlass-logged": {"ACCESS_LOG": "yes", "HTTP_ENGINE": "windlass"},
    "tornado": {"ACCESS_LOG": "no", "HTTP_ENGINE": "stock"},
}
_FLASK_THREADS = 4


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Attributes:
        name: its key in `TITLES`.
        process: the one that was started; its children belong to the server.
        addresses: HOST:PORT or unix:PATH of each of its sockets.
    """

    name: str
    process: psutil.Process
    addresses: list[str]


def is_application(name: str) -> bool:
    """Whether a server is our application, on whichever engine."""
    return name in _SETTINGS


def settings(name: str, redis: str) -> dict[str, str]:
    """The settings of our application, as environment variables.

    Args:
        name: of the server.
        redis: URL of Redis.
    """
    return {
        "ENVIRONMENT": "PROD",
        "HOST": "127.0.0.1",
        "PLAN_PORT": "",
        "REDIS_MANAGED": "no",
        "REDIS_URL": redis,
        **_SETTINGS[name],
    }


@contextmanager
def alone(name: str, session: Session) -> Iterator[Server]:
    """Run a server with one worker on a port, on the CPU for servers."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    if is_application(name):
        ours = settings(name, session.redis) | {"PORT": str(port)}
        command = Command((sys.executable, "-m", "benchmarks.peers.apps.windlass"), ours)
    else:
        command = command_of(name, session, address, workers=1)
    with _ready(name, command, session, [address], session.cpus.server) as server:
        yield server


@contextmanager
def with_workers(name: str, session: Session, count: int) -> Iterator[Server]:
    """Run a server with several workers on unix sockets, on any CPU."""
    folder = session.scratch / f"{name}-{count}"
    folder.mkdir()
    if is_application(name):
        ours = settings(name, session.redis) | {
            "STATE_DIR": str(folder),
            "WORKERS": str(count),
            "WINDLASS_ENV_FILE": str(session.env_file),
        }
        command = Command((sys.executable, "-m", "app", "serve"), ours)
        addresses = [f"unix:{folder}/run/worker-{slot}.sock" for slot in range(count)]
    else:
        addresses = [f"unix:{folder}/server.sock"]
        command = command_of(name, session, addresses[0], workers=count)
    with _ready(name, command, session, addresses, None) as server:
        yield server


def command_of(name: str, session: Session, address: str, workers: int) -> Command:
    """The command of a server that is not our application.

    Args:
        name: of the server.
        session: names the environment and Redis.
        address: HOST:PORT or unix:PATH on which it shall listen.
        workers: how many processes serve.
    """
    if name == LIMIT:
        bare = (sys.executable, "-m", "benchmarks.peers.apps.bare", str(workers), address)
        return Command(bare)
    if session.peers is None:
        raise LookupError(f"{name} takes the peers' environment")
    argv = _ARGV[name](session.peers, address, workers)
    return Command(argv, {REDIS_VARIABLE: session.redis})


@contextmanager
def _ready(
    name: str, command: Command, session: Session, addresses: list[str], cpu: int | None
) -> Iterator[Server]:
    log = session.scratch / f"{name}.log"
    with running(command, log, cpu) as process:
        for address in addresses:
            wait_until(lambda at=address: answers(at), process, log, TITLES[name])  # type: ignore[misc]
        yield Server(name, process, addresses)


def _gunicorn(environment: Environment, address: str, workers: int) -> tuple[str, ...]:
    return (
        str(environment.program("gunicorn")),
        "--bind", address,
        "--workers", str(workers),
        "--worker-class", "gthread",
        "--threads", str(_FLASK_THREADS),
        "--keep-alive", "65",
        "--backlog", "2048",
        "--log-level", "warning",
        "--no-control-socket",
        "benchmarks.peers.apps.flask_app:app",
    )  # fmt: skip


def _uvicorn(environment: Environment, address: str, workers: int) -> tuple[str, ...]:
    host, _, port = address.rpartition(":")
    unix = address.startswith("unix:")
    where = ("--uds", port) if unix else ("--host", host, "--port", port)
    return (
        str(environment.program("uvicorn")),
        *where,
        "--workers", str(workers),
        "--loop", "uvloop",
        "--http", "httptools",
        "--no-access-log",
        "--no-server-header",
        "--timeout-keep-alive", "65",
        "--log-level", "warning",
        "benchmarks.peers.apps.fastapi_app:app",
    )  # fmt: skip


def _granian(environment: Environment, address: str, workers: int) -> tuple[str, ...]:
    host, _, port = address.rpartition(":")
    unix = address.startswith("unix:")
    where = ("--uds", port) if unix else ("--host", host, "--port", port)
    return (
        str(environment.program("granian")),
        *where,
        "--interface", "asgi",
        "--workers", str(workers),
        "--loop", "uvloop",
        "--http", "1",
        "--no-ws",
        "--runtime-mode", "st",
        "--log-level", "warning",
        "benchmarks.peers.apps.starlette_app:app",
    )  # fmt: skip


_ARGV = {"flask": _gunicorn, "fastapi": _uvicorn, "starlette": _granian}
