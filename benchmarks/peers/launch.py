"""What a measured process is for a moment before it becomes itself: keeps to a CPU, ends with us.

`python -I -S launch.py PARENT CPU COMMAND...`, with `any` for no CPU in particular. It is run as a
file of this checkout and imports nothing but the standard library: the process that it launches may
be of another revision, whose modules have other names.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

ANY_CPU = "any"
_PR_SET_PDEATHSIG = 1


def argv(command: tuple[str, ...], cpu: int | None) -> tuple[str, ...]:
    """The command that launches `command`, of an absolute path, as a child of this process."""
    where = ANY_CPU if cpu is None else str(cpu)
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), where, *command)


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies; survives `exec`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


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
