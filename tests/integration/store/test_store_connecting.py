"""Making connections: credentials, databases and TLS, and the words when Redis refuses."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from app.config import Secret
from app.errors import StoreError
from app.store import NotExecutedError, RedisStore
from app.store.pipeline import pack
from benchmarks.store.lanes import make_lanes
from benchmarks.store.proxy import Proxy
from benchmarks.store.server import Server, running
from tests.real_redis import TIMEOUT_S, echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.real_redis import Run


def test_counter_that_is_no_number_is_an_error_of_the_store(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        lanes = make_lanes(redis.address)
        store = RedisStore(redis.address, timeout_s=TIMEOUT_S, connections=1)
        await lanes.call(pack("SET", "counter", "many"))
        with pytest.raises(StoreError, match="not an integer"):
            await store.count_visit()
        with pytest.raises(StoreError, match="no number"):
            await store.visits()
        await lanes.call(pack("DEL", "counter"))
        await lanes.call(pack("LPUSH", "counter", "many"))
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await store.visits()
        await store.ping()
        await lanes.call(pack("DEL", "counter"))
        assert await store.count_visit() == 1
        await store.close()
        await lanes.close()

    run(scenario())


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A Redis with a password, and a user who may do little."""
    with running(
        "--requirepass", "correct-horse",
        "--user", "visitor", "on", ">battery-staple", "~counter", "+incr", "+get", "+select",
    ) as server:  # fmt: skip
        yield server


async def count_once(address: str) -> int:
    store = RedisStore(Secret(address), timeout_s=TIMEOUT_S, connections=1)
    try:
        return await store.count_visit()
    finally:
        await store.close()


def test_password_user_and_database_of_the_address_are_used(run: Run, guarded: Server) -> None:
    path = guarded.path

    async def scenario() -> None:
        first = await count_once(f"unix://:correct-horse@{path}?db=3")
        assert await count_once(f"unix://visitor:battery-staple@{path}?db=3") == first + 1
        assert await count_once(f"unix://{path}?db=3&password=correct-horse") == first + 2
        old = await count_once(f"unix://:correct-horse@{path}?db=3&protocol=2")
        assert old == first + 3
        named = f"unix://:correct-horse@{path}?client_name=windlass"
        lanes = make_lanes(named)
        listed = await lanes.call(pack("CLIENT", "LIST"))
        assert isinstance(listed, bytes)
        assert b"name=windlass" in listed
        await lanes.close()

    run(scenario())


@pytest.mark.parametrize(
    ("credentials", "query", "advice"),
    [
        (":wrong-secret@", "", "REDIS_PASSWORD"),
        ("nobody:wrong-secret@", "", "WRONGPASS"),
        ("", "", "NOAUTH"),
        (":correct-horse@", "?db=99", "REDIS_DB"),
    ],
)
def test_refused_credentials_say_what_to_set(
    run: Run, guarded: Server, credentials: str, query: str, advice: str
) -> None:
    async def scenario() -> None:
        address = f"unix://{credentials}{guarded.path}{query}"
        with pytest.raises(NotExecutedError, match=advice) as caught:
            await count_once(address)
        for word in ("wrong-secret", "nobody", "correct-horse"):
            assert word not in repr(caught.value)
            assert word not in repr(caught.value.__cause__)

    run(scenario())


def test_what_a_user_may_not_do_is_refused_without_its_name(run: Run, guarded: Server) -> None:
    async def scenario() -> None:
        address = Secret(f"unix://visitor:battery-staple@{guarded.path}")
        store = RedisStore(address, timeout_s=TIMEOUT_S, connections=1)
        with pytest.raises(StoreError, match="NOPERM") as caught:
            await store.ping()
        assert "visitor" not in str(caught.value)
        assert await store.count_visit() >= 1
        await store.close()

    run(scenario())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate of localhost, signed by itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not on PATH")
    folder = tmp_path_factory.mktemp("tls")
    command = (openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
               "-keyout", str(folder / "key"), "-out", str(folder / "certificate"))  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "certificate").read_bytes())
    return both


def test_tls(run: Run, redis: Server, certificate: Path) -> None:
    """The Redis of the tests has no TLS: the proxy before it speaks it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def scenario() -> None:
        async with Proxy(redis.path, tls=context) as proxy:
            lanes = make_lanes(f"rediss://localhost:{proxy.port}?ssl_ca_certs={certificate}")
            await asyncio.gather(*(echo(lanes, str(number)) for number in range(100)))
            await lanes.close()
            with pytest.raises(NotExecutedError, match="TLS"):
                await count_once(f"rediss://localhost:{proxy.port}")
            with pytest.raises(NotExecutedError, match="TLS"):
                await count_once(f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={certificate}")

    run(scenario())
