"""The stack's way up, down, and to new code: each a list of steps."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import msgspec
import psutil

from app.config import VARIABLES
from app.errors import StackError
from app.files import write_whole
from app.proc import lives
from app.stack import groups, launch, logs, nginx, ports, probe, redis, render, status, upgrade
from app.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from app.config import Settings
    from app.process.state import MasterState
    from app.stack.layout import Layout
    from app.stack.plan import Plan

_POLL_S = 0.1
SUPERVISORD = "supervisord"


def up(
    plan: Plan, environ: Mapping[str, str], *, detached: bool, say: Callable[[str], None]
) -> None:
    """Start the stack and return when it serves.

    Args:
        plan: what to run.
        environ: the environment of the stack; its settings are kept for a later reload.
        detached: whether the stack outlives this process.
        say: told of each step that takes long.

    Raises:
        StackError: it runs already, a port is taken, or it did not become ready; what was started
            is stopped again.
    """
    with exclusively(plan.layout):
        _prepare(plan, environ, say)
        process = _start_supervisord(plan, environ, detached=detached)
        try:
            _wait_until_ready(plan, process)
        except BaseException:
            _stop(plan.layout, render.stop_timeout_s(plan.settings.drain_timeout_s))
            raise


def become(plan: Plan, environ: Mapping[str, str], say: Callable[[str], None]) -> NoReturn:
    """Start the stack from this very process, which becomes supervisord: for a container's first.

    So supervisord gets the container's signals, and reaps whatever loses its parent.

    Raises:
        StackError: as of `up`, but for what only shows once supervisord runs.
    """
    with exclusively(plan.layout):
        _prepare(plan, environ, say)
        if os.getpgrp() != os.getpid():
            os.setsid()  # its group is recorded under its own pid
        os.chdir(plan.layout.state)
        command = launch.argv(plan.layout.run, SUPERVISORD, _supervisord_argv(plan), parent=0)
        os.execve(command[0], command, _environ_of_supervisord(plan, environ))  # noqa: S606


def _prepare(plan: Plan, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Make all that supervisord needs to start, in place of what an earlier stack left."""
    layout = plan.layout
    if Supervisor(layout.run / "supervisord.sock").is_running():
        raise StackError(
            f"The stack of {layout.state} is up already; see: windlass status, windlass reload"
        )
    _clear(layout, say)
    ports.check_free(plan.settings)
    redis.decide(plan.settings, layout)
    render.publish_static(plan)
    render.write(plan)
    test_nginx(plan)
    upgrade.point(layout, plan.nginx.path)
    _keep_overrides(layout, environ)
    say(f"starting {', '.join(program.name for program in render.programs(plan))}")


def down(layout: Layout, drain_timeout_s: float) -> bool:
    """Stop the stack and return when nothing of it is left; whether there was anything.

    Args:
        layout: of the stack.
        drain_timeout_s: seconds that its programs may take to finish their requests.
    """
    layout.prepare()
    with exclusively(layout):
        return _stop(layout, render.stop_timeout_s(drain_timeout_s))


def reload(plan: Plan, say: Callable[[str], None]) -> None:
    """Have the master load its newest code and Nginx its newest configuration, with no gap.

    Raises:
        StackError: the configuration or the code is not fit to serve; what ran goes on.
    """
    with exclusively(plan.layout, patience_s=reload_timeout_s(plan.settings)):
        before = _serving(plan.layout, plan.settings.start_timeout_s)
        render.publish_static(plan)
        change = _NginxChange.prepare(plan)
        # Nginx may only ever know sockets at which somebody accepts: with fewer workers it lets go
        # of the last ones first, with more it learns of them last.
        fewer = plan.settings.worker_count < len(before.slots)
        say("checking and loading the new code")
        try:
            if fewer:
                change.apply()
            Supervisor(plan.layout.run / "supervisord.sock").signal("web", "HUP")
            _wait_for_reload(plan.layout, before, reload_timeout_s(plan.settings))
            change.apply()
        except StackError:
            change.undo()
            raise


def reload_timeout_s(settings: Settings) -> float:
    """Seconds in which a reload or a way back has come to a verdict."""
    # The master checks the code, loads it and waits for its workers, each in this time; where they
    # do not serve, it loads the code of before, which is known to load and gets half of it. With
    # the defaults that is less than a deployment gives a host (`start_timeout_s` of deploy.toml).
    return 3.5 * settings.start_timeout_s + settings.probation_s


def go_back(layout: Layout, timeout_s: float) -> str:
    """Have the master go back to the release before; returns how that went, for people.

    Raises:
        StackError: there is none, or it is not fit to serve; what ran goes on.
    """
    with exclusively(layout, patience_s=timeout_s):
        before = _serving(layout, timeout_s)
        Supervisor(layout.run / "supervisord.sock").signal("web", "USR2")
        return _wait_for_reload(layout, before, timeout_s).reload


@dataclass
class _NginxChange:
    """A new configuration of Nginx, or a new Nginx: tested first, applied once, undone on need.

    The configuration's file is always the one that Nginx runs, so that an Nginx that is started
    anew runs it too.
    """

    plan: Plan
    old: str
    new: str
    applied: bool = False

    @classmethod
    def prepare(cls, plan: Plan) -> _NginxChange:
        """Test the new configuration with the new Nginx, and that the ports it adds can be had."""
        change = cls(plan, plan.nginx_conf.read_text(), nginx.configuration(plan))
        if change._is_due():
            with tempfile.TemporaryDirectory(prefix="windlass-trial-") as folder:
                trial = replace(plan, output=Path(folder))
                render.write(trial)
                test_nginx(trial)
            ports.check_free(plan.settings, already_ours=change.old)
        return change

    def apply(self) -> None:
        # Left alone where nothing changes for it: its old workers close kept-alive connections.
        if self._is_due() and not self.applied:
            self.applied = True
            self._switch(self.new)
            if not _comes_true(lambda: serves(self.plan.settings)):
                raise StackError(_with_log(self.plan.layout, "nginx", "Nginx refused its new "
                                           "configuration; the old one serves"))  # fmt: skip

    def undo(self) -> None:
        if self.applied:
            self._switch(self.old)

    def _is_due(self) -> bool:
        return self.old != self.new or self._has_new_binary()

    def _has_new_binary(self) -> bool:
        return upgrade.is_due(self.plan.layout, self.plan.nginx.path)

    def _switch(self, text: str) -> None:
        plan = self.plan
        if text == self.new and self._has_new_binary():
            command = nginx.argv(plan, str(upgrade.link(plan.layout)))
            upgrade.Change(
                plan.layout, plan.nginx.path, command, plan.nginx_conf, text,
                lambda: serves(plan.settings),
            ).run()  # fmt: skip
        else:
            write_whole(plan.nginx_conf, text.encode())
            Supervisor(plan.layout.run / "supervisord.sock").signal("nginx", "HUP")


def test_nginx(plan: Plan) -> None:
    """Return when Nginx accepts its rendered configuration.

    Raises:
        StackError: it does not; carries its words.
    """
    done = subprocess.run(
        (*nginx.argv(plan), "-q", "-t"), capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise StackError(f"Nginx refuses its configuration {plan.nginx_conf}:\n{said}")


def is_up(layout: Layout) -> bool:
    """Whether the stack's supervisord is there."""
    return Supervisor(layout.run / "supervisord.sock").is_running()


def watch(layout: Layout) -> Callable[[], bool]:
    """Return what tells whether the stack is still up, at the price of a look at `/proc`.

    supervisord is not asked: its memory grows a little with each question.

    Raises:
        StackError: it is not up.
    """
    supervisord = psutil.Process(Supervisor(layout.run / "supervisord.sock").pid())
    return lambda: lives(supervisord)


def serves(settings: Settings) -> bool:
    """Whether a worker answers through Nginx at every address of the service."""
    ports = [(port, False) for port in settings.ports]
    if settings.has_tls:
        ports.append((settings.tls_port, True))
    found = [
        probe.get(address, "/health", tls=tls)
        for port, tls in ports
        for address in nginx.listen_addresses(settings.host, port)
    ]
    return all(answer is not None and answer.status == 200 for answer in found)


def _keep_overrides(layout: Layout, environ: Mapping[str, str]) -> None:
    """Keep the settings that the environment gives, so that a reload elsewhere has them too."""
    kept = {name: text for name, text in environ.items() if name in VARIABLES}
    # May hold a password; the file is this user's only.
    write_whole(layout.run / "overrides.json", msgspec.json.encode(kept))


def kept_overrides(layout: Layout) -> dict[str, str] | None:
    """The settings that the environment gave when the stack came up; None when it is down."""
    try:
        return msgspec.json.decode(
            (layout.run / "overrides.json").read_bytes(), type=dict[str, str]
        )
    except (OSError, msgspec.MsgspecError):
        return None


@contextlib.contextmanager
def exclusively(layout: Layout, *, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the stack for oneself: nobody else starts, stops or reloads it meanwhile.

    Raises:
        StackError: another process holds it, and does not let go in time.
    """
    with (layout.state / "lock").open("w") as file:
        if not _comes_true(lambda: _try_lock(file), patience_s):
            raise StackError(
                f"Another windlass has the stack of {layout.state} in hand (up, down, reload or "
                "dev); wait for it or end it, then try again"
            )
        yield


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _comes_true(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _clear(layout: Layout, say: Callable[[str], None]) -> None:
    """End whatever an earlier stack left behind, and remove its sockets and records."""
    for name in groups.recorded(layout.run):
        for pid in groups.sweep(layout.run, name):
            say(f"ended process {pid}, left by an earlier {name}")
    _remove_records(layout)


def _remove_records(layout: Layout) -> None:
    """Remove what a stack leaves in its run folder, and nothing that somebody else put there."""
    for pattern in (
        "*.sock",
        "*.sock.*",
        "*.group",
        "*.pid",
        "*.oldbin",
        "nginx",
        "master.json",
        "overrides.json",
    ):
        for path in layout.run.glob(pattern):
            path.unlink(missing_ok=True)


def _start_supervisord(
    plan: Plan, environ: Mapping[str, str], *, detached: bool
) -> subprocess.Popen[bytes]:
    parent = 0 if detached else os.getpid()
    return subprocess.Popen(
        launch.argv(plan.layout.run, SUPERVISORD, _supervisord_argv(plan), parent=parent),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # supervisord logs to its file by itself. When it cannot, on a full disk, it complains on
        # standard error, and ends if that fails too.
        stderr=subprocess.DEVNULL,
        cwd=plan.layout.state,
        env=_environ_of_supervisord(plan, environ),
        start_new_session=True,
    )


def _supervisord_argv(plan: Plan) -> tuple[str, ...]:
    return (sys.executable, "-m", "app.stack.supervisord", "-c", str(plan.supervisord_conf))


def _environ_of_supervisord(plan: Plan, environ: Mapping[str, str]) -> dict[str, str]:
    inherited = environ.get("PYTHONPATH")
    path = os.pathsep.join([str(plan.layout.root), *([inherited] if inherited else [])])
    return {**environ, "PYTHONPATH": path}


def _wait_until_ready(plan: Plan, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + plan.settings.start_timeout_s
    lacking = "supervisord"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StackError(_with_log(plan.layout, SUPERVISORD, "supervisord ended at its start"))
        lacking = _lacking(plan)
        if not lacking:
            return
        time.sleep(_POLL_S)
    waited = f"after {plan.settings.start_timeout_s} s"
    raise StackError(_with_log(plan.layout, lacking, f"{lacking} is not ready {waited}"))


def _lacking(plan: Plan) -> str:
    """The first program that does not serve yet; empty when all do."""
    try:
        programs = Supervisor(plan.layout.run / "supervisord.sock").programs()
    except StackError:
        return SUPERVISORD
    for program in programs:
        if program.state != "RUNNING":
            return program.name
    serving = status.master(plan.layout)
    if serving is None or sum(c.state == "ready" for c in serving.children) < len(serving.slots):
        return "web"
    return "" if serves(plan.settings) else "nginx"


def _with_log(layout: Layout, program: str, what: str) -> str:
    path = layout.logs / f"{program}.log"
    lines = "\n".join(f"  {line}" for line in logs.last(path, 15))
    return f"{what}; the end of {path}:\n{lines}"


def _serving(layout: Layout, patience_s: float) -> MasterState:
    """What the master that runs says of itself; waits for one that is being started."""
    supervisor = Supervisor(layout.run / "supervisord.sock")
    if not supervisor.is_running():
        raise StackError("The stack is not running; start it with: windlass up")

    def is_known() -> bool:
        found = status.master(layout)
        pids = [program.pid for program in supervisor.programs() if program.name == launch.MASTER]
        return found is not None and found.pid in pids

    found = status.master(layout) if _comes_true(is_known, patience_s) else None
    if found is None:
        raise StackError("The master does not start; see: windlass logs web")
    return found


def _wait_for_reload(layout: Layout, before: MasterState, timeout_s: float) -> MasterState:
    """Wait for the verdict on a reload or a way back; returns what the master says then."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        now = status.master(layout)
        if now and now.pid != before.pid:
            raise StackError(_with_log(layout, "web", "The master died and was started anew"))
        verdict = now.reload if now and now.reloads > before.reloads else ""
        if verdict.startswith("failed"):
            raise StackError(
                f"The reload {verdict}; the old workers go on. All that was said: windlass logs web"
            )
        if now and verdict.startswith(("succeeded", "went back")):
            return now
        time.sleep(_POLL_S)
    raise StackError("The reload gave no verdict in time; see: windlass logs web")


def _stop(layout: Layout, timeout_s: float) -> bool:
    supervisor = Supervisor(layout.run / "supervisord.sock")
    group = groups.read(layout.run, SUPERVISORD)
    was_up = supervisor.is_running()
    if was_up:
        # One that does not answer may have heard it all the same; else it is swept with the rest.
        with contextlib.suppress(StackError):
            supervisor.shut_down()
        deadline = time.monotonic() + timeout_s
        while group and groups.members(group) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    left = [pid for name in groups.recorded(layout.run) for pid in groups.sweep(layout.run, name)]
    _remove_records(layout)
    return was_up or bool(left)
