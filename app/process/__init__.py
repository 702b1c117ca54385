"""The master and its workers: sockets, fork, readiness, drain, reload in place.

The master opens the listening sockets once and keeps them for life; workers inherit them. It is
handed what to serve and imports nothing of it.

Guarantees: every child is reaped; every wait has a deadline; nothing old is retired before what
replaces it is ready; a reload keeps the master's process id.
"""

from app.process.master import Master, MasterOptions
from app.process.worker import WorkerContext

__all__ = ["Master", "MasterOptions", "WorkerContext"]
