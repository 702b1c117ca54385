"""What a measured process is for a moment before it becomes itself: keeps to a CPU, ends with us.

`python -m benchmarks.peers.launch PARENT CPU COMMAND...`, with `any` for no CPU in particular.
"""

from __future__ import annotations

import os
import signal
import sys

from app.prctl import die_with_parent

ANY_CPU = "any"


def argv(command: tuple[str, ...], cpu: int | None) -> tuple[str, ...]:
    """The command that launches `command`, of an absolute path, as a child of this process."""
    where = ANY_CPU if cpu is None else str(cpu)
    return (sys.executable, "-m", "benchmarks.peers.launch", str(os.getpid()), where, *command)


def main() -> None:
    """Become the command; never returns."""
    parent, cpu, *command = sys.argv[1:]
    die_with_parent(signal.SIGTERM)
    if os.getppid() != int(parent):
        raise SystemExit("the parent died first")
    if cpu != ANY_CPU:
        os.sched_setaffinity(0, {int(cpu)})
    os.execv(command[0], command)  # noqa: S606 - it is what this module is for


if __name__ == "__main__":
    main()
