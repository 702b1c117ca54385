"""The two revisions side by side, and what a round reads of its processes."""

from __future__ import annotations

import gc
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest

from app.server.connection import Connection
from app.server.reading import Reader
from benchmarks.gate import accepted, arms, closures, declaration, instructions, suspects
from benchmarks.gate.arms import GateError, prepared
from benchmarks.http import cpu
from benchmarks.http.stack import Stack
from benchmarks.micro import arms as micro_arms
from benchmarks.micro.turns import Turns
from benchmarks.micro.work import PIECES, SWEEPS, make
from benchmarks.peers.probe import answers
from benchmarks.peers.processes import Command, running, wait_until
from benchmarks.peers.session import UnmeasuredError
from benchmarks.ports import free_port
from tests.gate_records import DECLARED
from tests.support import ROOT, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GIT = shutil.which("git") or "git"
ONE = '[[benchmark]]\nname = "micro/one"\ntitle = "one"\n'
TWO = ONE.replace("one", "two")


class Repository:
    """A small repository with the files that a gate looks at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "-q", "-b", "main")
        for name in ("requirements.txt", "requirements-dev.txt"):
            (root / name).write_text("tornado==6.5.4\n")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(
            (_GIT, "-C", str(self.root), *identity, *arguments),
            capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, files: dict[str, str], subject: str = "change") -> str:
        for name, text in files.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.git("add", "--all")
        self.git("commit", "-q", "-m", subject)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def quiet(_text: str) -> None:
    """Say nothing."""


DECLARED_AT = str(declaration.FILE.relative_to(ROOT))


def test_arms_have_their_own_product_and_one_benchmark_source(repository: Repository) -> None:
    base = repository.commit({DECLARED_AT: ONE, "app/x.py": "old", "benchmarks/b.py": "old",
                              "benchmarks/gone.py": "old", "tests/data/d": "old"})  # fmt: skip
    repository.git("rm", "-q", "benchmarks/gone.py")
    head = repository.commit({DECLARED_AT: TWO, "app/x.py": "new", "benchmarks/b.py": "new",
                              "tests/data/d": "new"})  # fmt: skip
    with prepared(base, "main", quiet, repository.root) as found:
        assert (found.base.commit, found.head.commit) == (base, head)
        assert (found.base.root / "app/x.py").read_text() == "old"
        assert (found.head.root / "app/x.py").read_text() == "new"
        for arm in (found.base, found.head):
            assert (arm.root / "benchmarks/b.py").read_text() == "new"
            assert (arm.root / "tests/data/d").read_text() == "new"
            assert not (arm.root / "benchmarks/gone.py").exists()
        assert len(str(found.base.root)) == len(str(found.head.root))
        assert found.base_names == {"micro/one"}
        assert found.declared.names() == {"micro/two"}
        assert (found.of("A2"), found.of("B1")) == (found.base, found.head)
        folder = found.base.root.parent
    assert not folder.exists()
    assert len(repository.git("worktree", "list").splitlines()) == 1
    assert repository.git("status", "--porcelain") == ""


def test_what_a_change_takes_from_its_own_judges_is_known(repository: Repository) -> None:
    page = '[[benchmark]]\nname = "http/page"\ntitle = "a page"\n'
    line = '[[accepted]]\nbenchmark = "micro/one"\n'
    accepted_at = str(accepted.FILE.relative_to(ROOT))
    base = repository.commit({DECLARED_AT: ONE + TWO + page, accepted_at: line, "app/x.py": ""})
    control = page + "control = true\n"
    repository.commit({DECLARED_AT: ONE + control, accepted_at: "", "app/x.py": "new"})
    with prepared(base, "main", quiet, repository.root) as found:
        assert found.missing() == [
            "http/page cpu", "http/page p50", "http/page throughput", "micro/two"
        ]  # fmt: skip
        assert found.base_accepted == line
        assert found.altered == (accepted_at, DECLARED_AT)
        assert not found.environments_differ


def test_checkouts_are_taken_away_after_an_error(repository: Repository) -> None:
    repository.commit({DECLARED_AT: ONE})
    with pytest.raises(ZeroDivisionError), prepared("main", "main", quiet, repository.root):
        raise ZeroDivisionError
    assert len(repository.git("worktree", "list").splitlines()) == 1


def test_base_that_is_older_than_the_gate_declares_nothing(repository: Repository) -> None:
    base = repository.commit({"app/x.py": "old"})
    repository.commit({DECLARED_AT: ONE})
    with prepared(base, "main", quiet, repository.root) as found:
        assert found.base_names == set()


def test_revision_that_is_not_there_is_named(repository: Repository) -> None:
    repository.commit({DECLARED_AT: ONE})
    with (
        pytest.raises(GateError, match=r"'nowhere' names no commit here \(.*single revision"),
        prepared("nowhere", "main", quiet, repository.root),
    ):
        pass


@pytest.mark.parametrize("text", [None, "[[benchmark]]\n", "no = toml = at all"])
def test_head_without_a_good_declaration_is_refused(
    repository: Repository, text: str | None
) -> None:
    repository.commit({DECLARED_AT: text} if text is not None else {"app/x.py": ""})
    with (
        pytest.raises(GateError, match=r"declared\.toml"),
        prepared("main", "main", quiet, repository.root),
    ):
        pass


@pytest.fixture
def outside_of_nix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run by an interpreter of Nix's store as well."""
    monkeypatch.setattr(closures, "_STORE", Path("/nonexistent"))


@pytest.mark.usefixtures("outside_of_nix")
def test_base_of_another_lock_gets_an_environment_of_its_own(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As `./run` does: whoever names an environment has none made.
    monkeypatch.setenv("WINDLASS_PYTHON", sys.executable)
    made = '#!/bin/sh\n[ -z "$WINDLASS_PYTHON" ] || exit 0\n'
    made += 'mkdir -p .venv/bin && ln -s "$(command -v true)" .venv/bin/python\n'
    base = repository.commit({DECLARED_AT: ONE, "run": made})
    (repository.root / "run").chmod(0o755)
    base = repository.commit({"requirements.txt": "tornado==6.5.3\n"})
    repository.commit({"requirements.txt": "tornado==6.5.4\n"})
    with prepared(base, "main", quiet, repository.root) as found:
        assert found.base.python == found.base.root / ".venv/bin/python"
        assert found.environments_differ
        assert str(found.head.python) == sys.executable


@pytest.mark.usefixtures("outside_of_nix")
def test_environment_that_cannot_be_made_is_told(repository: Repository) -> None:
    base = repository.commit({DECLARED_AT: ONE, "run": "#!/bin/sh\necho no index >&2; exit 1\n"})
    (repository.root / "run").chmod(0o755)
    base = repository.commit({"requirements.txt": "tornado==6.5.3\n"})
    repository.commit({"requirements.txt": "tornado==6.5.4\n"})
    with (
        pytest.raises(GateError, match="no index"),
        prepared(base, "main", quiet, repository.root),
    ):
        pass


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command in the place of Nix, and an interpreter that passes for one of Nix's store."""
    monkeypatch.setattr(closures, "_STORE", Path(sys.executable).resolve().parent)
    command = tmp_path / "nix"
    monkeypatch.setenv("WINDLASS_NIX", f"{command} --quiet")
    return command


def say_by(command: Path, script: str) -> None:
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def test_base_of_other_nix_files_gets_a_closure_of_its_own(
    repository: Repository, nix: Path
) -> None:
    base = repository.commit({DECLARED_AT: ONE, "flake.lock": "old", "nix/x.nix": "{ }"})
    repository.commit({"flake.lock": "new", "requirements.txt": "not looked at"})
    # What a shell says before is none of ours; which flake it is asked for is.
    say_by(nix, '''echo hello; printf '{"python": "%s", "search_path": "/folders"}\n' "$5"''')
    with prepared(base, "main", quiet, repository.root) as found:
        assert str(found.base.python) == f"path:{found.base.root}"
        assert found.base.environ == {"PATH": "/folders"}
        assert str(found.head.python) == sys.executable
        assert found.head.environ == {}


@pytest.mark.parametrize("script", ["echo no such attribute >&2; exit 1", "echo nothing", "true"])
def test_closure_that_cannot_be_built_is_told(
    repository: Repository, nix: Path, script: str
) -> None:
    base = repository.commit({DECLARED_AT: ONE, "flake.lock": "old"})
    repository.commit({"flake.lock": "new"})
    say_by(nix, script)
    with (
        pytest.raises(GateError, match="no closure could be built for base"),
        prepared(base, "main", quiet, repository.root),
    ):
        pass


def test_suspects_are_commits_that_touch_what_is_covered(repository: Repository) -> None:
    base = repository.commit({"app/a.py": "1"})
    for number in range(10):
        repository.commit({"app/a.py": f"{number} more"}, f"change a, {number}")
    repository.commit({"docs/a": "1"}, "write")
    found = suspects.between(base, "main", ["app"], repository.root)
    assert [line.partition(" ")[2] for line in found[:2]] == ["change a, 9", "change a, 8"]
    assert found[-1] == "and 2 more"
    assert suspects.between(base, "main", ["docs"], repository.root)[0].endswith(" write")
    assert suspects.between("nowhere", "main", ["docs"], repository.root) == []


# ---- micro


def test_every_declared_micro_benchmark_has_its_work_and_no_other_has() -> None:
    assert set(PIECES) == {each.short for each in declaration.ours().of_kind("micro")}


@pytest.fixture
def _engine_ends() -> Iterator[None]:
    """A benchmark never ends its connections; its process does. Other tests count those alive."""
    yield
    for each in gc.get_objects():
        # By type: a weak reference to what is gone raises where `isinstance` asks it.
        if type(each) is Connection and not each.closed:
            each.connection_lost(None)
        elif type(each) is Reader and hasattr(each, "_parser"):
            each.close()


@pytest.mark.usefixtures("_engine_ends")
@pytest.mark.parametrize("name", list(PIECES))
def test_work_can_be_repeated(name: str) -> None:
    work = make(name)
    for _ in range(20):
        work()


def test_result_of_pytest_benchmark_is_read(tmp_path: Path) -> None:
    sweeps = ({"min": 1.5, "mean": 1.9}, {"min": 1.0, "mean": 2.1})
    written = {"benchmarks": [{"params": {"name": "json"}, "stats": stats} for stats in sweeps]}
    result = tmp_path / "result.json"
    result.write_bytes(msgspec.json.encode(written))
    said = "FAILED benchmarks/micro/bench_micro.py::bench[0-parse] - ImportError: no name\n1 failed"
    found = micro_arms.read(result, ["json", "parse", "respond"], said)
    assert (found.least_s, found.means_s) == ({"json": 1.0}, {"json": 2.0})
    assert found.failures["parse"] == "ImportError: no name"
    assert "1 failed" in found.failures["respond"]


def test_process_that_writes_nothing_fails_every_benchmark(tmp_path: Path) -> None:
    found = micro_arms.read(tmp_path / "none", ["json"], "")
    assert found.failures == {"json": "it said nothing"}


@pytest.mark.parametrize("bare", [True, False])
def test_work_is_timed_with_pytest_and_without(tmp_path: Path, *, bare: bool) -> None:
    process = micro_arms.Process(
        ROOT, Path(sys.executable), {}, None, tmp_path / "result.json", bare=bare
    )
    sweeps: list[None] = []
    found = micro_arms.run({"A1": process}, ["control"], 0.005, lambda: sweeps.append(None))["A1"]
    assert found.means_s["control"] >= found.least_s["control"] > 0
    assert (found.failures, len(sweeps)) == ({}, SWEEPS)


def test_process_that_fails_says_why_and_keeps_no_other_waiting(tmp_path: Path) -> None:
    def process(arm: str, python: Path) -> micro_arms.Process:
        return micro_arms.Process(ROOT, python, {}, None, tmp_path / f"{arm}.json", bare=True)

    arms = {"A1": process("A1", tmp_path / "python"), "B1": process("B1", Path(sys.executable))}
    found = micro_arms.run(arms, ["control", "none"], 0.005, lambda: None)
    assert "No such file" in found["A1"].failures["control"]
    assert found["B1"].least_s["control"] > 0
    assert found["B1"].failures == {"none": "KeyError: 'none'"}


_MEASURES = """
import os, sys, time
from benchmarks.micro import turns
for _ in range(3):
    turns.wait()
    for what in ("begins", "ends"):
        os.write(1, f"{sys.argv[1]} {what}\\n".encode())
        time.sleep(0.02)
"""


def test_processes_measure_in_turns_and_never_at_the_same_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with ExitStack() as stack:
        each = []
        for name in "ab":
            link = stack.enter_context(closing(Turns(10.0)))
            command = Command((sys.executable, "-c", _MEASURES, name), link.environ)
            descriptors = (link.far.fileno(),)
            stack.enter_context(running(command, log, descriptors=descriptors))
            link.began()
            each.append(link)
        for link in each:
            link.wait()
        assert not log.read_text()
        for _ in range(3):
            for link in each:
                link.take()
    turn = ["a begins", "a ends", "b begins", "b ends"]
    assert log.read_text().splitlines() == turn * 3


def test_process_that_has_ended_did_not_come_up_whoever_answers_in_its_place(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    program = "raise SystemExit('the port is taken')"
    with running(Command((sys.executable, "-c", program)), log) as process:
        wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE, "its end")
        with pytest.raises(UnmeasuredError, match="the port is taken"):
            wait_until(lambda: True, process, log, "it")


def test_process_that_never_ends_its_sweep_is_not_waited_for(tmp_path: Path) -> None:
    with closing(Turns(0.2)) as link:
        program = "import time; time.sleep(60)"
        command = Command((sys.executable, "-c", program), link.environ)
        with running(command, tmp_path / "log", descriptors=(link.far.fileno(),)):
            link.began()
            with pytest.raises(TimeoutError):
                link.wait()


# ---- http


def test_cpu_time_of_a_process_and_what_is_below_it() -> None:
    """Both burn; a sum that forgets children would see half."""
    program = (
        "import os, time\n"
        "child = os.fork()\n"
        "while time.process_time() < 0.3: pass\n"
        "print(child, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen((sys.executable, "-c", program), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        try:
            assert cpu.spent_s([psutil.Process(process.pid)]) >= 0.6
        finally:
            process.kill()
            psutil.Process(max(int(line) for line in lines)).kill()


_BURN = """
import os, sys, threading, time

def burn():
    begun = time.thread_time()
    while time.thread_time() - begun < 0.2: pass

def fork():
    if os.fork() == 0:
        burn()
        os._exit(0)

"""
_WAYS_TO_BURN = {
    "a thread that has ended": "t = threading.Thread(target=burn); t.start(); t.join()",
    "a child that was waited for": "fork(); os.wait()",
    "a child that nobody waits for": "fork(); os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)",
}


@pytest.mark.parametrize("way", _WAYS_TO_BURN)
def test_cpu_time_of_what_has_ended_is_not_lost(way: str) -> None:
    program = f"{_BURN}{_WAYS_TO_BURN[way]}; print(flush=True); sys.stdin.read()"
    argv = (sys.executable, "-c", program)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        spent_s = cpu.spent_s([psutil.Process(process.pid)])
        process.communicate()
    assert spent_s >= 0.18


def test_cpu_time_of_a_process_that_is_gone_is_an_error() -> None:
    with subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE) as process:
        looked_at = psutil.Process(process.pid)
        process.communicate(b"\n")
    with pytest.raises(psutil.NoSuchProcess):
        cpu.spent_s([looked_at])


@pytest.mark.parametrize("answer", [b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nno page", b""])
@pytest.mark.parametrize("name", ["health", "static"])
def test_server_that_answers_rubbish_is_named(name: str, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        stack = Stack("B1", f"127.0.0.1:{listener.getsockname()[1]}", {})
        with pytest.raises(UnmeasuredError, match=r"^B1 (cannot be asked|answered)"):
            stack.check(name)
        thread.join()


@pytest.fixture
def without_product(tmp_path: Path) -> Path:
    """A checkout whose product cannot even be imported."""
    shutil.copytree(ROOT / "benchmarks", tmp_path / "tree" / "benchmarks")
    product = tmp_path / "tree" / "app" / "__init__.py"
    product.parent.mkdir()
    product.write_text("raise ImportError('the product was asked for')\n")
    return tmp_path / "tree"


@pytest.mark.parametrize("bare", [True, False])
def test_control_of_micro_runs_nothing_of_the_product(without_product: Path, *, bare: bool) -> None:
    result = without_product / "result.json"
    process = micro_arms.Process(without_product, Path(sys.executable), {}, None, result, bare=bare)
    found = micro_arms.run({"A1": process}, ["control"], 0.005, lambda: None)["A1"]
    assert found.failures == {}
    assert found.least_s["control"] > 0


@pytest.mark.parametrize("unix", [True, False])
def test_control_of_http_runs_nothing_of_the_product(
    without_product: Path, tmp_path: Path, *, unix: bool
) -> None:
    address = f"unix:{tmp_path}/socket" if unix else f"127.0.0.1:{free_port()}"
    (tmp_path / "socket").touch()  # of one that was killed
    argv = (sys.executable, "-m", "benchmarks.peers.apps.bare", "2", address)
    log = tmp_path / "log"
    with running(Command(argv, root=without_product), log) as process:
        wait_until(lambda: answers(address), process, log, "the control")


# ---- the second witness


def test_counts_of_callgrind_are_read_part_by_part(tmp_path: Path) -> None:
    for number, count in enumerate((999, 100, 250), 1):
        (tmp_path / f"out.{number}").write_text(f"events: Ir\nfn=main\nsummary: {count}\n")
    assert instructions.read(tmp_path, ["micro/a", "micro/b"]) == {"micro/a": 10, "micro/b": 25}


def test_parts_that_are_missing_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "out.1").write_text("summary: 1\n")
    (tmp_path / "said").write_text("valgrind: no such tool\n")
    with pytest.raises(ValueError, match="no such tool"):
        instructions.read(tmp_path, ["micro/a"])


def test_machine_without_valgrind_is_told(tmp_path: Path) -> None:
    found = instructions.count(_no_arms(tmp_path), ["micro/json"], search_path=str(tmp_path))
    assert "no valgrind" in found.why_not
    assert found.ratio("micro/json") is None


def _no_arms(folder: Path) -> arms.Arms:
    arm = arms.Arm("base", "b", folder, folder)
    return arms.Arms(arm, arm, DECLARED, set(), folder)


# ---- commands


@pytest.mark.parametrize("command", ["gate", "calibrate"])
def test_commands_are_listed(command: str, run_bench: Callable[..., str]) -> None:
    assert command in run_bench("--help")
    assert "Exit codes" in run_bench(command, "--help")


@pytest.fixture
def run_bench() -> Callable[..., str]:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            (sys.executable, "-m", "benchmarks", *arguments),
            capture_output=True, text=True, check=True, timeout=60, cwd=ROOT,
        )  # fmt: skip
        return done.stdout

    return run
