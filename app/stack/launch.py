"""What stands between supervisord and each program for a moment: `python -m app.stack.launch`.

Asks the kernel to end the program when its parent dies, ends what a killed one left behind, records
the program's process group, lifts the limit of open files, and becomes the program in the same
process. So a stack whose processes are all killed leaves nothing, and one that lost some of them is
made whole by the next start.

Workers that a killed master left go on serving until those of the next do. They are told that one
is being started, and the next master finds them in its record.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

from app.prctl import die_with_parent

MASTER = "web"
OPEN_FILES = 65536
_OF_SUPERVISORD = "supervisord"


def argv(
    run_dir: Path, name: str, command: tuple[str, ...], *, parent: int | None = None
) -> tuple[str, ...]:
    """The command that launches `command` as the program `name`.

    Args:
        run_dir: folder of the records.
        name: of the program.
        command: absolute path of the executable and its arguments.
        parent: the process with which it ends: 0 for none, or supervisord by default.
    """
    whose = _OF_SUPERVISORD if parent is None else str(parent)
    return (sys.executable, "-m", "app.stack.launch", str(run_dir), name, whose, *command)


def open_files_limit() -> int:
    """How many files a program may have open: as many as it wants, or as this user may give."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)


def main(arguments: list[str]) -> None:
    """Become the program; never returns."""
    folder, name, whose, *command = arguments
    if whose != "0":
        die_with_parent(signal.SIGTERM)
    if name == MASTER:
        # They ask for a reload, and would end a master that has no handlers yet.
        for number in (signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    # Imported only now: the parent may die while this loads.
    from app.proc import have_serve_on  # noqa: PLC0415
    from app.stack import groups  # noqa: PLC0415

    run_dir = Path(folder)
    if whose != "0" and os.getppid() != _pid_of_parent(whose, run_dir):
        raise SystemExit("windlass: the parent died first")
    left = groups.left_by_last_start(run_dir, name)
    for process in left:
        sys.stderr.write(f"windlass: process {process.pid} was left by an earlier {name}\n")
    if name == MASTER:
        have_serve_on(groups.eldest(left))
    else:
        groups.end(left)
    try:
        groups.record_own(run_dir, name, left)
    except OSError as error:  # a full disk must not keep a program from starting
        sys.stderr.write(f"windlass: {name} cannot be recorded: {error}\n")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files_limit(), hard))
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 - it is what this module is for


def _pid_of_parent(whose: str, run_dir: Path) -> int:
    from app.stack import groups  # noqa: PLC0415 - see `main`

    if whose != _OF_SUPERVISORD:
        return int(whose)
    recorded = groups.read(run_dir, _OF_SUPERVISORD)
    return recorded.pgid if recorded else os.getppid()


if __name__ == "__main__":
    main(sys.argv[1:])
