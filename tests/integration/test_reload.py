"""Reload: new code and settings in the same master, without a failed request."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from benchmarks.ports import free_port
from tests.support import Stack, stack_with_file, wait_for
from tests.traffic import Traffic, waits_for_idle_clients

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_reload_replaces_every_worker_and_fails_no_request(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack()
    stack.up()
    before, master = stack.status(), stack.pid("web")
    with Traffic(stack.url) as traffic:
        for _ in range(3):
            done = stack.run("reload")
            assert done.returncode == 0, done.stderr
    after = stack.status()
    assert traffic.failures == []
    assert traffic.answers > 100
    assert not worker_pids(before) & worker_pids(after)
    assert after["generation"] == before["generation"] + 3
    assert after["reload"] == "succeeded"
    assert stack.pid("web") == master, "supervisord sees the same process"


def worker_pids(status: dict[str, Any], state: str = "") -> set[int]:
    """The process ids of the workers, of all or of those in a state."""
    return {
        p["pid"] for p in status["processes"]
        if p["name"].startswith("web/") and state in {"", p["state"]}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("module", "fault", "words", "more"),
    [
        (
            "app/web/home.py", "raise RuntimeError('broken at import')",
            "RuntimeError: broken at import", "windlass check",
        ),
        (
            "app/serving.py", "raise RuntimeError('broken at import')",
            "RuntimeError: broken at import", "windlass check",
        ),
        (
            "app/web/templates/home.html", "{% if %}",
            "application: ParseError: Missing {% end %} block for if", "windlass logs web",
        ),
    ],
)  # fmt: skip
def test_code_that_is_not_fit_is_refused_and_the_old_goes_on(
    make_stack: Callable[..., Stack], checkout: Path, module: str, fault: str, words: str,
    more: str,
) -> None:  # fmt: skip
    stack = make_stack()
    stack.root = checkout
    stack.up()
    pids = [stack.pid(f"web/{slot}") for slot in (0, 1)]
    good = (checkout / module).read_text()
    with Traffic(stack.url) as traffic:
        with (checkout / module).open("a") as file:
            file.write(fault + "\n")
        done = stack.run("reload")
        assert done.returncode == 1
        said = done.stderr.strip().splitlines()[-1]
        assert words in said
        assert more in said
        assert "Traceback" not in done.stderr
        assert [stack.pid(f"web/{slot}") for slot in (0, 1)] == pids
        (checkout / module).write_text(good)
        assert stack.run("reload").returncode == 0
    assert traffic.failures == []


def test_workers_that_do_not_become_ready_are_stopped_and_the_old_go_on(
    make_stack: Callable[..., Stack], checkout: Path
) -> None:
    stack = make_stack(START_TIMEOUT_S="12")
    stack.root = checkout
    stack.up()
    pids = [stack.pid(f"web/{slot}") for slot in (0, 1)]
    serving = checkout / "app" / "serving.py"
    good = serving.read_text()
    with Traffic(stack.url) as traffic:
        serving.write_text(good.replace("orders.listen()", "await asyncio.sleep(60)"))
        done = stack.run("reload")
        assert done.returncode == 1
        assert "the old workers go on" in done.stderr
        wait_for(lambda: len(stack.status()["processes"]) == 6, "the end of the new workers")
        assert [stack.pid(f"web/{slot}") for slot in (0, 1)] == pids
        assert stack.status()["reload"].startswith("failed: new worker")
        serving.write_text(good)
        assert stack.run("reload").returncode == 0
        assert stack.status()["reload"] == "succeeded"
    assert traffic.failures == []


def test_changed_settings_take_effect_and_those_of_up_are_kept(
    make_stack: Callable[..., Stack],
) -> None:
    stack, file = stack_with_file(make_stack, "ENVIRONMENT=FIRST\nWORKERS=1\n", "WORKERS")
    stack.up()
    assert stack.get("/metadata").json()["environment"] == "FIRST"
    for workers in (3, 2):
        file.write_text(f"ENVIRONMENT=WITH-{workers}\nWORKERS={workers}\n")
        # Another number of workers is another configuration of Nginx.
        with Traffic(stack.url, keeps=waits_for_idle_clients()) as traffic:
            # The port was given by the environment of `up`; a reload from elsewhere keeps it.
            done = stack.run("reload", PORT="1")
        assert done.returncode == 0, done.stderr
        assert traffic.failures == []
        assert stack.get("/metadata").json()["environment"] == f"WITH-{workers}"
        # Whoever is replaced may still be finishing a request, or ending.
        wait_for(lambda: len(worker_pids(stack.status())) == workers, f"{workers} workers")  # noqa: B023


def test_settings_of_a_refused_reload_take_effect_with_the_next(
    make_stack: Callable[..., Stack], checkout: Path
) -> None:
    old, new = free_port(), free_port()
    stack, file = stack_with_file(make_stack, f"PORT={old}\n", "PORT")
    stack.root = checkout
    stack.url = f"http://127.0.0.1:{old}"
    stack.up()
    template = checkout / "app" / "web" / "templates" / "home.html"
    good = template.read_text()
    template.write_text(good + "{% if %}")
    file.write_text(f"PORT={new}\n")
    assert stack.run("reload").returncode == 1
    assert stack.get("/health").status_code == 200
    template.write_text(good)
    done = stack.run("reload")
    assert done.returncode == 0, done.stderr
    assert httpx.get(f"http://127.0.0.1:{new}/health").status_code == 200


def test_reload_to_a_port_in_use_is_refused(make_stack: Callable[..., Stack]) -> None:
    old = free_port()
    stack, file = stack_with_file(make_stack, f"PORT={old}\n", "PORT")
    stack.url = f"http://127.0.0.1:{old}"
    stack.up()
    with socket.create_server(("127.0.0.1", 0)) as other:
        file.write_text(f"PORT={other.getsockname()[1]}\n")
        done = stack.run("reload")
    assert done.returncode == 1
    assert "is in use by" in done.stderr
    assert stack.get("/health").status_code == 200


def test_workers_may_shrink_and_grow_and_a_refused_growth_harms_nothing(
    make_stack: Callable[..., Stack], checkout: Path
) -> None:
    stack, file = stack_with_file(make_stack, "WORKERS=4\n", "WORKERS")
    stack.root = checkout
    stack.up()
    file.write_text("WORKERS=2\n")
    assert stack.run("reload").returncode == 0
    wait_for(
        lambda: (
            sorted(path.name for path in (stack.state / "run").glob("worker-*.sock"))
            == ["worker-0.sock", "worker-1.sock"]
        ),
        "the end of the surplus sockets",
    )
    template = checkout / "app" / "web" / "templates" / "home.html"
    good = template.read_text()
    template.write_text(good + "{% if %}")
    file.write_text("WORKERS=3\n")
    assert stack.run("reload").returncode == 1
    assert [stack.get("/health", timeout=2).status_code for _ in range(12)] == [200] * 12
    template.write_text(good)
    assert stack.run("reload").returncode == 0
    assert [stack.get("/health", timeout=2).status_code for _ in range(12)] == [200] * 12
    assert len(worker_pids(stack.status())) == 3


def test_reloads_asked_for_at_once_all_take_place(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    before = stack.status()["generation"]
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda _: stack.run("reload"), range(3)))
    assert [one.returncode for one in done] == [0, 0, 0], [one.stderr for one in done]
    assert stack.status()["generation"] == before + 3


def test_old_worker_that_dies_during_a_reload_leaves_one_worker_a_slot(
    make_stack: Callable[..., Stack], checkout: Path
) -> None:
    stack = make_stack()
    stack.root = checkout
    stack.up()
    serving = checkout / "app" / "serving.py"
    marker = "orders = Orders()\n"
    text = serving.read_text()
    assert marker in text
    serving.write_text(text.replace(marker, f"{marker}        await asyncio.sleep(1.5)\n", 1))
    with ThreadPoolExecutor(1) as thread:
        victim = stack.pid("web/0")
        reload = thread.submit(stack.run, "reload")
        wait_for(lambda: stack.status()["reload"] == "under way", "the new workers", 20)
        os.kill(victim, signal.SIGKILL)
        assert reload.result().returncode == 0
    names = [p["name"] for p in stack.status()["processes"] if p["name"].startswith("web/")]
    assert sorted(set(names)) == ["web/0", "web/1"]
    wait_for(lambda: len(worker_pids(stack.status())) == 2, "one worker a slot")


def test_wrong_settings_do_not_reload(make_stack: Callable[..., Stack]) -> None:
    stack, file = stack_with_file(make_stack, "ENVIRONMENT=FIRST\n")
    stack.up()
    file.write_text("ENVIRONMENT=$$$\n")
    done = stack.run("reload")
    assert done.returncode == 78
    assert stack.get("/metadata").json()["environment"] == "FIRST"
    assert stack.run("down").returncode == 0, "a stack whose settings broke can be stopped"


def test_release_that_never_serves_gives_way_to_the_one_before(
    make_stack: Callable[..., Stack], checkout: Path, tmp_path: Path
) -> None:
    profile, bad = tmp_path / "profile", tmp_path / "bad"
    shutil.copytree(checkout, bad)
    serving = bad / "app" / "serving.py"
    serving.write_text(serving.read_text().replace("orders.listen()", "await asyncio.sleep(600)"))
    for release in (checkout, bad):
        program = release / "bin" / "windlass"
        program.parent.mkdir()
        words = (f"PYTHONPATH={release}", sys.executable, "-m", "app")
        program.write_text(f'#!/bin/sh\nexec env {shlex.join(words)} "$@"\n')
        program.chmod(0o755)
    profile.symlink_to(checkout)
    stack = make_stack(START_TIMEOUT_S="12", WINDLASS_PROFILE=str(profile))
    stack.root = checkout
    stack.up()
    workers, master = worker_pids(stack.status()), psutil.Process(stack.pid("web"))
    profile.unlink()
    profile.symlink_to(bad)
    with Traffic(stack.url) as traffic:
        done = stack.run("reload")
        assert done.returncode == 1
        assert "was not ready in time; the old workers go on" in done.stderr
        assert master.is_running()
        assert master.environ()["PYTHONPATH"] == str(checkout), "the old release runs again"
        wait_for(lambda: worker_pids(stack.status()) == workers, "the end of the new workers", 30)
    assert traffic.failures == []
    assert "most recent call first" in stack.log("web"), "where the new worker hung"
    os.kill(min(workers), signal.SIGKILL)
    wait_for(
        lambda: len(ready := worker_pids(stack.status(), "ready")) == 2 and ready != workers,
        "a worker of the old release", 30,
    )  # fmt: skip


def test_back_brings_the_workers_of_before_and_their_settings(
    make_stack: Callable[..., Stack],
) -> None:
    stack, file = stack_with_file(make_stack, "ENVIRONMENT=FIRST\nSTANDBY_S=600\n")
    stack.up()
    first = worker_pids(stack.status())
    file.write_text("ENVIRONMENT=SECOND\nSTANDBY_S=600\n")
    with Traffic(stack.url) as traffic:
        assert stack.run("reload").returncode == 0
        assert stack.get("/metadata").json()["environment"] == "SECOND"
        assert worker_pids(stack.status(), "standby") == first
        done = stack.run("reload", "--back")
        assert done.returncode == 0, done.stderr
        assert "went back to" in done.stderr
        assert stack.get("/metadata").json()["environment"] == "FIRST"
        wait_for(lambda: worker_pids(stack.status()) == first, "the end of the new workers", 30)
        os.kill(min(first), signal.SIGKILL)
        wait_for(lambda: len(worker_pids(stack.status(), "ready") - first) == 1, "another", 30)
        for _ in range(4):
            assert stack.get("/metadata").json()["environment"] == "FIRST"
        assert stack.run("reload", "--back").returncode == 1
        assert stack.run("reload").returncode == 0
        assert stack.get("/metadata").json()["environment"] == "SECOND"
    # A POST under way at the worker that was killed has no second chance.
    assert len(traffic.failures) <= 2
    assert all(failure.startswith("POST") for failure in traffic.failures)


def test_recycling_under_traffic_fails_no_request(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(RECYCLE_AFTER_REQUESTS="150", HEARTBEAT_TIMEOUT_S="1")
    stack.up()
    first = worker_pids(stack.status())
    seen: set[int] = set()
    with Traffic(stack.url) as traffic:

        def replaced_twice() -> bool:
            seen.update(worker_pids(stack.status()))
            return len(seen - first) >= 4

        wait_for(replaced_twice, "two rounds of replacements", 60)
    assert traffic.failures == []
    assert all(process["restarts"] == 0 for process in stack.status()["processes"])


@pytest.mark.parametrize("engine", ["windlass", "stock"])
def test_worker_that_fails_its_own_probe_never_serves(
    make_stack: Callable[..., Stack], checkout: Path, engine: str
) -> None:
    stack = make_stack(HTTP_ENGINE=engine)
    stack.root = checkout
    stack.up()
    routes = checkout / "app" / "web" / "application.py"
    text = routes.read_text()
    assert "/health" in text
    routes.write_text(text.replace("/health", "/healthy"))
    with Traffic(stack.url) as traffic:
        done = stack.run("reload")
        assert done.returncode == 1
        assert "new worker" in done.stderr
    assert traffic.failures == []
    assert "/health was answered 404" in stack.log("web")


@pytest.mark.parametrize("engine", ["windlass", "stock"])
def test_worker_that_stands_still_is_replaced(
    make_stack: Callable[..., Stack], engine: str
) -> None:
    stack = make_stack(HEARTBEAT_TIMEOUT_S="2", HTTP_ENGINE=engine)
    stack.up()
    victim = stack.pid("web/0")
    os.kill(victim, signal.SIGSTOP)
    wait_for(
        lambda: len(ready := worker_pids(stack.status(), "ready")) == 2 and victim not in ready,
        "another worker", 30,
    )  # fmt: skip
    assert stack.entry("web/0")["last_exit"] == "its event loop stood still; killed by SIGKILL"
    assert [stack.get("/health").status_code for _ in range(4)] == [200] * 4


def test_requests_under_way_are_finished(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(WORKERS="1")
    stack.up()
    with httpx.Client() as client:
        # A body that comes slowly keeps one request under way across the reload. Nginx would
        # gather it first, so this goes to the worker itself.
        transport = httpx.HTTPTransport(uds=str(stack.state / "run" / "worker-0.sock"))
        released = threading.Event()

        def body() -> object:
            yield b'{"expression":'
            assert released.wait(30)
            yield b'"6*7"}'

        answers: list[httpx.Response] = []

        def send() -> None:
            with httpx.Client(transport=transport) as slow:
                answers.append(
                    slow.post(
                        "http://worker/calculator",
                        content=body(),  # type: ignore[arg-type]
                        headers={"Content-Type": "application/json"},
                        timeout=30,
                    )
                )

        sender = threading.Thread(target=send)
        sender.start()
        wait_for(lambda: stack.get("/health").status_code == 200, "service")
        assert stack.run("reload").returncode == 0
        assert client.get(stack.url + "/health").status_code == 200
        released.set()
        sender.join()
    assert answers[0].json()["result"] == "42"


BUSY = """

from tornado.web import RequestHandler
import time

class Busy(RequestHandler):
    def post(self):
        time.sleep(0.02)
        print("done", flush=True)
        self.write("done")

_without_it = make_application

def make_application(*arguments):
    made = _without_it(*arguments)
    made.add_handlers(".*", [("/busy", Busy)])
    return made
"""


def test_kill_of_the_master_loses_nobody_who_waits_for_a_busy_worker(
    make_stack: Callable[..., Stack], checkout: Path
) -> None:
    stack = make_stack()
    stack.root = checkout
    with (checkout / "app" / "web" / "application.py").open("a") as file:
        file.write(BUSY)
    stack.up()
    stopping = threading.Event()

    def ask() -> set[int]:
        found = set()
        with httpx.Client(timeout=30) as client:
            while not stopping.is_set():
                found.add(client.post(f"{stack.url}/busy").status_code)
        return found

    with ThreadPoolExecutor(60) as threads:
        answers = [threads.submit(ask) for _ in range(60)]
        time.sleep(1)
        master = psutil.Process(stack.pid("web"))
        workers = master.children()
        master.kill()
        _, left = psutil.wait_procs(workers, 30)
        stopping.set()
        assert left == []
        assert set.union(*(one.result() for one in answers)) == {200}
