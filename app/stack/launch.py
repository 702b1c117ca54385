"""What stands between supervisord and each program for a moment: `python -m app.stack.launch`.

Ends what a killed predecessor left behind, records the program's process group, asks the kernel to
end the program when its parent dies, lifts the limit of open files, and becomes the program in the
same process. So nothing of the stack outlives it, not even when all of it is killed with SIGKILL.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

from app.prctl import die_with_parent
from app.stack import groups

OPEN_FILES = 65536


def argv(run_dir: Path, name: str, command: tuple[str, ...], *, detached: bool = False) -> tuple[
    str, ...
]:  # fmt: skip
    """The command that launches `command` as the program `name`.

    Args:
        run_dir: folder of the records.
        name: of the program.
        command: absolute path of the executable and its arguments.
        detached: whether it may outlive the process that launched it.
    """
    kind = "detached" if detached else "attached"
    return (sys.executable, "-m", "app.stack.launch", str(run_dir), name, kind, *command)


def main(arguments: list[str]) -> None:
    """Become the program; never returns."""
    run_dir, name, kind, *command = arguments
    for pid in groups.sweep(Path(run_dir), name):
        sys.stderr.write(f"windlass: ended process {pid}, left by an earlier {name}\n")
    groups.record_own(Path(run_dir), name)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if kind == "attached":
        die_with_parent(signal.SIGTERM)
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 - it is what this module is for


if __name__ == "__main__":
    main(sys.argv[1:])
