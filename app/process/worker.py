"""What a forked child does before and after it serves.

A worker starts with default signal handlers, only the descriptors that are its own, and a promise
of the kernel to be told when its master dies: it then serves on until another master has workers
that do. It writes where each of its threads stands to the log when it is killed by SIGABRT or a
fault of the machine code, and, without dying, on SIGUSR1.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.prctl import ORPHANED, die_with_parent

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from app.process.pulse import Pulse
    from app.telemetry.memory import Region

READY = b"R"
TRACEBACK = signal.SIGUSR1
"""Has a worker write where its threads stand."""
STAND_BY, SERVE_AGAIN = signal.SIGUSR2, signal.SIGHUP
"""Have a worker stop accepting and stay, and accept again; default handlers end it instead."""
ORPHAN_SERVES_S = 30.0
"""How long a worker serves without a master, since it heard last that another one is started."""


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker is given.

    Attributes:
        slot: number of the worker, from 0; its replacement has the same.
        listeners: sockets that listen and are the worker's own.
        drain_timeout_s: seconds it may take to finish its requests after SIGTERM.
        ready_fd: descriptor of the pipe on which it says that it is ready.
        pulse: on which its event loop beats, every `beat_interval_s` seconds. A worker that has
            beaten once and then stops is killed.
        region: where it counts; None: nowhere.
    """

    slot: int
    listeners: list[socket.socket]
    drain_timeout_s: float
    ready_fd: int
    pulse: Pulse
    beat_interval_s: float
    region: Region | None = None

    def notify_ready(self) -> None:
        """Tell the master that this worker serves."""
        self.pulse.accept(accepting=True)
        os.write(self.ready_fd, READY)


def run_child(
    context: WorkerContext, run_worker: Callable[[WorkerContext], None], master_pid: int
) -> None:
    """Run a worker in a process that was just forked with all signals blocked; never returns."""
    status = 1
    try:
        _become_worker(master_pid)
        run_worker(context)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever ends a worker is its last words in the log
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            # The master's exit handlers and buffers are not the child's to run.
            os._exit(status)


def _become_worker(master_pid: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    # Ctrl-C reaches the whole group; the master turns it into an orderly end of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(ORPHANED)
    if os.getppid() != master_pid:
        raise SystemExit(0)  # the master died before the kernel was asked to tell
    # By descriptor: the stream above it may be in use by a thread that stands still.
    log_fd = sys.stdout.fileno()
    faulthandler.enable(log_fd, all_threads=True)
    faulthandler.register(TRACEBACK, log_fd, all_threads=True)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
