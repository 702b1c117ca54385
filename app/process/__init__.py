"""The master and its workers: sockets, fork, readiness, pulse, drain, upgrade in place.

The master opens the listening sockets once and keeps them for life; workers inherit them. It is
handed what to serve and imports nothing of it.

Guarantees: every child is reaped; every wait has a deadline; nothing old is retired before what
replaces it is ready; an upgrade keeps the master's process id, and one that fails leaves what
served before.

::

    master        the loop: signals in, one decision after the other
      crew        worker processes: fork, readiness, pulse, deadlines, end
        worker    what a forked child does before and after it serves
        pulse     memory in which a worker shows that its event loop turns
        sockets   listening sockets
      upgrade     SIGHUP to new code and, if it is no good, back
        check     the new code's own verdict on itself
      recycling   workers replaced before they are a trouble
    state         what all of them know: handed over by `exec`, shown by `windlass status`
    options       what a master is told
"""

from app.process.master import Master
from app.process.options import MasterOptions, Recycling
from app.process.worker import WorkerContext

__all__ = ["Master", "MasterOptions", "Recycling", "WorkerContext"]
