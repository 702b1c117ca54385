"""Ports that are taken, by whom, and which setting asked for them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from app import config
from app.config import Sources
from app.errors import StackError
from app.stack.ports import check_free as check_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
LISTEN = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


def check_free(host: str, ports: dict[str, int]) -> None:
    environ = {"HOST": host, "PLAN_PORT": ""} | {name: str(port) for name, port in ports.items()}
    check_settings(config.load(Sources(environ, None)))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as found:
        yield found


def port_of(found: socket.socket) -> int:
    return int(found.getsockname()[1])


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return port_of(probe)


def test_free_ports_stay_free() -> None:
    ports = {"PORT": unused_port(), "PLAN_PORT": unused_port()}
    check_free(HOST, ports)
    check_free(HOST, ports)
    for port in ports.values():
        socket.create_server((HOST, port)).close()


def test_port_that_is_taken_is_told_with_its_owner_and_its_setting(
    listener: socket.socket,
) -> None:
    port = port_of(listener)
    with pytest.raises(StackError) as caught:
        check_free(HOST, {"PORT": unused_port(), "PLAN_PORT": port})
    name = psutil.Process().name()
    assert str(caught.value) == (
        f"Port {port} is in use by {name} (pid {os.getpid()}); "
        "free it, or set PLAN_PORT to another port"
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_owner_may_be_another_process() -> None:
    with subprocess.Popen(
        (sys.executable, "-c", LISTEN), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.raises(StackError, match=rf"\(pid {other.pid}\)"):
            check_free(HOST, {"PORT": port})
        other.kill()


def test_port_taken_on_one_address_is_taken_on_all(listener: socket.socket) -> None:
    with pytest.raises(StackError, match=f"Port {port_of(listener)} is in use"):
        check_free("0.0.0.0", {"PORT": port_of(listener)})


def test_port_taken_on_another_address_is_free_on_this_one(listener: socket.socket) -> None:
    check_free("127.0.0.2", {"PORT": port_of(listener)})


def test_port_that_only_has_old_connections_is_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = port_of(server)
        with socket.create_connection((HOST, port)):
            accepted, _ = server.accept()
            accepted.close()  # the side that closes first keeps the port in TIME_WAIT
    check_free(HOST, {"PORT": port})


def test_address_of_another_machine_is_told_with_the_setting_to_change() -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737).
    with pytest.raises(StackError) as caught:
        check_free("192.0.2.1", {"PORT": 8000})
    assert "Nothing can listen on 192.0.2.1 port 8000" in str(caught.value)
    assert "set HOST to an address of this machine" in str(caught.value)
