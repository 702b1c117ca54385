"""Redis: one pool per worker, made after the fork; the visit counter.

Guarantees: no call takes longer than the timeout that the store was made with, and what Redis
cannot do in time is a `StoreUnavailableError`, never a hanging request. Nothing is retried: an
increment whose answer was lost may have been counted, and counting it again would be worse.
"""

from app.store.redis import RedisStore

__all__ = ["RedisStore"]
