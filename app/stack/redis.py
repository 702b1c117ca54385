"""Which Redis the service uses: one that runs already, or the stack's own.

With REDIS_MANAGED=auto the first start decides and writes it down. Were it decided anew at each
start, a Redis that is down for a moment would be replaced by an empty one, and the counter with it.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from app.config import Management, Secret
from app.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from app.config import Settings
    from app.stack.layout import Layout

_PROBE_TIMEOUT_S = 1.0


class Decision(msgspec.Struct):
    """What was decided at the first start, for one address."""

    managed: bool
    host: str
    port: int


def decide(settings: Settings, layout: Layout) -> None:
    """Write down whether the stack runs its own Redis, so that later starts keep to it."""
    if settings.redis_managed is Management.AUTO and not settings.redis_url:
        decision = Decision(is_managed(settings, layout), settings.redis_host, settings.redis_port)
        write_whole(_file(layout), msgspec.json.encode(decision))


def is_managed(settings: Settings, layout: Layout) -> bool:
    """Whether the stack runs its own Redis: as decided, else as it would be decided now."""
    if settings.redis_managed is not Management.AUTO or settings.redis_url:
        return settings.redis_managed is Management.YES
    decided = _read(_file(layout))
    asked = (settings.redis_host, settings.redis_port)
    if decided is not None and (decided.host, decided.port) == asked:
        return decided.managed
    return _is_loopback(settings.redis_host) and not _answers(*asked)


def address(settings: Settings, layout: Layout) -> Secret:
    """The URL of the Redis that the service uses."""
    if not is_managed(settings, layout):
        return settings.redis_address
    return Secret(f"unix://{quote(str(socket_path(layout)))}?db={settings.redis_db}")


def socket_path(layout: Layout) -> Path:
    """Where the stack's own Redis listens, and nowhere else."""
    return layout.run / "redis.sock"


def argv(binary: Path, settings: Settings, layout: Layout) -> tuple[str, ...]:
    """The command of the stack's own Redis."""
    return (
        str(binary),
        "--port", "0",
        "--unixsocket", str(socket_path(layout)),
        "--unixsocketperm", "700",
        "--dir", str(layout.redis_data),
        "--appendonly", "yes",
        "--save", "",
        "--databases", str(max(16, settings.redis_db + 1)),
        "--daemonize", "no",
    )  # fmt: skip


def _file(layout: Layout) -> Path:
    return layout.state / "redis.json"


def _read(file: Path) -> Decision | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Decision)
    except (OSError, msgspec.MsgspecError):
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _answers(host: str, port: int) -> bool:
    """Whether a Redis, even one that wants a password, listens at an address."""
    try:
        with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S) as connection:
            return _pings(connection)
    except OSError:
        return False


def answers_at(path: Path) -> bool:
    """Whether a Redis listens on a unix socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_PROBE_TIMEOUT_S)
            connection.connect(str(path))
            return _pings(connection)
    except OSError:
        return False


def _pings(connection: socket.socket) -> bool:
    connection.sendall(b"PING\r\n")
    return connection.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-DENIED", b"-LOADING"))
