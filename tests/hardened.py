"""Becomes a command under the system call filter of a unit: `hardened.py UNIT COMMAND...`.

Does what systemd does for SystemCallFilter, SystemCallErrorNumber=EPERM, NoNewPrivileges and
MemoryDenyWriteExecute, without systemd running: its own lists of calls (`systemd-analyze
syscall-filter`) and libseccomp, whose filter a process hands on to its children.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE, _REFUSE_EXEC_GAIN = 38, 65, 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM)
_UNKNOWN = -1


def main(unit: Path, command: list[str]) -> None:
    """Become the command; never returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no new privileges")
    lines = unit.read_text().splitlines()
    if "MemoryDenyWriteExecute=yes" in lines:
        libc.prctl(_PR_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0)  # from Linux 6.3 on
    allow(admitted(lines))
    os.execv(command[0], command)  # noqa: S606 - it is what this is for


def admitted(lines: list[str]) -> set[str]:
    """The system calls that the lines of a unit leave, as systemd.exec(5) reads them."""
    found: set[str] = set()
    for line in lines:
        name, _, words = line.partition("=")
        if name == "SystemCallFilter":
            calls = {call for word in words.lstrip("~").split() for call in calls_of(word)}
            found = found - calls if words.startswith("~") else found | calls
    # What systemd lets through whatever a filter says.
    return found | calls_of("@default")


def calls_of(word: str) -> set[str]:
    """A system call, or those of a set of them and of the sets in it."""
    if not word.startswith("@"):
        return {word}
    done = subprocess.run(
        ("systemd-analyze", "syscall-filter", word),  # noqa: S607
        check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    names = [line.strip() for line in done.stdout.splitlines()[1:]]
    return {call for name in names if name and name[0] != "#" for call in calls_of(name)}


def allow(calls: set[str]) -> None:
    """Have the kernel refuse this process, and whatever it starts, all other system calls."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_REFUSE))
    for call in sorted(calls):
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number != _UNKNOWN:
            # Negative numbers are calls of other machines, which are left out.
            library.seccomp_rule_add_array(context, _ALLOW, number, 0, None)
    if library.seccomp_load(context) != 0:
        raise OSError("the filter could not be loaded")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
