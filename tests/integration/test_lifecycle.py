"""The stack's way up and down: what is started, what is refused, and that nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from app.proc import lives
from benchmarks.ports import free_port
from tests.support import HTML, Stack, stack_with_file, wait_for
from tests.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def processes_naming(text: str) -> list[psutil.Process]:
    """Every living process whose command line names a folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and any(text in part for part in process.info["cmdline"] or [])
    ]


def test_status_names_every_process(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    down = stack.run("status", "--json")
    assert down.returncode == 3
    assert json.loads(down.stdout)["processes"] == []
    stack.up()
    up = stack.run("status", "--json")
    assert up.returncode == 0, up.stderr
    status = json.loads(up.stdout)
    assert status["running"] is True
    assert status["ports"] == [stack.port, stack.plan_port]
    names = [process["name"] for process in status["processes"]]
    assert sorted(names) == ["nginx", "redis", "supervisord", "web", "web/0", "web/1"]
    for process in status["processes"]:
        assert psutil.pid_exists(process["pid"])
        assert process["state"] in {"RUNNING", "ready"}
        assert process["restarts"] == 0
        assert 0 <= process["uptime_s"] < 60
    assert stack.entry("web/0")["release"] == status["release"]
    table = stack.run("status").stdout
    assert all(name in table for name in names)


def test_down_leaves_nothing(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    stack.down()
    assert not processes_naming(str(stack.state))
    assert list((stack.state / "run").iterdir()) == []
    assert stack.run("down").stderr.strip().endswith("nothing was running")


def test_counter_outlasts_the_stack(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    assert [stack.counter(), stack.counter()] == [1, 2]
    stack.down()
    stack.up()
    assert stack.counter() == 3


def test_supervisord_is_private(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack()
    stack.up()
    listening = {
        connection.laddr.port
        for process in stack.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {stack.port, stack.plan_port}, "Redis and supervisord have no port"
    sock = stack.state / "run" / "supervisord.sock"
    assert sock.stat().st_mode & 0o777 == 0o700
    assert sock.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("setting", ["PORT", "PLAN_PORT"])
def test_port_in_use_is_named_before_anything_starts(
    make_stack: Callable[..., Stack], setting: str
) -> None:
    stack = make_stack()
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(stack.settings[setting])))
        other.listen()
        done = stack.run("up", "-d")
    assert done.returncode == 1
    assert f"Port {stack.settings[setting]} is in use by" in done.stderr
    assert f"set {setting} to another port" in done.stderr
    assert not processes_naming(str(stack.state))


def test_empty_plan_port_turns_the_second_port_off(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(PLAN_PORT="")
    stack.up()
    assert stack.status()["ports"] == [stack.port]
    assert stack.get("/health").status_code == 200


def test_second_up_is_refused_and_harms_nothing(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    pid = stack.pid("supervisord")
    again = stack.run("up", "-d")
    assert again.returncode == 1
    assert "is up already" in again.stderr
    assert stack.pid("supervisord") == pid


def test_wrong_settings_are_listed_together(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(PORT="http", WORKERS="0", REDIS_DB="-1")
    for command in ("up", "check"):
        done = stack.run(command)
        assert done.returncode == 78
        for name in ("PORT", "WORKERS", "REDIS_DB"):
            assert f"{name}: the value" in done.stdout + done.stderr


def test_kill_of_everything_leaves_nothing_in_the_way(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    assert stack.counter() == 1
    killed = stack.processes()
    for process in killed:
        with contextlib.suppress(psutil.NoSuchProcess):  # the kernel ended it with its parent
            process.kill()
    psutil.wait_procs(killed, timeout=5)
    stack.up()
    assert stack.counter() == 2


@pytest.mark.parametrize("victim", ["supervisord", "nginx", "web"])
def test_kill_of_one_parent_leaves_no_orphan(make_stack: Callable[..., Stack], victim: str) -> None:
    stack = make_stack()
    stack.up()
    before = {process.pid for process in stack.processes()}
    os.kill(stack.pid(victim), signal.SIGKILL)
    if victim == "supervisord":
        wait_for(lambda: not processes_naming(str(stack.state)), "the end of all that it ran")
        stack.up()
    wait_for(lambda: _healthy(stack), "service after the kill", 30)
    old = [pid for pid in before if psutil.pid_exists(pid)]
    alive = [psutil.Process(pid) for pid in old]
    wait_for(
        lambda: {p.pid for p in alive if p.is_running()} <= {p.pid for p in stack.processes()},
        "every survivor to have its parent",
    )
    assert stack.entry("nginx")["restarts"] == (1 if victim == "nginx" else 0)


def test_killed_program_is_started_anew_without_waiting_for_the_next_look(
    make_stack: Callable[..., Stack],
) -> None:
    """Supervisord by itself takes one second or two; its own log says when it did what."""
    stack = make_stack()
    stack.up()
    time.sleep(1.1)  # what lived for less than a second waits for the next look
    os.kill(stack.pid("redis"), signal.SIGKILL)
    log = stack.state / "log" / "supervisord.log"
    wait_for(lambda: log.read_text().count("spawned: 'redis'") == 2, "another Redis")
    lines = log.read_text().splitlines()
    exited, spawned = (
        datetime.fromisoformat(next(line for line in reversed(lines) if word in line)[:23])
        for word in ("exited: redis", "spawned: 'redis'")
    )
    assert (spawned - exited).total_seconds() < 0.9


def test_killed_worker_is_replaced_and_its_end_recorded(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack()
    stack.up()
    first = stack.pid("web/0")
    os.kill(first, signal.SIGKILL)

    def replaced() -> bool:
        entry = stack.entry("web/0")
        return bool(entry["pid"] != first and entry["state"] == "ready")

    wait_for(replaced, "a new worker")
    entry = stack.entry("web/0")
    assert (entry["restarts"], entry["last_exit"]) == (1, "killed by SIGKILL")
    assert [stack.get("/health").status_code for _ in range(20)] == [200] * 20


def test_two_stacks_side_by_side_do_not_disturb_each_other(
    make_stack: Callable[..., Stack],
) -> None:
    one, two = make_stack("one"), make_stack("two")
    one.up()
    two.up()
    assert [one.counter(), one.counter(), two.counter()] == [1, 2, 1]
    one.down()
    assert two.counter() == 2


def test_path_with_spaces_serves(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack("a folder with spaces")
    stack.up()
    assert stack.counter() == 1
    address = stack.get("/", headers=HTML).text.split('rel="stylesheet" href="')[1].split('"')[0]
    assert stack.get(address).status_code == 200


def test_kill_of_the_master_fails_no_request(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    with Traffic(stack.url) as traffic:
        for _ in range(2):
            master = psutil.Process(stack.pid("web"))
            workers = master.children()
            master.kill()
            wait_for(lambda: stack.pid("web") not in {0, master.pid}, "another master", 30)  # noqa: B023
            assert psutil.wait_procs(workers, 30)[1] == []
    assert traffic.failures == []
    assert traffic.answers > 100


def test_workers_of_a_killed_master_are_shown_until_they_end(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack(PROBATION_S="5")
    stack.up()
    old = {process.pid for process in psutil.Process(stack.pid("web")).children()}
    os.kill(stack.pid("web"), signal.SIGKILL)

    def shown() -> set[int]:
        return {p["pid"] for p in stack.status()["processes"] if p["name"] == "web/old"}

    wait_for(lambda: shown() == old, "their rows", 30)
    board = json.loads(stack.run("top", "--json").stdout)
    assert board["orphans"] == len(old)
    assert [event["kind"] for event in board["events"]] == ["started", "master died"]
    wait_for(lambda: not shown(), "their end", 30)


def test_reload_waits_for_a_master_that_starts(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    os.kill(stack.pid("web"), signal.SIGKILL)
    done = stack.run("reload")
    assert done.returncode == 0, done.stderr
    assert stack.entry("web")["restarts"] == 1, "the signal ended no master"
    assert stack.status()["reload"] == "succeeded"


def test_workers_serve_while_no_other_master_starts(make_stack: Callable[..., Stack]) -> None:
    stack, file = stack_with_file(make_stack, "")
    stack.up()
    file.write_text("ENVIRONMENT=$$$\n")
    with Traffic(stack.url) as traffic:
        os.kill(stack.pid("web"), signal.SIGKILL)
        wait_for(lambda: stack.log("web").count("ENVIRONMENT: ") >= 3, "masters that fail", 30)
        file.write_text("")
        wait_for(lambda: _has_ready_workers(stack), "a master that starts", 30)
    assert traffic.failures == []


def test_worker_that_cannot_end_is_killed_although_no_other_master_starts(
    make_stack: Callable[..., Stack],
) -> None:
    stack, file = stack_with_file(make_stack, "")
    stack.up()
    file.write_text("ENVIRONMENT=$$$\n")
    worker, master = psutil.Process(stack.pid("web/0")), stack.pid("web")
    os.kill(master, signal.SIGKILL)
    # Not before: the kernel has what is stopped go on when the parent of its group dies.
    wait_for(lambda: worker.ppid() != master, "the end of the master")
    worker.suspend()
    wait_for(lambda: "ENVIRONMENT" in stack.log("web"), "a master that cannot start", 30)
    assert lives(worker), "what this is about"
    stack.down()
    assert not lives(worker)


def test_deep_folder_serves(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack("/".join(["deep" * 8] * 4))
    stack.state.parent.mkdir(parents=True)
    stack.up()
    assert stack.counter() == 1
    assert not (stack.state / "run").exists(), "sockets need a shorter path"


def test_foreground_ends_cleanly_on_ctrl_c(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    with subprocess.Popen(
        (sys.executable, "-m", "app", "up"),
        env=stack.environ, cwd=stack.state.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines: list[str] = []
        reader = threading.Thread(target=lines.extend, args=(process.stdout,))
        reader.start()
        try:
            wait_for(lambda: f"http://127.0.0.1:{stack.port}/\n" in lines, "the address", 30)
            stack.get("/health")
            wait_for(lambda: any("/health" in line for line in lines), "the access line")
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 130
        finally:
            process.kill()
        reader.join()
    assert not processes_naming(str(stack.state))


def test_foreground_killed_takes_the_stack_along(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    with subprocess.Popen(
        (sys.executable, "-m", "app", "up"),
        env=stack.environ, cwd=stack.state.parent,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_for(lambda: _healthy(stack), "service", 30)
        process.kill()
    wait_for(lambda: not processes_naming(str(stack.state)), "the end of the stack", 30)


def test_logs_follow_new_lines(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(ACCESS_LOG="yes")
    stack.up()
    stack.get("/health")
    wait_for(lambda: "/health" in stack.run("logs", "web").stdout, "the line in the log")
    with subprocess.Popen(
        (sys.executable, "-m", "app", "logs", "-f", "-n", "0", "web"),
        env=stack.environ, cwd=stack.state.parent, text=True, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        # Asked again until seen: when the follower has begun is its own affair.
        seen = threading.Event()
        reader = threading.Thread(target=_look_for, args=(process.stdout, "/metadata", seen))
        reader.start()
        wait_for(lambda: stack.get("/metadata") and seen.wait(0.2), "the new line")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        reader.join()
    unknown = stack.run("logs", "nonsense")
    assert unknown.returncode == 1
    assert "there are: nginx, redis, supervisord, web" in unknown.stderr


def test_check_finds_the_stack_fit_and_touches_nothing(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack()
    stack.up()
    configuration = stack.state / "conf" / "nginx.conf"
    before = configuration.stat().st_mtime_ns
    done = stack.run("check", "--json")
    assert done.returncode == 0, done.stdout
    assert '"fit": true' in done.stdout
    assert configuration.stat().st_mtime_ns == before
    assert stack.get("/health").status_code == 200


def test_check_names_a_slip_in_the_env_file(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    file = stack.state.parent / "slip.env"
    file.write_text("REDIS_PROT=6380\n")
    done = stack.run("--env-file", str(file), "check")
    assert done.returncode == 0
    assert "did you mean REDIS_PORT?" in done.stdout


def test_dev_serves_and_restarts_when_a_file_changes(
    make_stack: Callable[..., Stack], checkout: Path
) -> None:
    stack = make_stack()
    stack.root = checkout
    with subprocess.Popen(
        (sys.executable, "-m", "app", "dev"),
        env=stack.environ, cwd=stack.state.parent,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            wait_for(lambda: _healthy(stack), "the development server", 20)
            assert stack.counter() == 1
            address = stack.get("/", headers=HTML).text.split('stylesheet" href="')[1]
            assert stack.get(address.split('"')[0]).status_code == 200
            module = checkout / "app" / "web" / "home.py"
            module.write_text(module.read_text().replace("Hello World!", "Hello Change!"))

            def changed() -> bool:
                # The watcher only sees what changes after it has first looked.
                module.touch()
                try:
                    return "Change" in stack.get("/").text
                except httpx.HTTPError:
                    return False  # it restarts just now

            wait_for(changed, "the change", 20)
            assert stack.counter() == 3, "Redis went on"
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    wait_for(lambda: not processes_naming(str(stack.state)), "the end of Redis")


def test_proxy_of_the_environment_is_not_asked(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")
    stack.up()
    assert stack.counter() == 1


def test_files_of_others_stay(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    (stack.state / "run" / "precious.txt").write_text("mine")
    (stack.state / "run" / "folder").mkdir()
    stack.down()
    assert (stack.state / "run" / "precious.txt").read_text() == "mine"
    stack.up()


def test_down_from_elsewhere_ends_the_foreground_in_peace(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack()
    with subprocess.Popen(
        (sys.executable, "-m", "app", "up"),
        env=stack.environ, cwd=stack.state.parent, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        wait_for(lambda: _healthy(stack), "service", 30)
        # Only once `up` has let go of the stack may another command take it.
        wait_for(lambda: stack.run("down").returncode == 0, "the end", 30)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "stopped from elsewhere" in errors


def test_dev_and_up_keep_out_of_each_others_way(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    with subprocess.Popen(
        (sys.executable, "-m", "app", "dev"),
        env=stack.environ, cwd=stack.state.parent,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            wait_for(lambda: _healthy(stack), "the development server", 20)
            done = stack.run("up", "-d")
            assert done.returncode == 1
            assert "in hand" in done.stderr
            assert stack.counter() == 1, "its Redis was left alone"
        finally:
            process.send_signal(signal.SIGINT)


def test_full_disk_does_not_stop_the_service(make_stack: Callable[..., Stack]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a small file system")
    stack = make_stack()
    stack.state.mkdir()
    subprocess.run(
        ("/bin/mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(stack.state)),
        check=True,
    )
    try:
        stack.up()
        with contextlib.suppress(OSError), (stack.state / "filler").open("wb", 0) as filler:
            while True:
                filler.write(b"0" * 4096)
        first = stack.pid("web/0")
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not psutil.pid_exists(first), "the end of the worker")
        assert [stack.get("/health", timeout=5).status_code for _ in range(20)] == [200] * 20
        (stack.state / "filler").unlink()
        wait_for(lambda: stack.counter() > 0, "the counter", 20)
        stack.down()
    finally:
        subprocess.run(("/bin/umount", "--lazy", str(stack.state)), check=True)


def test_status_names_what_outlived_the_stack(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    supervisord, nginx = stack.pid("supervisord"), stack.pid("nginx")
    # Both at once: Nginx's workers cannot learn of it, and nobody starts another master.
    os.kill(supervisord, signal.SIGSTOP)
    os.kill(nginx, signal.SIGKILL)
    os.kill(supervisord, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(nginx) or not _lives(nginx), "their end")
    left = stack.status()["leftovers"]
    assert left["nginx"]
    assert stack.run("down").returncode == 0
    assert stack.status()["leftovers"] == {}
    assert not any(psutil.pid_exists(pid) and _lives(pid) for pid in left["nginx"])


def _lives(pid: int) -> bool:
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_free_ports_are_really_free() -> None:
    with socket.create_server(("127.0.0.1", port := free_port())):
        assert port > 1023


def _has_ready_workers(stack: Stack) -> bool:
    """Whether the master has workers of its own, beside those that another left."""
    return any(p["state"] == "ready" for p in stack.status()["processes"])


def _healthy(stack: Stack) -> bool:
    try:
        return stack.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def _look_for(lines: object, text: str, seen: threading.Event) -> None:
    for line in lines:  # type: ignore[attr-defined]
        if text in line:
            seen.set()
