"""Whether the stack runs its own Redis; what answers here is a real server on a real socket."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.connection import parse_url

from app.config import Secret, Settings, Sources, load
from app.stack import redis
from app.stack.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

PONG = b"+PONG\r\n"


@pytest.fixture
def folders(tmp_path: Path) -> Layout:
    return Layout(tmp_path, tmp_path, tmp_path, tmp_path / "a run")


def settings(port: int = 6379, /, **environ: str) -> Settings:
    defaults = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port)}
    return load(Sources(defaults | environ, None))


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def _handler(reply: bytes) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(64) == b"PING\r\n":
                self.request.sendall(reply)

    return Handler


@contextlib.contextmanager
def served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def answering(reply: bytes, port: int = 0) -> Iterator[int]:
    """The port of a server that answers PING with `reply`."""
    server = _Server(("127.0.0.1", port), _handler(reply))
    with served(server):
        yield server.server_address[1]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- told


@pytest.mark.parametrize(("told", "managed"), [("yes", True), ("no", False)])
def test_setting_decides_whatever_answers_and_nothing_is_written(
    folders: Layout, told: str, *, managed: bool
) -> None:
    with answering(PONG) as port:
        assert redis.is_managed(settings(port, REDIS_MANAGED=told), folders) is managed
    unanswered = settings(unused_port(), REDIS_MANAGED=told)
    assert redis.is_managed(unanswered, folders) is managed
    assert list(folders.state.iterdir()) == []


def test_url_of_a_redis_means_that_one(folders: Layout) -> None:
    found = settings(unused_port(), REDIS_URL="redis://127.0.0.1:1")
    assert not redis.is_managed(found, folders)
    assert list(folders.state.iterdir()) == []


# ---- decided at the first start


@pytest.mark.parametrize(
    "reply",
    [
        PONG,
        b"-NOAUTH Authentication required.\r\n",
        b"-DENIED Redis is running in protected mode\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
    ],
)
def test_redis_that_answers_is_used(folders: Layout, reply: bytes) -> None:
    with answering(reply) as port:
        assert not redis.is_managed(settings(port), folders)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"-ERR unknown\r\n"])
def test_something_else_that_answers_is_not_taken_for_redis(folders: Layout, reply: bytes) -> None:
    with answering(reply) as port:
        assert redis.is_managed(settings(port), folders)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_own_redis_where_nothing_answers(folders: Layout, host: str) -> None:
    assert redis.is_managed(settings(unused_port(), REDIS_HOST=host), folders)


def test_redis_of_another_machine_is_used_even_when_it_does_not_answer(folders: Layout) -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737); nothing is asked there.
    assert not redis.is_managed(settings(REDIS_HOST="192.0.2.1"), folders)


# ---- and kept


def test_decision_for_an_outer_redis_stays_when_it_goes_away(folders: Layout) -> None:
    with answering(PONG) as port:
        redis.decide(settings(port), folders)
    assert not redis.is_managed(settings(port), folders)


def test_decision_for_an_own_redis_stays_when_another_comes(folders: Layout) -> None:
    port = unused_port()
    redis.decide(settings(port), folders)
    with answering(PONG, port):
        assert redis.is_managed(settings(port), folders)


def test_question_without_a_decision_decides_nothing(folders: Layout) -> None:
    port = unused_port()
    assert redis.is_managed(settings(port), folders)
    with answering(PONG, port):
        assert not redis.is_managed(settings(port), folders)


def test_another_address_is_decided_anew(folders: Layout) -> None:
    assert redis.is_managed(settings(unused_port()), folders)
    with answering(PONG) as port:
        assert not redis.is_managed(settings(port), folders)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"managed": "yes"}'])
def test_decision_that_cannot_be_read_is_taken_anew(folders: Layout, text: str) -> None:
    (folders.state / "redis.json").write_text(text)
    with answering(PONG) as port:
        assert not redis.is_managed(settings(port), folders)


# ---- the address and the command


def test_address_of_an_outer_redis_is_the_one_of_the_settings(folders: Layout) -> None:
    environ = {"REDIS_MANAGED": "no", "REDIS_PASSWORD": "p", "REDIS_DB": "2"}
    found = settings(**environ)
    assert str(redis.address(found, folders)) == "redis://:p@127.0.0.1:6379/2"


def test_address_of_the_own_redis_is_understood_by_the_client(folders: Layout) -> None:
    found = redis.address(settings(REDIS_MANAGED="yes", REDIS_DB="3"), folders)
    assert isinstance(found, Secret)
    parsed = parse_url(str(found))  # type: ignore[no-untyped-call]
    assert parsed["path"] == str(redis.socket_path(folders)) == f"{folders.run}/redis.sock"
    assert parsed["db"] == 3


@pytest.mark.parametrize(("number", "databases"), [("0", "16"), ("15", "16"), ("16", "17")])
def test_own_redis_listens_only_on_its_socket_and_keeps_its_data(
    folders: Layout, number: str, databases: str
) -> None:
    found = settings(REDIS_MANAGED="yes", REDIS_DB=number)
    program, *rest = redis.argv(Path("/bin/redis-server"), found, folders)
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    assert program == "/bin/redis-server"
    assert options["--port"] == "0"
    assert options["--unixsocket"] == str(folders.run / "redis.sock")
    assert options["--unixsocketperm"] == "700"
    assert options["--dir"] == str(folders.redis_data)
    assert options["--appendonly"] == "yes"
    assert options["--databases"] == databases


def test_socket_is_seen_to_answer_only_while_a_redis_listens(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    assert not redis.answers_at(path)
    with served(_UnixServer(str(path), _handler(PONG))):
        assert redis.answers_at(path)
    assert path.exists()
    assert not redis.answers_at(path)
