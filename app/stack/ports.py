"""Whether the ports that the stack needs are free, and who has them."""

from __future__ import annotations

import contextlib
import errno
import re
from typing import TYPE_CHECKING, cast

import psutil

from app.errors import StackError
from app.process.sockets import listen_tcp

if TYPE_CHECKING:
    from app.config import Settings


def check_free(settings: Settings, already_ours: str = "") -> None:
    """Return when every port of the service can be had.

    Args:
        settings: that name the ports.
        already_ours: a configuration of Nginx whose ports the stack has now.

    Raises:
        StackError: one cannot; names it, who has it, and the setting.
    """
    wanted = [("PORT", settings.port), ("PLAN_PORT", settings.plan_port)]
    if settings.has_tls:
        wanted.append(("TLS_PORT", settings.tls_port))
    for setting, port in wanted:
        if port is None or re.search(rf"^ *listen \S+:{port} ", already_ours, re.MULTILINE):
            continue
        try:
            for listener in listen_tcp(settings.host, port):
                listener.close()
        except OSError as error:
            raise StackError(_explain(error, setting, settings.host, port)) from error


def _explain(error: OSError, setting: str, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        owner = _owner(port)
        return f"Port {port} is in use{owner}; free it, or set {setting} to another port"
    if error.errno == errno.EACCES:
        return (
            f"Port {port} needs root; set {setting} to one above 1023, or let every user have it: "
            f"sysctl net.ipv4.ip_unprivileged_port_start={port}"
        )
    return (
        f"Nothing can listen on {host} port {port} ({error.strerror}); "
        "set HOST to an address of this machine"
    )


def _owner(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and cast("tuple[str, int]", connection.laddr)[1] == port
            ):
                if connection.pid is None:
                    return " by another user's process"
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
