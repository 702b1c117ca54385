"""Redis: the visit counter, by few connections that all requests of a worker share.

    redis       the store: what is kept, and its errors
    lanes       the connections, the queue before them, and which one a command takes
    pipeline    one connection: batches out, replies back in their order
    connecting  how a connection is made: TCP, TLS, unix socket, credentials
    breaker     when calls fail at once, and how soon Redis is tried again
    outcome     how a command can fail, and what is then known of it
    counters    what the store counts of its own work

Commands of one turn of the event loop travel as one write. Guarantees: no call takes longer than
the timeout that the store was made with, and what Redis cannot do in time is a
`StoreUnavailableError`, never a hanging request. Nothing that was sent is sent again: an increment
whose answer was lost may have been counted, and counting it again would be worse.
"""

from app.store.counters import Counters
from app.store.outcome import NotExecutedError, UnknownOutcomeError
from app.store.redis import RedisStore

__all__ = ["Counters", "NotExecutedError", "RedisStore", "UnknownOutcomeError"]
