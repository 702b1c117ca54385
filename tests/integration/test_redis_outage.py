"""Redis away, hanging and back: what needs it says so in time, and all else goes on."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from benchmarks.ports import free_port
from tests.support import HTML, Stack, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROMISED_ANSWER_S = 0.25
PROMISED_RECOVERY_S = 2.0


class Redis:
    """A Redis of the test's own, on a TCP port."""

    def __init__(self, binary: Path, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._command = (str(binary), "--port", str(self.port), "--bind", "127.0.0.1",
                         "--dir", str(folder), "--appendonly", "yes", *options)  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def redis(redis_server: Path, tmp_path: Path) -> Iterator[Redis]:
    server = Redis(redis_server, tmp_path)
    yield server
    server.kill()


def external(redis: Redis) -> dict[str, str]:
    return {"REDIS_MANAGED": "no", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis.port)}


def assert_only_the_counter_suffers(stack: Stack) -> None:
    durations = []
    for _ in range(5):
        page = stack.get("/", headers=HTML)
        durations.append(page.elapsed.total_seconds())  # without what the client takes to be made
        assert page.status_code == 503
        assert page.headers["Content-Type"].startswith("text/html")
        assert int(page.headers["Retry-After"]) >= 1
    assert statistics.median(durations) < PROMISED_ANSWER_S
    ready = stack.get("/ready")
    assert ready.status_code == 503
    assert "Redis" in ready.json()["detail"]
    assert stack.get("/").text == "Hello World!\n"
    assert stack.get("/health").status_code == 200
    assert stack.get("/metadata").status_code == 200
    assert stack.get("/calculator/add?a=1&b=2").json()["result"] == "3"


def counts_again(stack: Stack) -> bool:
    return stack.get("/", headers=HTML).status_code == 200


def test_redis_that_is_down_at_the_start(make_stack: Callable[..., Stack], redis: Redis) -> None:
    stack = make_stack(**external(redis))
    done = stack.run("up", "-d")
    assert done.returncode == 0, done.stderr
    assert "warning: the visit counter does not work yet" in done.stderr
    workers = {stack.pid("web/0"), stack.pid("web/1")}
    assert_only_the_counter_suffers(stack)
    redis.start()
    wait_for(lambda: counts_again(stack), "the counter", PROMISED_RECOVERY_S)
    assert {stack.pid("web/0"), stack.pid("web/1")} == workers, "no worker was restarted"


def test_redis_that_is_killed_and_comes_back(
    make_stack: Callable[..., Stack], redis: Redis
) -> None:
    redis.start()
    stack = make_stack(**external(redis))
    stack.up()
    before = max(stack.counter() for _ in range(10))
    workers = {stack.pid("web/0"), stack.pid("web/1")}
    redis.kill()
    assert_only_the_counter_suffers(stack)
    redis.start()
    wait_for(lambda: counts_again(stack), "the counter", PROMISED_RECOVERY_S)
    assert [stack.get("/ready").status_code for _ in range(10)] == [200] * 10
    assert stack.counter() > before
    assert {stack.pid("web/0"), stack.pid("web/1")} == workers, "no worker was restarted"


def test_redis_that_hangs(make_stack: Callable[..., Stack], redis: Redis) -> None:
    redis.start()
    stack = make_stack(**external(redis))
    stack.up()
    assert stack.counter() == 1
    redis.signal(signal.SIGSTOP)
    try:
        assert_only_the_counter_suffers(stack)
    finally:
        redis.signal(signal.SIGCONT)
    wait_for(lambda: counts_again(stack), "the counter", PROMISED_RECOVERY_S)


def test_own_redis_that_is_killed_is_started_again(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    assert stack.counter() == 1
    # What Redis has acknowledged is on disk after its everysec interval.
    wait_for(lambda: b"incr" in append_only_file(stack).lower(), "the visit on disk")
    os.kill(stack.pid("redis"), signal.SIGKILL)
    wait_for(lambda: counts_again(stack), "the counter", PROMISED_RECOVERY_S + 1)
    assert stack.counter() == 3
    assert stack.entry("redis")["restarts"] == 1


def append_only_file(stack: Stack) -> bytes:
    return b"".join(path.read_bytes() for path in (stack.state / "redis").rglob("*aof*")
                    if path.is_file())  # fmt: skip


def test_password_works_and_is_never_shown(
    make_stack: Callable[..., Stack], redis_server: Path, tmp_path: Path
) -> None:
    secret = "correct-horse-battery"
    redis = Redis(redis_server, tmp_path, "--requirepass", secret)
    redis.start()
    stack = make_stack(
        REDIS_MANAGED="auto", REDIS_URL=f"redis://:{secret}@127.0.0.1:{redis.port}/0"
    )
    try:
        stack.up()
        assert stack.counter() == 1
        shown = [stack.run("status").stdout, stack.run("status", "--json").stdout,
                 stack.run("config").stdout, stack.run("config", "--json").stdout,
                 stack.run("check").stdout]  # fmt: skip
        redis.kill()
        assert stack.get("/", headers=HTML).status_code == 503
        shown += [stack.get("/ready").text, stack.get("/", headers=HTML).text]
    finally:
        stack.run("down")
        redis.kill()
    files = [path for path in stack.state.rglob("*") if path.is_file()]
    assert len(files) > 5
    for text in [*shown, *(path.read_text(errors="replace") for path in files)]:
        assert secret not in text


def test_first_start_decides_for_a_redis_and_later_ones_keep_to_it(
    make_stack: Callable[..., Stack], redis: Redis
) -> None:
    found = make_stack("found", **external(redis) | {"REDIS_MANAGED": "auto"})
    own = make_stack("own", **external(redis) | {"REDIS_MANAGED": "auto"})
    own.up()
    assert own.counter() == 1
    own.down()
    redis.start()
    wait_for(lambda: _listens(redis), "Redis")
    found.up()
    assert found.counter() == 1
    own.up()
    assert own.counter() == 2, "it has its own still, though another answers now"
    found.down()
    redis.kill()
    found.up()
    assert found.get("/", headers=HTML).status_code == 503, "an empty one in its place would lie"


def _listens(redis: Redis) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{redis.port}/", timeout=1)
    except httpx.ConnectError:
        return False
    except httpx.HTTPError:
        return True
    return True
